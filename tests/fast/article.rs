//! The shipped scenarios come out as their files say, byte for byte as recorded.

use std::fmt::Write;
use std::path::Path;

use crate::common;
use staleproof::pattern::Registry;
use staleproof::report::json;
use staleproof::run::{self, Outcome, metrics};
use staleproof::scenario::{Known, find_files, load};

/// Every scenario's result, in the order of the files.
fn results() -> Vec<run::ScenarioResult> {
    let registry = Registry::built_in();
    let specs = metrics::specs();
    let known = Known {
        patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
        entities: vec!["product"],
        metrics: &specs,
    };
    let files = find_files(Path::new("scenarios/article")).unwrap();
    let run = |file: &std::path::PathBuf| {
        let scenario = load(file, &known).unwrap();
        let name = file.display().to_string();
        run::run(&scenario, &name, &registry, &common::servers(), &mut ()).unwrap()
    };
    files.iter().map(run).collect()
}

#[test]
fn every_scenario_comes_out_as_expected() {
    for result in results() {
        assert_eq!(result.outcome, Outcome::AsExpected, "{}: {result:#?}", result.scenario);
    }
}

/// Golden digests. `STALEPROOF_BLESS=1 cargo test --test fast article::` records new ones;
/// look at what changed and why before committing them.
#[test]
fn results_are_the_recorded_bytes() {
    let mut digests = String::new();
    for result in results() {
        // The version of SQLite is not ours.
        let text = json::render(&run::ScenarioResult { database: String::new(), ..result.clone() });
        let _ = writeln!(digests, "{:x}  {}", md5::compute(&text), result.scenario);
    }
    let golden = Path::new("tests/golden/scenarios.md5");
    if std::env::var_os("STALEPROOF_BLESS").is_some() {
        std::fs::write(golden, &digests).unwrap();
    }
    let recorded = std::fs::read_to_string(golden).unwrap();
    for (now, then) in digests.lines().zip(recorded.lines()) {
        assert_eq!(now, then);
    }
    assert_eq!(digests.lines().count(), recorded.lines().count());
}

#[test]
fn a_result_is_the_same_from_another_thread() {
    let text = "claim = '-'\npattern = 'cache-aside'\nruns = 3\n[cache]\nnodes = 3\n";
    let here = json::render(&common::result(text));
    let there = std::thread::spawn(move || json::render(&common::result(text))).join().unwrap();
    assert_eq!(here, there);
}

#[test]
fn one_more_client_moves_nothing_of_the_others() {
    use staleproof::entity::Product;
    use staleproof::plan::Plan;
    use staleproof::seed::Seed;
    let plan = |clients: u32| {
        let text = format!("claim = '-'\npattern = 'no-cache'\n[workload]\nclients = {clients}\n");
        Plan::draw(&common::scenario(&text), Seed(7), &Product)
    };
    let (three, four) = (plan(3), plan(4));
    for (a, b) in three.clients().iter().zip(four.clients()) {
        assert_eq!(a.ops, b.ops);
    }
    assert_eq!(three.rows(), four.rows());
}
