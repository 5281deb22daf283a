//! What a history shows, as evidence for metrics.

use super::measures::Measures;
use crate::check::found::Found;
use crate::check::linear::Judgement;
use crate::check::staleness::{Delta, Part, Staleness};
use crate::history::log::Log;
use crate::metric::{Ages, Evidence, Property, Quantity, Rank, Verdict};

/// Everything that was measured of a history.
pub(super) struct Measured<'a> {
    pub log: &'a Log,
    pub judgement: &'a Judgement,
    /// Only where something else than linearizability is asked for.
    pub measures: Option<&'a Measures>,
}

/// Without a case nothing was tested.
fn count(found: &Found) -> Option<u64> {
    (found.tested > 0).then_some(found.count)
}

impl Evidence for Measured<'_> {
    fn quantity(&self, what: Quantity) -> Option<u64> {
        match what {
            Quantity::Operations => Some(self.log.ops.len() as u64),
            Quantity::Keys => Some(self.judgement.keys as u64),
            Quantity::ViolatedKeys => Some(self.judgement.violated.len() as u64),
            what => self.measures?.quantity(what),
        }
    }

    fn ages(&self) -> Option<Ages<'_>> {
        self.measures?.ages()
    }

    fn delta(&self) -> Option<Delta> {
        Some(self.measures?.delta)
    }

    fn verdict(&self, of: Property) -> Option<Verdict> {
        let Judgement { violated, unknown, .. } = self.judgement;
        match of {
            Property::Linearizable if self.log.ops.is_empty() => None,
            Property::Linearizable if !violated.is_empty() => Some(Verdict::Violated),
            Property::Linearizable if !unknown.is_empty() => Some(Verdict::Unknown),
            Property::Linearizable => Some(Verdict::Holds),
            guarantee => self.measures?.verdict(guarantee),
        }
    }
}

impl Evidence for Measures {
    fn quantity(&self, what: Quantity) -> Option<u64> {
        let Staleness { all, hits, .. } = self.staleness;
        let of = |part: Part, what: u64| (part.reads > 0).then_some(what);
        let never_legal = self.staleness.never_legal;
        match what {
            Quantity::Reads => Some(all.reads + never_legal),
            Quantity::NeverLegalReads => (all.reads + never_legal > 0).then_some(never_legal),
            Quantity::JudgedReads => Some(all.reads),
            Quantity::JudgedHits => Some(hits.reads),
            Quantity::StaleReads => of(all, all.stale),
            Quantity::StaleHits => of(hits, hits.stale),
            Quantity::PossibleStaleness => self.staleness.at_most.last().copied(),
            Quantity::VersionsBehind => of(all, self.staleness.versions_behind),
            Quantity::LostUpdates => count(&self.updates),
            Quantity::LostWrites => count(&self.durability),
            Quantity::PhantomReads => count(&self.phantoms),
            Quantity::TornViews => count(&self.torn),
            Quantity::StaleVersions => count(&self.versions.backwards),
            Quantity::VersionDisagreements => {
                let tested = self.versions.backwards.tested > 0;
                tested.then_some(self.disagreements.len() as u64)
            }
            _ => None,
        }
    }

    fn ages(&self) -> Option<Ages<'_>> {
        let known = self.staleness.at_least.as_slice();
        (!known.is_empty()).then_some(Ages { known, fresh: 0, rank: Rank::Nearest })
    }

    fn verdict(&self, of: Property) -> Option<Verdict> {
        let found = match of {
            Property::Linearizable => return None,
            Property::ReadYourWrites => &self.sessions.read_your_writes,
            Property::MonotonicReads => &self.sessions.monotonic_reads,
            Property::MonotonicWrites => &self.sessions.monotonic_writes,
            Property::WritesFollowReads => &self.sessions.writes_follow_reads,
        };
        found.holds().map(|holds| if holds { Verdict::Holds } else { Verdict::Violated })
    }
}
