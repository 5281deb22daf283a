//! Scenario files: what to run, what goes wrong, and what is expected of it.
//!
//! [`Scenario`] is plain data that TOML maps onto; [`load`] reads a file and names file,
//! line and column of whatever is wrong with it.

mod accept;
pub mod expect;
mod explore;
mod folder;
mod load;
mod path;
mod profile;
mod shape;
mod spread;
mod suggest;

pub use accept::Bound;
pub use expect::{Comparison, MetricKind, MetricSpec, Number, VERDICTS};
pub use explore::{Expected, ExploreSettings, Property, Window};
#[cfg(feature = "cli")]
pub(crate) use folder::files_below;
pub use load::{Known, Problem, find_files, load, parse};
pub use profile::Profile;
pub use spread::Spread;
#[cfg(feature = "cli")]
pub(crate) use suggest::nearest;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Fault;
use crate::step::{Isolation, Ttl};
use crate::time;

/// One scenario.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Scenario {
    /// The claim that is tested, in a sentence.
    pub claim: String,
    /// What would break the claim: metrics and comparisons that all hold when it is broken.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub broken_if: BTreeMap<String, toml::Value>,
    /// The pattern; see `staleproof list patterns`.
    pub pattern: String,
    /// Settings of the pattern, where it has any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub settings: BTreeMap<String, toml::Value>,
    /// What the rows are.
    #[serde(default = "product")]
    pub entity: String,
    /// The seed of the first run; further runs count up from it.
    #[serde(default = "one")]
    pub seed: u64,
    /// How many runs.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub runs: u64,
    /// What is recorded: `steps` (everything) or `operations` (for very long runs).
    #[serde(default)]
    pub record: Record,
    /// Who does what.
    #[serde(default)]
    pub workload: Workload,
    /// The cache nodes.
    #[serde(default)]
    pub cache: CacheSettings,
    /// The database.
    #[serde(default)]
    pub database: DatabaseSettings,
    /// What goes wrong.
    #[serde(default, rename = "fault", skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Fault>,
    /// How far `staleproof explore` searches, and what it is expected to find.
    #[serde(default, skip_serializing_if = "is_default")]
    pub explore: ExploreSettings,
    /// Findings that are known and accepted: a hazard (`staleproof list hazards`) and how long
    /// it may last, `"<= 5ms"` or `"any"`. With it, whatever else goes wrong is not as expected.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub accept: BTreeMap<String, String>,
    /// What is expected.
    #[serde(default)]
    pub expect: Expect,
}

/// What is recorded of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Record {
    /// Every step: needed for causes and exposure.
    #[default]
    Steps,
    /// Operations and commits only.
    Operations,
}

/// Who does what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Workload {
    /// Clients, when there are no groups.
    #[schemars(range(min = 1))]
    pub clients: u32,
    /// Processes among which the clients are dealt out, in turn.
    #[schemars(range(min = 1))]
    pub processes: u32,
    /// Operations of each client.
    pub operations: u32,
    /// Rows that exist at the start, numbered from 0.
    #[schemars(range(min = 1))]
    pub rows: u32,
    /// Shares of the operations.
    pub mix: Mix,
    /// Which row an operation is about.
    pub keys: KeyChoice,
    /// The pause before each operation.
    #[schemars(with = "String")]
    pub think: Spread,
    /// Operations a client begins per second, whether or not earlier ones are slow: at
    /// most one of a client is under way, and its latency counts from its arrival.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arrivals_per_second: Option<f64>,
    /// Rows that a read asks for at once.
    #[schemars(range(min = 1, max = 64))]
    pub rows_per_read: u32,
    /// A pause before a process that crashed is replaced.
    #[serde(with = "time::text")]
    #[schemars(with = "String")]
    pub restart_after: Duration,
    /// How often background work is looked for.
    #[serde(with = "time::text")]
    #[schemars(with = "String")]
    pub tick_every: Duration,
    /// Groups of clients that differ from the settings above.
    #[serde(rename = "group", skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
}

/// A group of clients; what it does not say is as in the workload.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Group {
    /// How many.
    #[schemars(range(min = 1))]
    pub clients: u32,
    /// Operations of each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations: Option<u32>,
    /// Shares of the operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mix: Option<Mix>,
    /// Which row an operation is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeyChoice>,
    /// The pause before each operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub think: Option<Spread>,
    /// Exactly these operations, in order: `read 3`, `update 3 after 5ms`, `insert 40`,
    /// `read 1,2`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub script: Option<Vec<String>>,
}

/// Shares of the operations; they need not add up to anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Mix {
    /// Reads.
    pub read: u32,
    /// Updates.
    pub update: u32,
    /// Read-modify-writes.
    pub modify: u32,
    /// Inserts, of new rows or of rows that this client deleted.
    pub insert: u32,
    /// Deletes.
    pub delete: u32,
}

/// Which row an operation is about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyChoice {
    /// Each row alike.
    Uniform,
    /// The n-th row with a weight of 1/n^θ.
    Zipf(f64),
    /// The first rows get a share of all operations.
    Hotspot {
        /// How many rows are hot.
        rows: u32,
        /// The share of operations that goes to them.
        share: f64,
    },
    /// The latest rows most often (a zipf distribution of 0.99 over age).
    Latest,
}

/// The cache nodes.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CacheSettings {
    /// How many nodes.
    #[schemars(range(min = 1, max = 64))]
    pub nodes: u16,
    /// Expiry in seconds of cached rows, 0 for never; by default the entity's (300).
    #[schemars(range(min = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl_seconds: Option<i64>,
    /// Items that a node holds at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items_max: Option<u32>,
    /// Bytes that a node holds at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_max: Option<u64>,
    /// When a client gives up waiting.
    #[serde(with = "time::text")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// What a client does with the connection when a reply does not come in time.
    pub on_timeout: OnTimeout,
    /// How often the client library sends a command again that got no reply.
    pub retries: u32,
    /// The time of a request on its way.
    #[schemars(with = "String")]
    pub request: Spread,
    /// The time of a reply on its way.
    #[schemars(with = "String")]
    pub reply: Spread,
}

/// What becomes of a cache connection whose caller stopped waiting for a reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnTimeout {
    /// It is closed; the next command opens another.
    #[default]
    Close,
    /// It is used again, though a reply is outstanding: the next caller reads that one.
    Reuse,
}

/// The database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct DatabaseSettings {
    /// When a client gives up waiting.
    #[serde(with = "time::text")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// How often the client library sends a statement again that got no reply.
    pub retries: u32,
    /// The time from sending a select to its taking effect.
    #[schemars(with = "String")]
    pub select: Spread,
    /// The time from sending a write to its taking effect.
    #[schemars(with = "String")]
    pub write: Spread,
    /// The time from sending a commit to its taking effect.
    #[schemars(with = "String")]
    pub commit: Spread,
    /// The time of a reply on its way.
    #[schemars(with = "String")]
    pub reply: Spread,
    /// Plain selects read a replica that is so far behind.
    #[serde(with = "crate::time::optional_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub replica_lag: Option<Duration>,
    /// Whose rules the model follows, where the database is the model.
    #[serde(skip_serializing_if = "Profile::is_default")]
    pub profile: Profile,
    /// The isolation level of transactions that ask for none: by default the database's own.
    #[serde(skip_serializing_if = "Isolation::is_default")]
    pub isolation: Isolation,
}

/// What is expected: of all runs together, of each, of at least one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", default)]
pub struct Expect {
    /// Of each run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub each: BTreeMap<String, toml::Value>,
    /// Of at least one run.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub some: BTreeMap<String, toml::Value>,
    /// Of all runs together: metric names and comparisons.
    #[serde(flatten)]
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub all: BTreeMap<String, toml::Value>,
}

/// Runs of one scenario; what each came to is kept until all are judged.
const RUNS_MAX: u64 = 1_000_000;

impl Scenario {
    /// What is wrong with the number of runs, whose seeds count up from the first.
    pub(crate) fn check_runs(&self) -> Result<(), String> {
        match self.runs {
            0 => Err("there must be at least one run".to_owned()),
            runs if runs > RUNS_MAX => {
                Err(format!("at most {RUNS_MAX} runs; share them out by `seed`"))
            }
            runs if self.seed.checked_add(runs - 1).is_none() => Err(format!(
                "{runs} runs from seed {} on end beyond the last seed, {}",
                self.seed,
                u64::MAX
            )),
            _ => Ok(()),
        }
    }

    /// How many clients there are, in groups or not.
    pub fn clients(&self) -> u64 {
        match self.workload.groups.as_slice() {
            [] => self.workload.clients.into(),
            groups => groups.iter().map(|group| u64::from(group.clients)).sum(),
        }
    }
}

impl Default for Workload {
    fn default() -> Workload {
        Workload {
            clients: 4,
            processes: 1,
            operations: 100,
            rows: 16,
            mix: Mix::default(),
            keys: KeyChoice::Zipf(0.99),
            think: Spread::uniform(0, 2_000_000),
            arrivals_per_second: None,
            rows_per_read: 1,
            restart_after: Duration::from_millis(10),
            tick_every: Duration::from_millis(5),
            groups: Vec::new(),
        }
    }
}

impl Default for Mix {
    fn default() -> Mix {
        Mix { read: 70, update: 30, modify: 0, insert: 0, delete: 0 }
    }
}

impl CacheSettings {
    /// Whether nodes hold only so much.
    pub fn limited(&self) -> bool {
        self.items_max.is_some() || self.bytes_max.is_some()
    }

    /// For how long rows are cached, where the entity's is the default.
    pub fn ttl(&self, default: Ttl) -> Ttl {
        self.ttl_seconds.map_or(default, Ttl)
    }
}

impl Default for CacheSettings {
    fn default() -> CacheSettings {
        CacheSettings {
            nodes: 1,
            ttl_seconds: None,
            items_max: None,
            bytes_max: None,
            timeout: Duration::from_millis(50),
            on_timeout: OnTimeout::Close,
            retries: 0,
            request: Spread::uniform(40_000, 120_000),
            reply: Spread::uniform(40_000, 120_000),
        }
    }
}

impl Default for DatabaseSettings {
    fn default() -> DatabaseSettings {
        DatabaseSettings {
            timeout: Duration::from_secs(1),
            retries: 0,
            select: Spread::uniform(150_000, 600_000),
            write: Spread::uniform(300_000, 1_200_000),
            commit: Spread::uniform(300_000, 1_200_000),
            reply: Spread::uniform(50_000, 150_000),
            replica_lag: None,
            profile: Profile::default(),
            isolation: Isolation::Default,
        }
    }
}

fn is_default(settings: &ExploreSettings) -> bool {
    *settings == ExploreSettings::default()
}

fn product() -> String {
    "product".to_owned()
}

fn one() -> u64 {
    1
}
