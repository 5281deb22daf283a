//! What `run` and `check` say under one name: the same, or listed as to be renamed.
#![cfg(all(feature = "cli", feature = "sqlite"))]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;
use staleproof::metric::{METRICS, Source};

/// What no shipped scenario has: read-modify-writes beside inserts, deletes and lost replies.
const MODIFIES: &str = r#"
claim = "read-modify-writes lose nothing"
pattern = "write-through"

[workload]
clients = 4
rows = 4
operations = 60
mix = { read = 4, update = 2, insert = 1, delete = 2, modify = 2 }

[[fault]]
do = "lose-reply"
on = "db.commit"
probability = 0.1

[expect]
reads = "> 0"
"#;

/// Metrics by the name of the run.
type Told = BTreeMap<String, BTreeMap<String, Value>>;

fn metrics(of: &Value) -> BTreeMap<String, Value> {
    let metrics = of["metrics"].as_object().expect("results have metrics");
    metrics.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Runs scenarios once with a seed; gives what `run` tells, and what `check` tells of the
/// histories. Both name their files after the scenario.
fn told(scenarios: &Path, seed: u64) -> (Told, Told) {
    let folder = tempfile::tempdir().unwrap();
    let (histories, results) = (folder.path().join("histories"), folder.path().join("results"));
    let staleproof = || Command::cargo_bin("staleproof").unwrap();
    let mut run = staleproof();
    run.arg("run").arg(scenarios).args(["--runs", "1", "--seed", &seed.to_string()]);
    run.arg("--history").arg(&histories).arg("--out").arg(&results).output().unwrap();
    let mut by_run = Told::new();
    for file in std::fs::read_dir(&results).unwrap().map(|entry| entry.unwrap().path()) {
        if file.extension().is_some_and(|ending| ending == "json") {
            let text = std::fs::read_to_string(&file).unwrap();
            let name = file.file_stem().unwrap().to_string_lossy();
            by_run.insert(name.into_owned(), metrics(&serde_json::from_str(&text).unwrap()));
        }
    }
    let checked = staleproof().args(["check", "--measure", "--json"]).arg(&histories).output();
    let text = String::from_utf8(checked.unwrap().stdout).unwrap();
    let mut by_check = Told::new();
    for checked in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let checked = checked.unwrap();
        let file = Path::new(checked["history"].as_str().unwrap()).file_stem().unwrap();
        let file = file.to_string_lossy();
        let name = file.strip_suffix(&format!("-{seed}")).unwrap();
        by_check.insert(name.to_owned(), metrics(&checked));
    }
    (by_run, by_check)
}

/// Compares what both measured; notes the first run in which a metric differs.
fn compare(seed: u64, scenarios: &Path, differ: &mut BTreeMap<String, String>) -> u64 {
    let (by_run, by_check) = told(scenarios, seed);
    assert_eq!(by_run.keys().collect::<Vec<_>>(), by_check.keys().collect::<Vec<_>>());
    let mut compared = 0;
    for (scenario, run) in &by_run {
        let check = &by_check[scenario];
        let both: BTreeSet<&str> =
            run.keys().filter(|name| check.contains_key(*name)).map(String::as_str).collect();
        assert_eq!(both, told_by_both().collect());
        for name in both {
            let (Some(one), Some(other)) = (run[name].as_f64(), check[name].as_f64()) else {
                continue;
            };
            compared += 1;
            if one != other {
                let found = format!("{scenario}, seed {seed}: {one} in run, {other} in check");
                differ.entry(name.to_owned()).or_insert(found);
            }
        }
    }
    compared
}

fn told_by_both() -> impl Iterator<Item = &'static str> {
    let both = METRICS.iter().filter(|metric| {
        metric.told(Source::Run).is_some() && metric.told(Source::Check).is_some()
    });
    both.map(|metric| metric.name)
}

#[test]
fn metrics_of_one_name_agree_or_are_to_be_renamed() {
    let folder = tempfile::tempdir().unwrap();
    let modifies = folder.path().join("modifies.toml");
    std::fs::write(&modifies, MODIFIES).unwrap();
    let mut differ = BTreeMap::new();
    let mut compared = 0;
    for seed in [1, 2, 8] {
        compared += compare(seed, Path::new("scenarios"), &mut differ);
        compared += compare(seed, &modifies, &mut differ);
    }
    assert!(compared > 1_000, "{compared}");
    let marked: BTreeSet<&str> = METRICS
        .iter()
        .filter(|metric| metric.to_be_renamed.is_some())
        .map(|metric| metric.name)
        .collect();
    let unmarked: Vec<_> =
        differ.iter().filter(|(name, _)| !marked.contains(name.as_str())).collect();
    assert!(unmarked.is_empty(), "not listed as to be renamed: {unmarked:#?}");
    let never: Vec<_> = marked.iter().filter(|name| !differ.contains_key(**name)).collect();
    assert!(never.is_empty(), "to be renamed, though they never differ: {never:?}");
}
