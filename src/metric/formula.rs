//! Shares, averages and quantiles.

use std::borrow::Cow;

use super::evidence::{Ages, Evidence, Latency, Property, Quantity, Rank};
use crate::check::staleness::{Delta, Part, nearest_rank};
use crate::scenario::Number;

/// A quantity as it is.
pub(super) fn whole(evidence: &dyn Evidence, what: Quantity) -> Option<Number> {
    evidence.quantity(what).map(Number::Whole)
}

/// A part of a whole, or an average over it; `None` where the whole is nothing.
pub(super) fn ratio(part: Option<u64>, of: Option<u64>) -> Option<Number> {
    let (part, of) = (part?, of?);
    (of > 0).then(|| Number::Real(part as f64 / of as f64))
}

/// One quantity per another.
pub(super) fn per(evidence: &dyn Evidence, part: Quantity, of: Quantity) -> Option<Number> {
    ratio(evidence.quantity(part), evidence.quantity(of))
}

pub(super) fn hit_ratio(evidence: &dyn Evidence) -> Option<Number> {
    let hits = evidence.quantity(Quantity::Hits)?;
    ratio(Some(hits), Some(hits + evidence.quantity(Quantity::Misses)?))
}

/// An upper bound of the share of stale reads.
pub(super) fn p_stale_upper(evidence: &dyn Evidence) -> Option<Number> {
    let reads = evidence.quantity(Quantity::JudgedReads)?;
    let stale = evidence.quantity(Quantity::StaleReads)?;
    Part { reads, stale }.at_most().map(Number::Real)
}

/// How many there were of a latency.
pub(super) fn measured(evidence: &dyn Evidence, of: Latency) -> Option<u64> {
    evidence.latencies(of).map(hdrhistogram::Histogram::len)
}

pub(super) fn latency(evidence: &dyn Evidence, of: Latency, quantile: f64) -> Option<Number> {
    let histogram = evidence.latencies(of)?;
    (!histogram.is_empty()).then(|| Number::Whole(histogram.value_at_quantile(quantile)))
}

/// The age of the stalest read.
pub(super) fn stalest(evidence: &dyn Evidence) -> Option<u64> {
    evidence.ages().map(|ages| ages.known.iter().copied().max().unwrap_or(0))
}

/// The age that a share of all reads did not exceed.
pub(super) fn age(evidence: &dyn Evidence, share: f64) -> Option<Number> {
    let ages = evidence.ages()?;
    let Some(place) = ages.place(share) else { return Some(Number::Whole(0)) };
    let sorted = match ages.known.is_sorted() {
        true => Cow::Borrowed(ages.known),
        false => {
            let mut known = ages.known.to_vec();
            known.sort_unstable();
            Cow::Owned(known)
        }
    };
    let age = sorted.get(place as usize).or(sorted.last());
    Some(Number::Whole(age.copied().unwrap_or(0)))
}

impl Ages<'_> {
    /// Where a share of all reads ends among the known ages; `None` for among the fresh ones.
    fn place(&self, share: f64) -> Option<u64> {
        let reads = self.fresh + self.known.len() as u64;
        let place = match self.rank {
            Rank::Behind => (share * reads as f64) as u64,
            Rank::Nearest => nearest_rank(share, reads),
        };
        place.checked_sub(self.fresh)
    }
}

/// Some reads are never legal: then no Delta is enough.
pub(super) fn delta(evidence: &dyn Evidence) -> Option<Number> {
    match evidence.delta()? {
        Delta::Least(nanos) => Some(Number::Whole(nanos)),
        Delta::Infinite => Some(Number::Real(f64::INFINITY)),
        Delta::Undecided => None,
    }
}

pub(super) fn holds(evidence: &dyn Evidence, of: Property) -> Option<Number> {
    evidence.verdict(of).map(|verdict| Number::Whole(verdict as u64))
}
