//! Generated programs, each asked of the tool and of the second implementation.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use staleproof::explore::{self, Limits, Sizes, Subject};
use staleproof::pattern::Registry;
use staleproof::schedule::Search;

use super::cases::program;
use super::judge::{Finding, STEPS, findings, scenario};
use super::program::{Ask, Clock, Explored, Fault, Program, Strategy, Verb};
use crate::common;

/// How many programs are compared, and how many schedules one may have: a larger one loses
/// operations until it fits.
fn sizes() -> (u64, u64) {
    if is_set("STALEPROOF_LONG") { (2_000, 5_000) } else { (150, 1_000) }
}

const STRATEGIES: [Strategy; 5] = [
    Strategy::CacheAside,
    Strategy::WriteThrough,
    Strategy::DeleteBeforeWrite,
    Strategy::Lease,
    Strategy::VersionedSet,
];

/// Whether times can matter to a generated program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Given,
    None,
}

fn generated(random: &mut StdRng, times: Times) -> Program {
    let mut made = program(*STRATEGIES.choose(random).unwrap(), "read 0");
    made.clients = vec![Vec::new(); *[1, 2, 2, 3, 3].choose(random).unwrap()];
    made.rows = *[1, 1, 1, 2].choose(random).unwrap();
    let reads = [
        &[Verb::Read, Verb::Update][..],
        &[Verb::Read, Verb::Read, Verb::Update, Verb::Modify, Verb::Delete],
    ];
    // Only reads ask for what may have expired.
    let verbs = match times {
        Times::None if random.random_range(0..3) == 0 => {
            &[Verb::Modify, Verb::Update, Verb::Delete]
        }
        _ => *reads.choose(random).unwrap(),
    };
    for place in 0..random.random_range(2..=5) {
        let (verb, row) = (*verbs.choose(random).unwrap(), random.random_range(0..made.rows));
        let pause = match times {
            Times::Given => *[0, 0, 0, 90, 400, 900, 1_100, 1_900].choose(random).unwrap(),
            Times::None => 0,
        };
        let client = place % made.clients.len();
        made.clients[client].push(Ask { pause, verb, row });
    }
    made.clients.retain(|client| !client.is_empty());
    made.fault = match random.random_range(0..6) {
        0 | 1 => Some(Fault::LoseReply(STEPS.choose(random).unwrap().1)),
        2 => Some(Fault::Crash { first: true }),
        _ => None,
    };
    made.processes = *[1, made.clients.len()].choose(random).unwrap();
    made.ttl = *[0, 300].choose(random).unwrap();
    if times == Times::Given {
        made.ttl = *[0, 1, 1, 2].choose(random).unwrap();
        made.lease_ttl = *[1, 30].choose(random).unwrap();
        made.pauses = *[0, 0, 0, 1].choose(random).unwrap();
        made.database_timeout = *[400, 1_000].choose(random).unwrap();
    }
    made
}

/// Takes operations away until the program has few enough schedules.
fn fitted(mut program: Program, schedules_max: u64) -> (Program, Explored) {
    loop {
        if let Some(explored) = program.explore(schedules_max) {
            return (program, explored);
        }
        let longest = program.clients.iter_mut().max_by_key(|client| client.len());
        longest.expect("it has clients").pop();
        program.clients.retain(|client| !client.is_empty());
        program.processes = program.processes.min(program.clients.len());
    }
}

fn by_the_tool(text: &str) -> BTreeSet<Finding> {
    let mut subject =
        Subject::of(&common::scenario(text), &Registry::built_in(), Sizes::default()).unwrap();
    subject.name_hazards = false;
    let search = Search { reduce: true, switches: None };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let explored = explore::explore(&subject, search, Limits::default(), go_on).unwrap();
    assert!(explored.complete, "{text}");
    let finding = |finding: &explore::Finding| {
        let row = finding.key.strip_prefix("product:").unwrap().parse().unwrap();
        (finding.kind.name(), row, finding.lasts.name())
    };
    explored.findings.iter().map(|(found, _)| finding(found)).collect()
}

/// What both find; `None` when that is the same.
fn difference(program: &Program, explored: &Explored) -> Option<String> {
    let text = scenario(program);
    let (mut tool, mut here) = (by_the_tool(&text), findings(program, explored));
    // What a modify was based on whose process died nobody was told: the tool does not judge it.
    if matches!(program.fault, Some(Fault::Crash { .. })) {
        tool.retain(|finding| finding.0 != "lost-update");
        here.retain(|finding| finding.0 != "lost-update");
    }
    let only = |one: &BTreeSet<Finding>, other| one.difference(other).copied().collect::<Vec<_>>();
    let (missed, added) = (only(&here, &tool), only(&tool, &here));
    (tool != here).then(|| format!("{text}the tool misses {missed:?}, and adds {added:?}\n"))
}

/// In how many programs something happened in some schedule.
#[derive(Debug, Default)]
struct Shares {
    programs: u64,
    schedules: u64,
    found: u64,
    faulted: u64,
    expired: u64,
}

impl Shares {
    fn add(&mut self, program: &Program, explored: &Explored) {
        self.programs += 1;
        self.schedules += explored.schedules;
        self.found += u64::from(!findings(program, explored).is_empty());
        self.faulted += u64::from(explored.faulted);
        self.expired += u64::from(explored.expired);
    }

    fn show(&self) {
        let Shares { programs, schedules, found, faulted, expired } = self;
        let percent = |count: &u64| 100 * count / programs;
        println!(
            "{programs} programs, {schedules} schedules; {} % with a finding, {} % with a fault \
             that took effect, {} % with an item that expired",
            percent(found),
            percent(faulted),
            percent(expired)
        );
    }
}

fn is_set(variable: &str) -> bool {
    std::env::var_os(variable).is_some()
}

#[test]
fn untimed_programs_have_the_findings_that_the_tool_finds() {
    let (programs, most) = sizes();
    let mut random = StdRng::seed_from_u64(22);
    let (mut shares, mut timed, mut differ) = (Shares::default(), 0, Vec::new());
    // Verdicts of these were false once.
    let scripts = ["modify 0, update 0 | update 0", "delete 0, update 0 | modify 0"];
    let named = STRATEGIES.into_iter().flat_map(|of| scripts.map(|script| program(of, script)));
    let mut named = named.collect::<Vec<_>>().into_iter();
    while shares.programs < programs {
        let made = named.next().unwrap_or_else(|| generated(&mut random, Times::None));
        let (program, explored) = fitted(made, most);
        let untimed = Program { clock: Clock::Off, ..program.clone() };
        let free = untimed.explore(u64::MAX).expect("all are counted");
        // A pause that a pattern takes, or a timeout, may forbid an order.
        if free.slept || findings(&program, &free) != findings(&program, &explored) {
            timed += 1;
            continue;
        }
        shares.add(&program, &explored);
        differ.extend(difference(&program, &explored));
    }
    shares.show();
    println!("{timed} more in which time matters");
    assert!(differ.is_empty(), "{} programs differ\n{}", differ.len(), differ.join("\n"));
    let least = programs / 5;
    assert!(shares.found >= least && shares.faulted >= least, "{shares:?}");
}

/// Each rule of time is in play.
#[test]
fn timed_programs_have_the_findings_that_the_tool_finds() {
    let (programs, most) = sizes();
    let mut random = StdRng::seed_from_u64(7);
    let (mut shares, mut differ) = (Shares::default(), Vec::new());
    for _ in 0..programs {
        let (program, explored) = fitted(generated(&mut random, Times::Given), most);
        shares.add(&program, &explored);
        differ.extend(difference(&program, &explored));
    }
    shares.show();
    assert!(differ.is_empty(), "{} programs differ\n{}", differ.len(), differ.join("\n"));
    let least = programs / 5;
    let Shares { found, faulted, expired, .. } = shares;
    assert!(found >= least && faulted >= least && expired >= least, "{shares:?}");
}
