//! What a sample says of what it did not see: never that a claim holds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is said of a claim that no run violates. A sample proves nothing, so it never *holds*.
pub const UNSEEN: &str = "no violation seen";

/// 3/m of them is all of them, or more.
const RUNS_THAT_BOUND_NOTHING: u64 = 3;

/// What the short form means, below a table that has it.
pub const LEGEND: &str = "< 3/m: at 95 % fewer than 3/m of runs of that scenario show a violation";

/// A sample over all of which no violation was seen.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Sample {
    /// Runs.
    pub runs: u64,
    /// Reads in all of them. Those of one run depend on each other, so nothing follows from
    /// their number.
    pub reads: u64,
    /// The share of runs below which violations are at 95 %: 3 divided by the runs (the rule of
    /// three). `null` where there are too few, and where the limit is one on all runs together
    /// (a share, a sum), which a run by itself may miss.
    pub bound: Option<f64>,
}

impl Sample {
    /// The sample of so many runs, of each of which by itself no violation was seen.
    pub fn of_each(runs: u64, reads: u64) -> Sample {
        Sample { runs, reads, bound: (runs > RUNS_THAT_BOUND_NOTHING).then(|| 3.0 / runs as f64) }
    }

    /// The sample of so many runs of which no violation was seen as a whole.
    pub fn of_all(runs: u64, reads: u64) -> Sample {
        Sample { runs, reads, bound: None }
    }

    /// In a sentence, without its full stop.
    pub fn sentence(&self) -> String {
        self.sentence_of("run")
    }

    /// The same of other things than runs.
    pub fn sentence_of(&self, one: &str) -> String {
        let (runs, seen) = (self.runs, format!("{UNSEEN} in {}", self.size(one)));
        match self.bound {
            Some(_) => {
                format!("{seen}: at 95 % fewer than 3/{runs} of {one}s of this scenario show one")
            }
            None if runs <= RUNS_THAT_BOUND_NOTHING => {
                format!("{seen}: too few to bound how many of this scenario show one")
            }
            None => format!("{seen} taken together: it bounds nothing of a {one} by itself"),
        }
    }

    /// In how many runs, for a cell of a table above [`LEGEND`].
    pub fn short(&self) -> String {
        let bound = self.bound.map_or_else(String::new, |_| format!(": < 3/{}", self.runs));
        format!("{}{bound}", self.size("run"))
    }

    fn size(&self, one: &str) -> String {
        let plural = |count: u64| if count == 1 { "" } else { "s" };
        let Sample { runs, reads, .. } = self;
        let (of_runs, of_reads) = (plural(*runs), plural(*reads));
        format!("{runs} {one}{of_runs} ({reads} read{of_reads})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_bounds_runs_by_runs_and_never_by_reads() {
        assert_eq!(
            Sample::of_each(300, 4500).sentence(),
            "no violation seen in 300 runs (4500 reads): at 95 % fewer than 3/300 of runs of this \
             scenario show one"
        );
        assert_eq!(
            Sample::of_each(1, 1).sentence(),
            "no violation seen in 1 run (1 read): too few to bound how many of this scenario show \
             one"
        );
        assert_eq!(
            Sample::of_all(10, 90).sentence(),
            "no violation seen in 10 runs (90 reads) taken together: it bounds nothing of a run by \
             itself"
        );
        assert_eq!(Sample::of_each(3, 9000).bound, None);
        assert_eq!(Sample::of_each(4, 9000).bound, Some(0.75));
        let hunted = Sample::of_each(40, 40).sentence_of("schedule");
        assert!(hunted.contains("in 40 schedules (40 reads)"), "{hunted}");
        assert!(hunted.contains("fewer than 3/40 of schedules"), "{hunted}");
        let short = Sample::of_each(300, 4500).short();
        assert_eq!(short, "300 runs (4500 reads): < 3/300");
    }
}
