//! How long shrinking takes, and whether different seeds end in the same smallest form.
//!
//! For every hazard's scenario, seeds are hunted until some have failed; each failure is cut
//! down by itself. A form is the program and the schedule; it is compared among the seeds of a
//! scenario that end in the same finding. `cargo bench --bench shrinking`, or with the names of
//! hazards as arguments.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use staleproof::explore::{Counterexample, Hunt, Subject, hunt, narrow};
use staleproof::pattern::Registry;
use staleproof::run::metrics;
use staleproof::scenario::{Known, find_files, load};

/// Seeds that are hunted for each scenario, and failures of them that are cut down.
const SEEDS: u64 = 400;
const SHRUNK: usize = 8;

/// The forms of a finding, with how many seeds ended in each.
type Forms = BTreeMap<String, BTreeMap<String, u32>>;

fn form(example: &Counterexample) -> String {
    let scripts: Vec<_> = example.scenario.workload.groups.iter().map(|g| &g.script).collect();
    let choices: Vec<String> = example.choices.iter().map(ToString::to_string).collect();
    format!("{scripts:?} {}", choices.join(", "))
}

fn shrink(subject: &Subject) -> (Forms, Duration) {
    let go_on = || ControlFlow::Continue(());
    let wanted = Hunt { count: true, ..Hunt::over(1, SEEDS) };
    let hunted = hunt(subject, &wanted, &go_on).expect("models answer");
    let (mut forms, mut longest) = (Forms::new(), Duration::ZERO);
    for failure in hunted.failures.iter().take(SHRUNK) {
        let begun = Instant::now();
        let smallest = narrow(subject, failure, false, &mut |_| ControlFlow::Continue(()));
        longest = longest.max(begun.elapsed());
        let smallest = smallest.expect("models answer").expect("it failed");
        let finding = &smallest.finding;
        let name = format!("{} {:?} {}", finding.kind.name(), finding.hazard, finding.lasts.name());
        *forms.entry(name).or_default().entry(form(&smallest)).or_default() += 1;
    }
    (forms, longest)
}

fn main() {
    let registry = Registry::built_in();
    let specs = metrics::specs();
    let known = Known {
        patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
        entities: vec!["product"],
        metrics: &specs,
    };
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let (mut same, mut all, mut slowest) = (0, 0, Duration::ZERO);
    for file in find_files(Path::new("scenarios/hazards")).expect("the folder is there") {
        let id = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if !only.is_empty() && !only.contains(&id) {
            continue;
        }
        let scenario = load(&file, &known).unwrap_or_else(|_| panic!("{id} is well-formed"));
        let mut subject = Subject::whole(&scenario, &registry).expect("it fits a hunt");
        subject.scenario.seed = 1;
        let (forms, longest) = shrink(&subject);
        slowest = slowest.max(longest);
        for (finding, of_one) in &forms {
            let (seeds, most) = (of_one.values().sum::<u32>(), of_one.values().max());
            let most = most.copied().unwrap_or_default();
            println!(
                "{id:<28} {finding}: {seeds} seeds, {} forms, {most} in one, {longest:?} at most",
                of_one.len()
            );
            if of_one.len() > 1 {
                of_one.iter().for_each(|(form, seeds)| println!("    {seeds} × {form}"));
            }
            (same, all) = (same + most, all + seeds);
        }
    }
    println!(
        "{same} of {all} seeds ended in the commonest form of their finding ({:.1} %), the slowest \
         took {slowest:?}",
        100.0 * f64::from(same) / f64::from(all.max(1))
    );
}
