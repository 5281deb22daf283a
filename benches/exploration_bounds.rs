//! Every built-in pattern, searched whole within the bounds that are promised: schedules, states,
//! time, and what came out.
//!
//! `cargo bench --bench exploration_bounds`, or with the names of patterns as arguments; add
//! `reads` to ask about reads beside the final state.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use staleproof::explore::{Limits, Sizes, Subject, Verdict, explore};
use staleproof::pattern::{Entry, Registry};
use staleproof::scenario::{Known, Property, parse};
use staleproof::schedule::Search;

/// Readers, writers, keys, faults.
const BOUNDS: [(u32, u32, u32, u32); 3] = [(2, 2, 1, 1), (3, 3, 1, 0), (1, 1, 2, 1)];
/// States of larger searches than that fill the memory of a small machine.
const SCHEDULES_MAX: u64 = 20_000_000;
/// A bound that takes longer is given up, and said to be.
const TIME_MAX: Duration = Duration::from_secs(300);

fn row(entry: &Entry, registry: &Registry, bound: (u32, u32, u32, u32), properties: &[Property]) {
    let known = Known { patterns: vec![&entry.name], entities: vec!["product"], metrics: &[] };
    let text = format!("claim = '-'\npattern = '{}'\n", entry.name);
    let scenario = parse(Path::new("bench.toml"), &text, &known).expect("it is well-formed");
    let (readers, writers, keys, faults) = bound;
    let sizes = Sizes { readers: Some(readers), writers: Some(writers), keys: Some(keys) };
    let mut subject = Subject::of(&scenario, registry, sizes).expect("it fits a search");
    subject.properties = properties.to_vec();
    // A verdict needs no names; how entries came to be then tells no states apart.
    subject.name_hazards = false;
    subject.allow_faults(faults);
    let begun = Instant::now();
    let watch = &mut |_: &_| match begun.elapsed() > TIME_MAX {
        true => ControlFlow::Break(format!("{TIME_MAX:?} went by")),
        false => ControlFlow::Continue(()),
    };
    let search = Search { reduce: true, switches: None };
    let limits = Limits { schedules: SCHEDULES_MAX };
    let found = explore(&subject, search, limits, watch).expect("models answer");
    let mut kinds: Vec<&str> = found.findings.iter().map(|(f, _)| f.kind.name()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let verdict = match (&found.verdict, found.complete) {
        (Verdict::Holds, _) => "holds".to_owned(),
        (Verdict::Violated, true) => format!("violated: {}", kinds.join(", ")),
        (Verdict::Violated, false) => format!("violated, not exhausted: {}", kinds.join(", ")),
        (Verdict::Unknown(reason), _) => format!("unknown: {reason}"),
    };
    let effort = found.effort;
    println!(
        "{:<26} {readers} x {writers} x {keys}, {faults} faults {:>9} {:>9} {:>10.1?}  {verdict}",
        entry.name,
        effort.schedules + effort.pruned,
        effort.states,
        begun.elapsed(),
    );
}

fn main() {
    let registry = Registry::built_in();
    let mut only: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut properties = vec![Property::FinalState];
    if only.iter().any(|argument| argument == "reads") {
        properties.push(Property::Reads);
        only.retain(|argument| argument != "reads");
    }
    println!("{:<26} {:<22} schedules    states       time  verdict", "pattern", "bound");
    for bound in BOUNDS {
        for entry in registry.patterns() {
            let wanted = only.is_empty() || only.contains(&entry.name);
            if !entry.flawed && wanted {
                row(entry, &registry, bound, &properties);
            }
        }
    }
}
