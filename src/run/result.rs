//! What a scenario came to: plain data that every exporter reads.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::sample::Sample;
use super::series::Series;
use super::timeline::Timeline;

/// The version of this format; a reader refuses others.
pub const FORMAT: u32 = 2;

/// The result of one scenario over all its runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ScenarioResult {
    /// The format's version.
    pub format: u32,
    /// The scenario file, as it was named.
    pub scenario: String,
    /// The claim that was tested.
    pub claim: String,
    /// The pattern.
    pub pattern: String,
    /// What the cache was.
    pub cache: String,
    /// What the database was.
    pub database: String,
    /// The seed of the first run.
    pub seed: u64,
    /// How many runs were made.
    pub runs: u64,
    /// Whether everything was as expected.
    pub outcome: Outcome,
    /// Whether the claim was seen violated: `broken`, or `not-observed` in this sample.
    pub claim_verdict: Option<ClaimVerdict>,
    /// The sample in which no violation was seen; missing where one was, where nothing that a
    /// run can violate was asked, and where it was not tested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sample: Option<Sample>,
    /// Every expectation and what was measured.
    pub expectations: Vec<Expectation>,
    /// Why something counts as not tested.
    pub not_tested: Vec<String>,
    /// Every metric over all runs, durations in nanoseconds; `null` where not measured.
    pub metrics: BTreeMap<String, Option<f64>>,
    /// Every fault rule and how often it struck.
    pub faults: Vec<Struck>,
    /// Bad entries by hazard.
    pub hazards: BTreeMap<String, u64>,
    /// The first bad entries, in the order of runs and keys.
    pub findings: Vec<Finding>,
    /// Places of the pattern that were reached.
    pub marks: BTreeMap<String, u64>,
    /// Curves and rows for figures.
    pub series: Series,
    /// The scenario with everything that the command line changed, as TOML.
    pub definition: String,
    /// The command that shows it again.
    pub reproduce: String,
}

/// Whether a scenario went as expected.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every expectation was met.
    AsExpected,
    /// An expectation was not met.
    Differs,
    /// Nothing was tested, or not what was meant to be.
    NotTested,
}

/// What a sample says about a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimVerdict {
    /// It was broken.
    Broken,
    /// It was not seen broken.
    NotObserved,
}

/// An expectation and what was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Expectation {
    /// `all`, `each`, `some`; or `accept`, for a finding that the scenario knows.
    pub scope: String,
    /// The metric; with `accept` the hazard, whose longest finding is measured.
    pub metric: String,
    /// What was wanted.
    pub wanted: String,
    /// What was measured: over all runs, or in the run that decides (`each`: the worst,
    /// `some`: the first that meets it); `null` where not measured.
    pub measured: Option<f64>,
    /// Whether it was met; `null` where it could not be tested.
    pub met: Option<bool>,
    /// The seed of the run that decides, for `each` and `some`.
    pub seed: Option<u64>,
}

/// A fault rule and how often it struck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Struck {
    /// The rule, in words.
    pub fault: String,
    /// How often it struck over all runs.
    pub struck: u64,
    /// `step`: decided where steps are executed; no proxy or signal was involved.
    pub level: String,
}

/// A bad entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// The seed of the run.
    pub seed: u64,
    /// The key.
    pub key: String,
    /// The node.
    pub node: u16,
    /// `stale`, `ahead`, ...
    pub class: String,
    /// The writer of the cached value.
    pub cached: Option<String>,
    /// The writer of the row; `null` when there is no row.
    pub current: Option<String>,
    /// Commits by which the entry is behind.
    pub versions_behind: u64,
    /// Since when it has been wrong, in nanoseconds of the run.
    pub since_nanos: Option<u64>,
    /// For how long it had been wrong at the audit, in nanoseconds.
    pub age_nanos: Option<u64>,
    /// Seconds until it expires; `null` when it never does.
    pub expires_in_seconds: Option<u32>,
    /// When it expired, where that was before the audit and after the workload.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healed_at_nanos: Option<u64>,
    /// It will not heal by itself.
    pub never_heals: bool,
    /// The hazard.
    pub hazard: Option<String>,
    /// Which step installed it, in words.
    pub installed_by: Option<String>,
    /// Which commit superseded it, in words.
    pub superseded_by: Option<String>,
    /// What became of the invalidation.
    pub invalidation: Option<String>,
    /// The steps that matter.
    pub timeline: Timeline,
}
