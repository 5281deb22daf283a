//! Every hazard's scenario comes to the hazard, named from the history alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;

use crate::common;
use staleproof::check::{States, incidents};
use staleproof::explore::{self, Limits, Sizes, Subject, Verdict};
use staleproof::pattern::Registry;
use staleproof::run::{self, metrics};
use staleproof::scenario::{Known, Scenario, find_files, load};
use staleproof::schedule::Search;
use staleproof::seed::Seed;

/// All scenarios of hazards, by the hazard's id.
fn scenarios() -> BTreeMap<String, Scenario> {
    let registry = Registry::built_in();
    let specs = metrics::specs();
    let known = Known {
        patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
        entities: vec!["product"],
        metrics: &specs,
    };
    let files = find_files(Path::new("scenarios/hazards")).unwrap();
    let load = |file: &std::path::PathBuf| {
        let id = file.file_stem().unwrap().to_string_lossy().into_owned();
        let scenario = load(file, &known).unwrap_or_else(|problems| {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("{}", problems.join("\n"))
        });
        (id, scenario)
    };
    files.iter().map(load).collect()
}

/// The hazards of all runs of a scenario, from their histories: title, pattern and file play
/// no part.
fn hazards(scenario: &Scenario) -> BTreeMap<&'static str, u64> {
    let registry = Registry::built_in();
    let mut found = BTreeMap::new();
    for number in 0..scenario.runs {
        let seed = Seed(scenario.seed).of_run(number);
        let run = run::run_once(scenario, &registry, &common::servers(), seed).unwrap();
        let states = States::new(&run.history);
        for incident in incidents::find(&run.history, &states, &run.entries, 100) {
            *found.entry(incident.hazard.unwrap_or("none")).or_insert(0) += 1;
        }
    }
    found
}

/// Scenarios whose hazard is seen in a metric and not in an incident.
const BY_METRIC: [&str; 2] = ["thundering-herd", "ttl-30-day"];

#[test]
fn every_scenario_comes_to_its_hazard() {
    let mut wrong = Vec::new();
    for (id, scenario) in scenarios() {
        let found = hazards(&scenario);
        println!("{id:<28} {found:?}");
        let explained: BTreeSet<_> = found.keys().copied().collect();
        if explained.contains("none") || explained.contains("unexplained") {
            wrong.push(format!("{id}: something is not explained: {found:?}"));
        }
        if !BY_METRIC.contains(&id.as_str()) && !explained.contains(id.as_str()) {
            wrong.push(format!("{id}: not found: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The confusion table: what each scenario comes to, its claim and its expectations taken away.
/// Every hazard is told from every other: of any two, the rows differ in what they say of these
/// two.
#[test]
fn every_hazard_is_told_from_every_other() {
    let table: BTreeMap<String, BTreeSet<&str>> = scenarios()
        .into_iter()
        .filter(|(id, _)| !BY_METRIC.contains(&id.as_str()))
        .map(|(id, scenario)| {
            let (claim, explore) = ("-".to_owned(), Default::default());
            let nameless = Scenario { claim, explore, ..scenario };
            (id, hazards(&nameless).into_keys().collect())
        })
        .collect();
    let mut confused = Vec::new();
    for (one, of_one) in &table {
        for (other, of_other) in table.range::<String, _>(one..).skip(1) {
            let says = |row: &BTreeSet<&str>| (row.contains(&**one), row.contains(&**other));
            if says(of_one) == says(of_other) {
                confused.push(format!("{one} and {other}: {of_one:?}, {of_other:?}"));
            }
        }
    }
    assert!(table.len() >= 60, "{}", table.len());
    assert!(confused.is_empty(), "{}", confused.join("\n"));
}

/// What the test of runs sees, and a search may not judge.
const SEEN_BY_RUNS: [&str; 3] = ["cached-counter-double-apply", "multiget-skew", "torn-multi-key"];

/// What a scenario is explored to, and the marks that its schedules reached.
fn explored(scenario: &Scenario) -> (String, BTreeSet<String>, Vec<String>) {
    let registry = Registry::built_in();
    let subject = Subject::of(scenario, &registry, Sizes::default()).unwrap();
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let search = Search { reduce: true, switches: None };
    let limits = Limits { schedules: 200_000 };
    let found = explore::explore(&subject, search, limits, go_on).unwrap();
    let verdict = match &found.verdict {
        Verdict::Holds => "holds".to_owned(),
        Verdict::Violated => "violated".to_owned(),
        Verdict::Unknown(reason) => format!("unknown: {reason}"),
    };
    let hazards = found.findings.iter().filter_map(|(finding, _)| finding.hazard.clone());
    (verdict, hazards.collect(), found.marks.iter().map(ToString::to_string).collect())
}

#[test]
fn every_defence_holds_in_the_bound_that_breaks_the_pattern() {
    let mut wrong = Vec::new();
    let mut explored_in_all = 0;
    for (id, scenario) in scenarios() {
        let settings = scenario.explore.clone();
        let (Some(_), Some(defence)) = (&settings.hazard, &settings.defence) else { continue };
        explored_in_all += 1;
        let (verdict, ..) = explored(&scenario);
        if verdict != "violated" && !SEEN_BY_RUNS.contains(&id.as_str()) {
            wrong.push(format!("{id}: {} {verdict}", scenario.pattern));
        }
        let defended = Scenario {
            pattern: defence.clone(),
            settings: settings.defence_settings.clone(),
            ..scenario.clone()
        };
        let (verdict, hazards, marks) = explored(&defended);
        if verdict != "holds" {
            wrong.push(format!("{id}: {defence} {verdict} {hazards:?}"));
        }
        let window = settings.window.map(|window| window.mark().to_owned());
        if window.is_none() {
            wrong.push(format!("{id}: nothing says that the race was entered: {marks:?}"));
        }
        for mark in settings.mark.into_iter().chain(window) {
            if !marks.contains(&mark) {
                wrong.push(format!("{id}: {defence} never entered the race: {marks:?}"));
            }
        }
    }
    assert!(explored_in_all >= 60, "{explored_in_all}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
