//! The table in itself, and formulas on evidence made by hand.

use std::collections::BTreeSet;

use super::*;

/// Nothing was measured.
struct Nothing;

impl Evidence for Nothing {}

/// Of one source: so many stale reads of so many judged, and their ages.
struct Few {
    stale: Option<u64>,
    judged: Option<u64>,
    ages: Vec<u64>,
    fresh: u64,
    rank: Rank,
}

impl Evidence for Few {
    fn quantity(&self, what: Quantity) -> Option<u64> {
        match what {
            Quantity::StaleReads => self.stale,
            Quantity::JudgedReads => self.judged,
            _ => None,
        }
    }

    fn ages(&self) -> Option<Ages<'_>> {
        Some(Ages { known: &self.ages, fresh: self.fresh, rank: self.rank })
    }
}

fn few(stale: Option<u64>, judged: Option<u64>) -> Few {
    Few { stale, judged, ages: Vec::new(), fresh: 0, rank: Rank::Behind }
}

fn value(name: &str, of: &dyn Evidence) -> Option<Number> {
    let metric = METRICS.iter().find(|metric| metric.name == name).unwrap();
    (metric.value)(of)
}

#[test]
fn every_metric_has_a_name_of_its_own_and_somebody_who_tells_it() {
    let names: BTreeSet<&str> = METRICS.iter().map(|metric| metric.name).collect();
    assert_eq!(names.len(), METRICS.len());
    let sources = [Source::Run, Source::Check, Source::Load];
    for metric in METRICS {
        let told = sources.iter().filter(|source| metric.told(**source).is_some()).count();
        let enough = if metric.to_be_renamed.is_some() { 2 } else { 1 };
        assert!(told >= enough, "{}: told by {told}", metric.name);
    }
    for source in sources {
        let listed: BTreeSet<&str> = of(source).iter().map(|metric| metric.name).collect();
        let found = names.iter().filter(|name| find(source, name).is_some()).copied().collect();
        assert_eq!(listed, found);
    }
}

#[test]
fn nothing_comes_of_nothing() {
    for metric in METRICS {
        assert!((metric.value)(&Nothing).is_none(), "{}", metric.name);
    }
}

#[test]
fn a_share_needs_both_its_parts_and_a_whole() {
    assert_eq!(value("p_stale", &few(Some(1), Some(4))), Some(Number::Real(0.25)));
    assert_eq!(value("p_stale", &few(Some(0), Some(4))), Some(Number::Real(0.0)));
    assert_eq!(value("p_stale", &few(Some(0), Some(0))), None);
    assert_eq!(value("p_stale", &few(None, Some(4))), None);
    assert_eq!(value("p_stale", &few(Some(1), None)), None);
    assert_eq!(value("p_stale_upper", &few(Some(0), Some(3000))), Some(Number::Real(0.001)));
}

#[test]
fn quantiles_count_fresh_reads_and_follow_their_rank() {
    let of = |ages: &[u64], fresh, rank, name: &str| {
        let evidence = Few { ages: ages.to_vec(), fresh, rank, ..few(None, None) };
        value(name, &evidence)
    };
    let (behind, nearest) = (Rank::Behind, Rank::Nearest);
    let whole = |nanos| Some(Number::Whole(nanos));
    // Of four reads the third is behind the first half, the second is its last.
    let four = [40, 10, 30, 20];
    assert_eq!(of(&four, 0, behind, "read_staleness_p50"), whole(30));
    assert_eq!(of(&four, 0, nearest, "read_staleness_p50"), whole(20));
    assert_eq!(of(&four, 0, behind, "read_staleness_p99"), whole(40));
    assert_eq!(of(&four, 0, nearest, "read_staleness_p99"), whole(40));
    // Fresh reads come first.
    assert_eq!(of(&four, 3, behind, "read_staleness_p50"), whole(10));
    assert_eq!(of(&four, 4, nearest, "read_staleness_p50"), whole(0));
    assert_eq!(of(&four, 96, behind, "read_staleness_p99"), whole(40));
    assert_eq!(of(&four, 9, nearest, "max_read_staleness"), whole(40));
    // Nobody was stale.
    assert_eq!(of(&[], 5, behind, "read_staleness_p99"), whole(0));
    assert_eq!(of(&[], 0, behind, "read_staleness_p50"), whole(0));
    assert_eq!(of(&[], 0, behind, "max_read_staleness"), whole(0));
}
