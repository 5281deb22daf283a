//! What several tests need.
#![allow(dead_code, reason = "each test uses its own part")]

use std::path::Path;
use std::process::{Command, Stdio};

use staleproof::operation::Reply;
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::run::{self, DatabaseChoice, Run, ScenarioResult, Servers, metrics};
use staleproof::scenario::{Known, Problem, Scenario, parse};
use staleproof::seed::Seed;
use staleproof::step::RowId;

pub fn try_scenario(text: &str, registry: &Registry) -> Result<Scenario, Vec<Problem>> {
    let specs = metrics::specs();
    let known = Known {
        patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
        entities: registry.entities().iter().map(|entity| entity.name()).collect(),
        metrics: &specs,
    };
    parse(Path::new("test.toml"), text, &known)
}

pub fn scenario(text: &str) -> Scenario {
    try_scenario(text, &Registry::built_in()).unwrap_or_else(|problems| {
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        panic!("{}", problems.join("\n"))
    })
}

/// Whether memcached is installed; where it is not, says that a test is skipped, or fails it where
/// servers are required.
pub fn has_memcached() -> bool {
    let found = Command::new("memcached").arg("-V").stdout(Stdio::null()).status().is_ok();
    let required = std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_some();
    assert!(found || !required, "memcached is not installed: apt-get install memcached");
    if !found {
        println!("SKIPPED: memcached is not installed");
    }
    found
}

pub fn servers() -> Servers {
    Servers { database: DatabaseChoice::Sqlite, ..Servers::default() }
}

/// One run of a scenario given as text.
pub fn run_once(text: &str, seed: u64) -> Run {
    run::run_once(&scenario(text), &Registry::built_in(), &servers(), Seed(seed)).unwrap()
}

/// All runs of a scenario given as text.
pub fn result(text: &str) -> ScenarioResult {
    run::run(&scenario(text), "test.toml", &Registry::built_in(), &servers(), &mut ()).unwrap()
}

/// A read through the cache, as patterns of tests do it.
pub async fn read(cx: &Cx, id: RowId) -> Result<Reply, Failure> {
    let key = cx.key(id);
    if let Some(hit) = cx.cache.get(&key).await? {
        return Ok(Reply::Row(Some(cx.open(&hit)?)));
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        cx.cache.set(&key, cx.seal(row), cx.ttl()).await?;
    }
    Ok(Reply::Row(row))
}

/// The steps that an operation took, by name, in the order in which they took effect.
pub fn steps_of(run: &Run, op: &str) -> Vec<&'static str> {
    let mut steps: Vec<_> =
        run.history.steps.iter().filter(|step| step.op.to_string() == op).collect();
    steps.sort_by_key(|step| if step.order == 0 { u64::MAX } else { step.order });
    steps.iter().map(|step| step.kind.name()).collect()
}
