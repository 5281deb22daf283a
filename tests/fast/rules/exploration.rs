//! What exploration leaves out and what it says of that: rule 22.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use staleproof::explore::{Finding, Kind};
use staleproof::pattern::Registry;
use staleproof::scenario::Property;

use super::{REDUCED, WHOLE, kinds, program, subject, try_explore};

const REAL_TIME: [Property; 3] = [Property::Linearizability, Property::Sessions, Property::Load];

fn in_processes(processes: usize, text: &str) -> String {
    text.replace("rows = 1\n", &format!("rows = 1\nprocesses = {processes}\n"))
}

/// Few enough operations for every schedule to be run.
fn in_real_time(random: &mut StdRng, patterns: &[&str]) -> String {
    let pattern = patterns.choose(random).unwrap();
    let mut clients: Vec<Vec<&str>> = vec![Vec::new(); random.random_range(2..4)];
    for operation in 0..random.random_range(3..5) {
        let verb = ["read 0", "read 0", "update 0"].choose(random).unwrap();
        let place = operation % clients.len();
        clients[place].push(verb);
    }
    let clients: Vec<&[&str]> = clients.iter().map(Vec::as_slice).collect();
    in_processes(random.random_range(1..=clients.len()), &program(pattern, "", &clients))
}

/// Only what had returned before what was invoked can be seen of real time: all other orders may
/// be left out, and none of these.
#[test]
fn reductions_keep_what_returned_before_what_began() {
    let patterns = ["no-cache", "cache-aside", "read-through", "write-through", "local-cache"];
    let registry = Registry::built_in();
    let mut random = StdRng::seed_from_u64(22);
    let (mut compared, mut seen) = (0, BTreeSet::new());
    let mut lost = Vec::new();
    // The last step of the update and the second read of the copy have nothing else in common.
    let clients: [&[&str]; 2] = [&["read 0", "read 0"], &["update 0"]];
    let copies = in_processes(2, &program("local-cache", "", &clients));
    let generated = (0..60).map(|_| in_real_time(&mut random, &patterns));
    for text in std::iter::once(copies).chain(generated) {
        let mut subject = subject(&registry, &text);
        subject.name_hazards = false;
        subject.properties = REAL_TIME.to_vec();
        let limited = staleproof::explore::Limits { schedules: 800 };
        let go_on = &mut |_: &_| std::ops::ControlFlow::Continue(());
        let whole = staleproof::explore::explore(&subject, WHOLE, limited, go_on).unwrap();
        if !whole.complete {
            continue;
        }
        compared += 1;
        let reduced = try_explore(&subject, REDUCED).unwrap();
        let of = |exploration: staleproof::explore::Exploration| -> BTreeSet<Finding> {
            exploration.findings.into_iter().map(|(finding, _)| finding).collect()
        };
        let (whole, reduced) = (of(whole), of(reduced));
        seen.extend(kinds(&whole));
        if whole != reduced {
            lost.push(format!("{text}{reduced:?}\nnot {whole:?}"));
        }
    }
    println!("{compared} programs compared: {seen:?}");
    assert!(lost.is_empty(), "{} programs\n{}", lost.len(), lost.join("\n\n"));
    assert!(compared >= 20, "{compared} programs were small enough");
    for kind in [Kind::NotLinearizable, Kind::ReadYourWrites, Kind::Herd] {
        assert!(seen.contains(&kind), "{kind:?} is in none of {compared} programs: {seen:?}");
    }
}
