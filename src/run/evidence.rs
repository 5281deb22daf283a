//! What runs measure, as evidence for metrics.

use hdrhistogram::Histogram;

use super::measure::Measure;
use super::series::RunPoint;
use crate::metric::{Ages, Evidence, Latency, Quantity, Rank};

impl Evidence for Measure {
    fn quantity(&self, what: Quantity) -> Option<u64> {
        use Quantity::*;
        Some(match what {
            Entries(class) => self.entries(class),
            BadEntries => self.bad_entries(),
            PermanentEntries => self.permanent,
            EntryAge => self.entry_age_nanos,
            HealedByExpiry => self.healed?,
            LongestExposure => self.exposure?.1,
            TotalExposure => self.exposure?.0,
            // Every read is judged, by the commits.
            Reads | JudgedReads => self.reads.reads,
            Hits | JudgedHits => self.reads.hits,
            Misses => self.reads.misses,
            StaleReads => self.reads.stale,
            StaleHits => self.reads.stale_hits,
            VersionsBehind => self.reads.versions_behind,
            AheadReads => self.reads.ahead,
            PhantomReads => self.reads.phantom,
            WrongReads => self.reads.wrong,
            Selects => self.selects,
            ReadSteps => self.read_steps,
            Writes => self.writes,
            WriteSteps => self.write_steps,
            MisreportedFailures => self.misreported,
            LostWrites => self.lost_writes,
            LostUpdates => self.lost_updates,
            FailedOps => self.failed,
            UnknownOps => self.unknown,
            Panics => self.panics,
            FaultsStruck => self.strikes.iter().sum(),
            Operations | Elapsed | Keys | ViolatedKeys | PossibleStaleness | NeverLegalReads
            | TornViews | StaleVersions | VersionDisagreements => return None,
        })
    }

    fn latencies(&self, of: Latency) -> Option<&Histogram<u64>> {
        Some(&self.latencies[of as usize])
    }

    fn ages(&self) -> Option<Ages<'_>> {
        let known = self.reads.ages.as_slice();
        let fresh = self.reads.reads - known.len() as u64;
        Some(Ages { known, fresh, rank: Rank::Behind })
    }
}

impl Evidence for RunPoint {
    fn quantity(&self, what: Quantity) -> Option<u64> {
        match what {
            Quantity::Reads | Quantity::JudgedReads => Some(self.reads),
            Quantity::Hits => Some(self.hits),
            Quantity::Misses => Some(self.misses),
            Quantity::StaleReads => Some(self.stale),
            Quantity::BadEntries => Some(self.bad_entries),
            _ => None,
        }
    }
}
