//! What a load measured, as evidence for metrics.

use hdrhistogram::Histogram;

use super::audit::Entries;
use super::tally::{Tally, Timed};
use crate::check::audit::Class;
use crate::metric::{Evidence, Latency, Quantity};

/// All that was measured.
pub(super) struct Measured<'a> {
    pub tally: &'a Tally,
    pub entries: &'a Entries,
    pub elapsed_nanos: u64,
}

impl Evidence for Measured<'_> {
    fn quantity(&self, what: Quantity) -> Option<u64> {
        use Quantity::*;
        let (tally, entries) = (self.tally, self.entries);
        Some(match what {
            Entries(class) => of_class(entries, class),
            BadEntries => entries.bad(),
            PermanentEntries => entries.permanent,
            Operations => tally.operations,
            Elapsed => self.elapsed_nanos,
            Reads => tally.reads,
            Hits => tally.hits,
            Misses => tally.misses,
            JudgedReads => tally.judged,
            // Those among them that were not judged are not told apart.
            JudgedHits => tally.hits,
            StaleReads => tally.stale,
            StaleHits => tally.stale_hits,
            VersionsBehind => tally.versions_behind,
            WrongReads => tally.wrong,
            FailedOps => tally.failed,
            UnknownOps => tally.unknown,
            Panics => tally.panics,
            _ => return None,
        })
    }

    fn latencies(&self, of: Latency) -> Option<&Histogram<u64>> {
        Some(self.tally.latencies(match of {
            Latency::Hit => Timed::Hit,
            Latency::Miss => Timed::Miss,
            Latency::Write => Timed::Write,
            Latency::Read => return None,
        }))
    }
}

fn of_class(entries: &Entries, class: Class) -> u64 {
    match class {
        Class::Match => entries.matching,
        Class::Absent => entries.absent,
        Class::Stale => entries.stale,
        Class::Ahead => entries.ahead,
        Class::Ghost => entries.ghost,
        Class::NegativeStale => entries.negative_stale,
        Class::Diverged => entries.diverged,
        Class::WrongKey => entries.wrong_key,
        Class::Undecodable => entries.undecodable,
        Class::Unreachable => entries.unreachable,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use serde_json::Value;

    use super::*;
    use crate::load::{Options, Outcome};
    use crate::metric::{Source, of};
    use crate::scenario::{Known, Number, parse};
    use crate::seed::Seed;

    /// A tally in which no two numbers are the same.
    fn tally() -> Tally {
        let mut tally = Tally::new();
        let counts = [
            &mut tally.operations,
            &mut tally.reads,
            &mut tally.hits,
            &mut tally.misses,
            &mut tally.writes,
            &mut tally.failed,
            &mut tally.unknown,
            &mut tally.panics,
            &mut tally.judged,
            &mut tally.stale,
            &mut tally.stale_hits,
            &mut tally.wrong,
            &mut tally.versions_behind,
        ];
        for (number, count) in counts.into_iter().enumerate() {
            *count = 1000 - 7 * number as u64;
        }
        for (number, what) in [Timed::Hit, Timed::Miss, Timed::Write].into_iter().enumerate() {
            (1..100).for_each(|nanos| tally.time(what, nanos * 10 + number as u64));
        }
        tally
    }

    fn entries() -> Entries {
        let mut entries = Entries::default();
        let counts = [
            &mut entries.matching,
            &mut entries.absent,
            &mut entries.stale,
            &mut entries.ahead,
            &mut entries.ghost,
            &mut entries.negative_stale,
            &mut entries.diverged,
            &mut entries.wrong_key,
            &mut entries.undecodable,
            &mut entries.unreachable,
            &mut entries.permanent,
        ];
        counts.into_iter().zip(1..).for_each(|(count, number)| *count = number);
        entries
    }

    #[test]
    fn the_result_of_a_load_has_what_the_table_says_where_it_says_so() {
        let known = Known { patterns: vec!["no-cache"], entities: vec!["product"], metrics: &[] };
        let scenario = parse(Path::new("-"), "claim = '-'\npattern = 'no-cache'\n", &known);
        let options = Options {
            clients: 1,
            duration: Duration::from_secs(2),
            warm_up: Duration::ZERO,
            rate: None,
            seed: Seed(1),
            faults: Vec::new(),
            history: None,
        };
        let elapsed = Duration::from_secs(2);
        let servers = (String::new(), String::new());
        let mut outcome = Outcome::new(&scenario.unwrap(), &options, elapsed, servers);
        let mut sum = Tally::new();
        sum.add(&tally());
        outcome.take(&tally());
        outcome.entries = entries();
        outcome.close();
        let json = serde_json::to_value(&outcome).unwrap();
        let entries = entries();
        let measured = Measured { tally: &sum, entries: &entries, elapsed_nanos: 2_000_000_000 };
        let told = of(Source::Load);
        assert!(told.len() >= 30, "{}", told.len());
        for metric in told {
            let pointer = metric.told(Source::Load).unwrap().summary;
            let stands = json.pointer(pointer).and_then(Value::as_f64);
            let value = (metric.value)(&measured).map(Number::as_f64);
            assert!(value.is_some() && value == stands, "{}: {value:?} {stands:?}", metric.name);
        }
        let shares = [&json["hit_ratio"], &json["p_stale"], &json["p_stale_hits"]];
        let expected = [986.0 / (986.0 + 979.0), 937.0 / 944.0, 930.0 / 986.0];
        assert_eq!(shares.map(|share| share.as_f64().unwrap()), expected);
        assert_eq!(json["operations_per_second"], 500.0);
    }
}
