//! Rules that make a verdict true: each has a test that fails when it is broken. The list of all
//! rules, with the tests that stand elsewhere, is `docs/soundness.md`.

mod document;
mod effects;
mod exit_codes;
mod exploration;
mod faults;
mod operations;
mod processes;

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use staleproof::explore::{self, Exploration, Finding, Hunt, Kind, Limits, Sizes, Subject};
use staleproof::pattern::Registry;
use staleproof::run::{self, Run};
use staleproof::schedule::{RunError, Search};
use staleproof::seed::Seed;

use crate::common;

const REDUCED: Search = Search { reduce: true, switches: None };
const WHOLE: Search = Search { reduce: false, switches: None };

/// A scenario on one row, with a client for each of the scripts.
fn program(pattern: &str, sections: &str, clients: &[&[&str]]) -> String {
    let mut text = format!("claim = '-'\npattern = '{pattern}'\n[workload]\nrows = 1\n");
    for script in clients {
        text.push_str(&format!("[[workload.group]]\nclients = 1\nscript = {script:?}\n"));
    }
    text + sections
}

fn subject(registry: &Registry, text: &str) -> Subject {
    let scenario = common::try_scenario(text, registry).unwrap();
    Subject::of(&scenario, registry, Sizes::default()).unwrap()
}

fn try_explore(subject: &Subject, search: Search) -> Result<Exploration, RunError> {
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    explore::explore(subject, search, Limits::default(), go_on)
}

fn explored(subject: &Subject, search: Search) -> BTreeSet<Finding> {
    let exploration = try_explore(subject, search).unwrap();
    assert!(exploration.complete, "{:?}", exploration.verdict);
    exploration.findings.into_iter().map(|(finding, _)| finding).collect()
}

/// What many schedules by chance come to.
fn hunted(subject: &Subject, seeds: u64) -> BTreeSet<Finding> {
    let wanted = Hunt { count: true, ..Hunt::over(1, seeds) };
    let hunted = explore::hunt(subject, &wanted, &|| ControlFlow::Continue(())).unwrap();
    hunted.failures.into_iter().flat_map(|failure| failure.findings).collect()
}

fn kinds(findings: &BTreeSet<Finding>) -> BTreeSet<Kind> {
    findings.iter().map(|finding| finding.kind).collect()
}

/// One run of a pattern of one's own.
fn run_once(registry: &Registry, text: &str) -> Run {
    let scenario = common::try_scenario(text, registry).unwrap();
    run::run_once(&scenario, registry, &common::servers(), Seed(1)).unwrap()
}
