//! A pattern in a team's own tests: one line in a `#[test]`.
//!
//! ```
//! use staleproof::operation::{Action, Op, Reply};
//! use staleproof::pattern::{Cx, Failure};
//!
//! async fn no_cache(cx: &Cx, op: Op) -> Result<Reply, Failure> {
//!     match op.action {
//!         Action::Read(id) => Ok(Reply::Row(cx.db.select(id).await?)),
//!         write => Ok(cx.db.apply(&write).await?.reply()),
//!     }
//! }
//!
//! staleproof::check(no_cache).uncached().seeds(50).holds();
//! ```
//!
//! [`crate::check()`] makes a [`Checked`]; its settings say how much is tried;
//! [`Checked::holds`] panics when something is broken, with the smallest list of operations
//! that was found, the lanes of what happened, and a file that shows it again. Seeds are a
//! sample: that nothing was found is no proof.

mod broken;
mod explored;
mod shrink;
#[cfg(feature = "proptest")]
pub mod strategies;

pub use broken::{Broken, Problem};
pub use explored::{Explored, Violation};

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::fault::Fault;
use crate::pattern::{Pattern, Registry};
use crate::run::{self, DatabaseChoice, Measure, Run, Sample, Servers, metrics};
use crate::scenario::{Comparison, Group, Known, Scenario};
use crate::seed::Seed;

/// A pattern under test, and how hard it is tried.
#[derive(Clone)]
pub struct Checked {
    registry: Registry,
    scenario: Scenario,
    servers: Servers,
    requirements: Vec<(String, Comparison)>,
    folder: PathBuf,
    name: String,
    /// Complains when something was not tested.
    strict: bool,
    caches: bool,
}

/// What must hold where a test does not say more.
const DEFAULT_REQUIREMENTS: [&str; 4] = ["bad_entries", "lost_writes", "wrong_reads", "panics"];

/// Puts a pattern to the test; see [`Checked`] for what can be set.
pub fn check<P: Pattern + Clone + Send + Sync>(pattern: P) -> Checked {
    let name = name_of::<P>();
    let registry = Registry::built_in().pattern(&name, "under test", pattern);
    check_in(registry, &name)
}

/// Puts a pattern of a registry to the test: a built-in one, or one with settings.
pub fn check_in(registry: Registry, name: &str) -> Checked {
    let entity = registry.entities().last().map_or("product", |entity| entity.name()).to_owned();
    let caches = registry.find(name).is_some_and(|entry| entry.traits.caches);
    let text = format!("claim = \"{name} holds\"\npattern = \"{name}\"\nruns = 100\n");
    let mut scenario: Scenario = toml::from_str(&text).expect("it is a scenario");
    scenario.entity = entity;
    scenario.workload.clients = 3;
    scenario.workload.operations = 6;
    scenario.workload.rows = 1;
    let zero = || Comparison::parse(&toml::Value::Integer(0), crate::scenario::MetricKind::Count);
    let requirement = |name: &str| (name.to_owned(), zero().expect("zero is a number"));
    Checked {
        registry,
        scenario,
        servers: Servers { database: DatabaseChoice::Model, ..Servers::default() },
        requirements: DEFAULT_REQUIREMENTS.map(requirement).to_vec(),
        folder: PathBuf::from("target/staleproof"),
        name: name.to_owned(),
        strict: true,
        caches,
    }
}

/// `my_crate::my_pattern` is `my-pattern`.
fn name_of<P>() -> String {
    let path = std::any::type_name::<P>();
    let last = path.split(['<', '{']).next().unwrap_or(path).trim_end_matches("::");
    last.rsplit("::").next().unwrap_or(last).replace('_', "-").to_lowercase()
}

impl Checked {
    /// How many seeds are tried, 100 when not given.
    pub fn seeds(mut self, seeds: u64) -> Checked {
        self.scenario.runs = seeds.max(1);
        self
    }

    /// The first seed, 1 when not given.
    pub fn from_seed(mut self, seed: u64) -> Checked {
        self.scenario.seed = seed;
        self
    }

    /// How many clients there are, 3 when not given.
    pub fn clients(mut self, clients: u32) -> Checked {
        self.scenario.workload.clients = clients.max(1);
        self
    }

    /// How many operations each client has, 6 when not given.
    pub fn operations(mut self, operations: u32) -> Checked {
        self.scenario.workload.operations = operations;
        self
    }

    /// How many rows there are at the start, 1 when not given.
    pub fn rows(mut self, rows: u32) -> Checked {
        self.scenario.workload.rows = rows.max(1);
        self
    }

    /// Rows of another kind than the product.
    pub fn entity(mut self, entity: impl crate::entity::Entity + 'static) -> Checked {
        entity.name().clone_into(&mut self.scenario.entity);
        self.registry = self.registry.entity(entity);
        self
    }

    /// Exactly these operations of each client, as in a scenario's `script`: `read 0`,
    /// `update 0 after 5ms`, `insert 7`.
    pub fn scripts<S: Into<String>>(mut self, scripts: Vec<Vec<S>>) -> Checked {
        let group = |script: Vec<S>| Group {
            clients: 1,
            operations: None,
            mix: None,
            keys: None,
            think: None,
            script: Some(script.into_iter().map(Into::into).collect()),
        };
        self.scenario.workload.groups = scripts.into_iter().map(group).collect();
        self
    }

    /// What goes wrong.
    pub fn faults(mut self, faults: impl IntoIterator<Item = Fault>) -> Checked {
        self.scenario.faults = faults.into_iter().collect();
        self
    }

    /// The expiry of cached rows in seconds, 0 for never.
    pub fn ttl_seconds(mut self, seconds: u32) -> Checked {
        self.scenario.cache.ttl_seconds = Some(i64::from(seconds));
        self
    }

    /// Settings of a pattern that has any.
    pub fn setting(mut self, name: &str, value: impl Into<toml::Value>) -> Checked {
        self.scenario.settings.insert(name.to_owned(), value.into());
        self
    }

    /// The pattern reads no cache, so a run without hits is no reason to complain.
    pub fn uncached(mut self) -> Checked {
        self.caches = false;
        self
    }

    /// What was not tested is no reason to complain: a fault that never took effect, a cache that
    /// never had a hit. For properties, whose cases are small.
    pub fn tolerant(mut self) -> Checked {
        self.strict = false;
        self
    }

    /// Other servers than the models.
    pub fn servers(mut self, servers: Servers) -> Checked {
        self.servers = servers;
        self
    }

    /// What else must hold in each run: a metric (`staleproof list metrics`) and a comparison
    /// such as `"<= 5ms"`. It replaces what was required of that metric before; with
    /// `bad_entries` and `">= 0"` wrong entries are allowed.
    ///
    /// # Panics
    ///
    /// When there is no such metric, or the comparison does not fit it.
    pub fn require(mut self, metric: &str, comparison: &str) -> Checked {
        let known = metrics::specs();
        let Some(spec) = known.iter().find(|spec| spec.name == metric) else {
            panic!("there is no metric `{metric}`; see `staleproof list metrics`");
        };
        let value = toml::Value::String(comparison.to_owned());
        let comparison = Comparison::parse(&value, spec.kind)
            .unwrap_or_else(|problem| panic!("`{metric}` cannot be `{comparison}`: {problem}"));
        self.requirements.retain(|(name, _)| name != metric);
        self.requirements.push((metric.to_owned(), comparison));
        self
    }

    /// The folder for counterexamples, `target/staleproof` when not given.
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Checked {
        self.folder = folder.into();
        self
    }

    /// Panics when anything was broken, or when nothing was tested.
    ///
    /// # Panics
    ///
    /// That is what it is for; the message has the evidence.
    #[track_caller]
    pub fn holds(&self) {
        if let Err(problem) = self.verdict() {
            panic!("{problem}");
        }
    }

    /// Panics unless something is broken, and hands that out: a test that a flawed pattern is
    /// caught.
    ///
    /// # Panics
    ///
    /// When nothing was broken in these seeds, or nothing was tested.
    #[track_caller]
    pub fn is_broken(&self) -> Broken {
        match self.sample() {
            Err(Problem::Broken(broken)) => *broken,
            Err(problem) => panic!("{problem}"),
            Ok(sample) => panic!("{}; try more with `.seeds(n)`", sample.sentence()),
        }
    }

    /// What came of it, for properties: in a `proptest!` write `checked.verdict()?`.
    pub fn verdict(&self) -> Result<(), Problem> {
        self.sample().map(drop)
    }

    /// What of it was seen to be sound.
    fn sample(&self) -> Result<Sample, Problem> {
        self.validate()?;
        let mut whole = Measure::empty(self.scenario.faults.len());
        for number in 0..self.scenario.runs {
            let seed = Seed(self.scenario.seed).of_run(number);
            let run = self.run(&self.scenario, seed)?;
            if let Some(broken) = self.broken(&run) {
                return Err(Problem::Broken(Box::new(shrink::smallest(self, seed, run, broken)?)));
            }
            whole.add(&run.measure);
        }
        self.tested(&whole)?;
        Ok(Sample::of_each(whole.runs, whole.reads.reads))
    }

    /// Shows a counterexample again that an earlier failure has left behind: with the pattern
    /// as it is now.
    ///
    /// # Panics
    ///
    /// When the file cannot be read, and when it is still broken.
    #[track_caller]
    pub fn replays(&self, file: impl AsRef<Path>) {
        let file = file.as_ref();
        let scenario = self.load(file).unwrap_or_else(|problem| panic!("{problem}"));
        let seed = Seed(scenario.seed);
        let checked = Checked { scenario, ..self.clone() };
        let run =
            checked.run(&checked.scenario, seed).unwrap_or_else(|problem| panic!("{problem}"));
        if let Some(broken) = checked.broken(&run) {
            panic!("{}", Broken::of(&checked, seed, &run, broken, Some(file.to_owned())));
        }
    }

    fn known<'a>(&'a self, specs: &'a [crate::scenario::MetricSpec]) -> Known<'a> {
        Known {
            patterns: self.registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
            entities: self.registry.entities().iter().map(|entity| entity.name()).collect(),
            metrics: specs,
        }
    }

    fn load(&self, file: &Path) -> Result<Scenario, Problem> {
        let specs = metrics::specs();
        crate::scenario::load(file, &self.known(&specs)).map_err(Problem::settings)
    }

    /// The same checks that a scenario file gets.
    fn validate(&self) -> Result<(), Problem> {
        let specs = metrics::specs();
        let text = toml::to_string(&self.scenario).expect("a scenario can be written");
        crate::scenario::parse(Path::new("(test)"), &text, &self.known(&specs))
            .map(drop)
            .map_err(Problem::settings)
    }

    fn run(&self, scenario: &Scenario, seed: Seed) -> Result<Run, Problem> {
        run::run_once(scenario, &self.registry, &self.servers, seed).map_err(Problem::Run)
    }

    /// The first requirement that a run does not meet, and what was measured.
    fn broken(&self, run: &Run) -> Option<Unmet> {
        self.requirements.iter().find_map(|(name, comparison)| {
            let metric = metrics::find(name)?;
            let measured = (metric.value)(&run.measure)?;
            (!comparison.holds(measured)).then(|| Unmet {
                metric: name.clone(),
                wanted: comparison.to_string(),
                measured: measured.as_f64(),
            })
        })
    }

    fn tested(&self, whole: &Measure) -> Result<(), Problem> {
        let never = |reason: String| Err(Problem::NotTested(reason));
        if !self.strict {
            return Ok(());
        }
        if whole.reads.reads + whole.writes == 0 {
            return never("no operation was carried out".to_owned());
        }
        for (fault, struck) in self.scenario.faults.iter().zip(&whole.strikes) {
            if *struck == 0 {
                return never(fault.never_took_effect());
            }
        }
        if self.caches && whole.reads.reads > 0 && whole.reads.hits == 0 {
            return never("the cache never had a hit; say `.uncached()` if it has none".to_owned());
        }
        Ok(())
    }

    fn rows_of(&self) -> Option<&Arc<dyn crate::entity::Entity>> {
        self.registry.find_entity(&self.scenario.entity)
    }

    fn rules(&self) -> Vec<String> {
        self.scenario.faults.iter().map(ToString::to_string).collect()
    }
}

/// A requirement that was not met.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Unmet {
    pub metric: String,
    pub wanted: String,
    pub measured: f64,
}

impl Unmet {
    /// As expectations of a scenario file.
    fn expectation(&self) -> BTreeMap<String, toml::Value> {
        BTreeMap::from([(self.metric.clone(), toml::Value::String(self.wanted.clone()))])
    }
}
