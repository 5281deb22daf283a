//! Programs whose verdicts, or ends, are known from elsewhere: the second implementation is held
//! to them before anything is held to it.

use std::collections::BTreeSet;

use super::judge::{STEPS, findings, property_of};
use super::program::{Ask, CLOCK, Clock, End, Fault, Program, Strategy, Told, Verb};

/// `read 0 500, update 0 | read 1`: pauses are in milliseconds.
fn clients(text: &str) -> Vec<Vec<Ask>> {
    let ask = |text: &str| {
        let words: Vec<&str> = text.split_whitespace().collect();
        let verb = match words[0] {
            "read" => Verb::Read,
            "update" => Verb::Update,
            "modify" => Verb::Modify,
            "delete" => Verb::Delete,
            other => panic!("{other}"),
        };
        let pause = words.get(2).map_or(0, |pause| pause.parse().unwrap());
        Ask { pause, verb, row: words[1].parse().unwrap() }
    };
    text.split('|').map(|client| client.split(',').map(ask).collect()).collect()
}

/// A program with the defaults of a scenario, but for items that never expire.
pub fn program(strategy: Strategy, text: &str) -> Program {
    Program {
        strategy,
        clients: clients(text),
        rows: 2,
        processes: 1,
        together: true,
        fault: None,
        pauses: 0,
        ttl: 0,
        lease_ttl: 30,
        delay: 500,
        cache_timeout: 50,
        database_timeout: 1_000,
        clock: CLOCK,
    }
}

/// The properties that a program breaks.
fn violated(program: &Program) -> BTreeSet<&'static str> {
    let explored = program.explore(2_000_000).expect("it is small");
    findings(program, &explored).iter().map(property_of).collect()
}

#[test]
fn a_ttl_of_two_seconds_has_any_length_from_one_to_two() {
    let mut program = program(Strategy::ReadThrough, "read 0, read 0 1800 | update 0");
    program.ttl = 2;
    assert!(violated(&program).contains("reads"));
    program.clients = clients("read 0, read 0 2000 | update 0");
    assert!(!violated(&program).contains("reads"));
}

/// Items of a node expire by one clock: where that of 0.6 s is gone at 0.8 s, that of 0 s is too.
#[test]
fn items_of_a_node_expire_by_one_clock() {
    let script = "read 0, read 1 600, read 1 200, read 0 | update 0 700, update 1";
    let mut program = program(Strategy::ReadThrough, script);
    (program.ttl, program.cache_timeout, program.database_timeout) = (1, 1, 1);
    let explored = program.explore(20_000).unwrap();
    let found = |told: &Told| match told {
        Told::Read { found, .. } => found.unwrap(),
        other => panic!("{other:?}"),
    };
    let pairs = explored.ends.iter().map(|end| (found(&end.told[0][2]), found(&end.told[0][3])));
    assert_eq!(pairs.collect::<BTreeSet<_>>(), BTreeSet::from([(0, 0), (0, 1), (1, 1)]));
}

#[test]
fn short_pauses_add_up_beside_an_expiry() {
    let script = "read 0, update 0, read 1 900, read 0 900";
    let mut program = program(Strategy::ReadThrough, script);
    program.ttl = 1;
    assert!(!violated(&program).contains("reads"));
    program.clients = clients("read 0, update 0, read 1 400, read 0 400");
    assert!(violated(&program).contains("reads"));
}

/// The select takes effect at 0.48 s, the update at 0.50 s and the set at 0.53 s, unless a
/// statement gives up before.
#[test]
fn a_pause_shorter_than_a_statement_does_not_order_it() {
    let script = "read 0, read 0 999, read 0 1000, read 0 1500 | update 0 500";
    let mut program = program(Strategy::CacheAside, script);
    program.ttl = 300;
    assert_eq!(violated(&program), BTreeSet::from(["final-state", "reads"]));
    program.database_timeout = 400;
    assert!(violated(&program).is_empty());
}

/// With the reply at the moment of the effect it would hold: the reply of the select is late.
#[test]
fn a_reply_comes_later_than_its_effect() {
    let mut program = program(Strategy::DelayedDoubleDelete, "read 0 | update 0");
    assert!(violated(&program).contains("final-state"));
    program.delay = 1_050;
    assert!(violated(&program).is_empty());
}

/// To outlive a lock of 10 s its holder needs a step of 10 s, and whoever takes the lock then
/// must be as late, unless it begins when it likes.
#[test]
fn a_pause_lifts_the_bound_of_one_step_of_one_client() {
    let mut program = program(Strategy::ItemLock, "read 0 | update 0");
    program.lease_ttl = 10;
    let mut verdicts = |together| {
        program.together = together;
        [0, 1, 2].map(|pauses| {
            program.pauses = pauses;
            violated(&program).contains("final-state")
        })
    };
    assert_eq!(verdicts(true), [false, false, true]);
    assert_eq!(verdicts(false), [false, true, true]);
}

/// Who loses a reply waits for just as long as its timeout: who does not has begun by then.
#[test]
fn a_lost_reply_costs_its_timeout() {
    let mut program = program(Strategy::CacheAside, "update 0, update 0 | read 0");
    program.fault = Some(Fault::LoseReply(STEPS[1].1));
    let most_known = |program: &Program| {
        let explored = program.explore(20_000).unwrap();
        let lost = explored.ends.iter().filter(|end| matches!(end.told[0][0], Told::Failed { .. }));
        let known = lost.map(|end| match end.told[1][0] {
            Told::Read { known, .. } => known,
            other => panic!("{other:?}"),
        });
        known.max()
    };
    assert_eq!(most_known(&program), Some(1));
    program.clock = Clock::Off;
    assert_eq!(most_known(&program), Some(2));
}

/// What a process had sent when it died takes effect after it has begun again.
#[test]
fn what_was_sent_survives_its_process() {
    let mut program = program(Strategy::CacheAside, "update 0, read 0");
    program.fault = Some(Fault::Crash { first: false });
    assert!(violated(&program).is_empty());
    program.fault = Some(Fault::Crash { first: true });
    assert_eq!(violated(&program), BTreeSet::from(["final-state"]));
}

/// The ends of generated programs, as a search over a grid of times finds them that was written
/// apart, in another language. A line is a program and what its reads returned, with the number
/// of commits before, and what its rows' entries are where none expires.
#[test]
fn ends_are_those_of_a_search_over_a_grid_of_times() {
    let (mut programs, mut expired) = (0, 0);
    for line in include_str!("grid.txt").lines() {
        let (text, ends) = line.split_once('\t').unwrap();
        let program = on_grid(text);
        let explored = program.explore(200_000).expect("it is small");
        let ours: BTreeSet<String> =
            explored.ends.iter().map(|end| shown(end, program.ttl > 0)).collect();
        let theirs: BTreeSet<String> = ends.split(';').map(str::to_owned).collect();
        assert_eq!(ours, theirs, "{text}");
        programs += 1;
        expired += u32::from(explored.expired);
    }
    assert!(programs >= 200 && expired >= programs / 5, "{programs}, {expired}");
}

/// `WriteThrough 1 20 0 1 10 0 1 0r0|3u0`: timeouts of cache and database, TTLs of entries and
/// locks, the delay of a second delete, pauses, rows; 20 units are a second.
fn on_grid(text: &str) -> Program {
    let words: Vec<&str> = text.split(' ').collect();
    let number = |place: usize| words[place].parse::<i64>().unwrap();
    let strategy = match words[0] {
        "CacheAside" => Strategy::CacheAside,
        "WriteThrough" => Strategy::WriteThrough,
        "ReadThrough" => Strategy::ReadThrough,
        "ItemLock" => Strategy::ItemLock,
        _ => Strategy::DelayedDoubleDelete,
    };
    let script = words[8].replace('|', " | ").replace(',', " , ");
    let in_words = |word: &str| match word.split_once(['r', 'u']) {
        None => word.to_owned(),
        Some((pause, row)) => {
            let verb = if word.contains('r') { "read" } else { "update" };
            format!("{verb} {row} {pause}")
        }
    };
    let script: Vec<String> = script.split(' ').map(in_words).collect();
    Program {
        cache_timeout: number(1),
        database_timeout: number(2),
        ttl: number(3),
        lease_ttl: number(4),
        delay: number(5),
        pauses: number(6) as u8,
        rows: number(7) as usize,
        clock: Clock::On { second: 20, grain: 1 },
        ..program(strategy, &script.join(" "))
    }
}

fn shown(end: &End, expires: bool) -> String {
    let read = |told: &Told| match told {
        Told::Read { found, known, .. } => Some(format!("{}:{known}", found.unwrap())),
        _ => None,
    };
    let of_client = |told: &Vec<Told>| told.iter().filter_map(read).collect::<Vec<_>>().join(",");
    let reads = end.told.iter().map(of_client).collect::<Vec<_>>().join("/");
    let entry = |entry: &Option<u8>| entry.map_or("-".to_owned(), |version| version.to_string());
    let entries = end.entries.iter().map(entry).collect::<Vec<_>>().join(",");
    format!("{reads} {}", if expires { "?" } else { &entries })
}
