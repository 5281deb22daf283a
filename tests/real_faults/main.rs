//! Each real fault once, on a real memcached under load, with its witness; and a soak in which
//! all of them happen at random.
//!
//! Without the binary the tests say so and pass, unless `STALEPROOF_REQUIRE_SERVERS` is set.
#![cfg(all(
    feature = "memcached",
    feature = "serve",
    feature = "sqlite",
    feature = "cli",
    target_os = "linux"
))]

#[path = "../common/mod.rs"]
mod common;

use std::time::{Duration, Instant};

use common::has_memcached;
use staleproof::load::fault::{RealFault, RealWhat};
use staleproof::load::{self, Options, Outcome};
use staleproof::pattern::Registry;
use staleproof::run::{CacheChoice, DatabaseChoice, Servers};
use staleproof::seed::{Seed, below};

fn load(scenario: &str, duration: Duration, faults: Vec<RealFault>) -> Outcome {
    let servers =
        Servers { cache: CacheChoice::own("memcached"), database: DatabaseChoice::Sqlite };
    let warm_up = Duration::ZERO;
    let options =
        Options { clients: 3, duration, warm_up, rate: None, seed: Seed(7), faults, history: None };
    let scenario = common::scenario(scenario);
    load::run(&scenario, &Registry::built_in(), &servers, &options, &mut |_| true).unwrap()
}

const BASE: &str = "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 8\n[cache]\n\
                    timeout = '60ms'\n";

fn short() -> Duration {
    Duration::from_millis(700)
}

/// What a load came to, with the only fault that it had.
fn struck(outcome: &Outcome) -> (u64, &str) {
    let [fault] = &outcome.faults[..] else { panic!("one fault was given: {outcome}") };
    assert_eq!(outcome.not_tested, [""; 0], "{outcome}");
    assert_eq!(outcome.problem, None, "{outcome}");
    (fault.struck, &fault.witness)
}

fn errors(outcome: &Outcome) -> u64 {
    outcome.failed + outcome.unknown
}

#[test]
fn rules_of_a_scenario_strike_requests_on_the_wire() {
    if !has_memcached() {
        return;
    }
    for (what, more) in [
        ("refuse", ""),
        ("lose-request", "budget = 4\n"),
        ("lose-reply", "budget = 4\n"),
        ("deliver-late", "budget = 4\ndelay = '5ms'\n"),
        ("fail", ""),
    ] {
        // The fault of the article: the cache fails after the commit.
        let fault = format!(
            "[[fault]]\ndo = '{what}'\non = 'cache.delete'\nafter = 'db.commit'\n\
             probability = 0.2\n{more}"
        );
        let outcome = load(&(BASE.to_owned() + &fault), short(), Vec::new());
        let (count, witness) = struck(&outcome);
        assert!(count > 0 && witness == "the proxy's count", "{outcome}");
        // Those under way at the end are counted by the proxy alone.
        assert!(errors(&outcome) + 3 >= count, "every one is a failed write: {outcome}");
        assert!(outcome.stale > 0, "what was not deleted is read: {outcome}");
    }
    let fault = "[[fault]]\ndo = 'unreachable'\nfrom = '200ms'\nuntil = '400ms'\nclients = [1]\n";
    let outcome = load(&(BASE.to_owned() + fault), short(), Vec::new());
    assert!(struck(&outcome).0 > 0 && errors(&outcome) > 0, "{outcome}");
}

#[test]
fn the_wire_can_be_slow_cut_and_one_sided() {
    if !has_memcached() {
        return;
    }
    let at = Duration::from_millis(300);
    for what in RealWhat::ALL.into_iter().filter(|what| what.is_on_wire()) {
        let outcome = load(BASE, short(), vec![RealFault::at(what, at)]);
        let (count, _) = struck(&outcome);
        assert!(count > 0, "{outcome}");
        let longest = outcome.latencies["cache step"].max;
        match what {
            RealWhat::Delay => assert!(longest > 20_000_000, "{outcome}"),
            RealWhat::Throttle => assert!(longest > 10_000_000, "{outcome}"),
            // A read that times out asks the database, so only the waiting is certain.
            RealWhat::OneWay | RealWhat::HalfOpen => assert!(longest > 50_000_000, "{outcome}"),
            _ => assert!(errors(&outcome) > 0, "{outcome}"),
        }
    }
}

#[test]
fn servers_stop_die_come_back_and_forget() {
    if !has_memcached() {
        return;
    }
    let at = Duration::from_millis(300);
    for what in [RealWhat::StopNode, RealWhat::KillNode, RealWhat::FlushNode] {
        let outcome = load(BASE, short(), vec![RealFault::at(what, at)]);
        let (count, witness) = struck(&outcome);
        assert_eq!(count, 1, "{outcome}");
        match what {
            RealWhat::StopNode => assert!(witness.contains("stopped"), "{outcome}"),
            RealWhat::KillNode => assert!(witness.contains("became"), "{outcome}"),
            _ => assert!(witness.contains("counts"), "{outcome}"),
        }
    }
    let warm = vec![RealFault::at(RealWhat::RestartWarm, at)];
    // The items come back as they were: what was written meanwhile is missed.
    let outcome = load(BASE, Duration::from_millis(3500), warm);
    let (count, witness) = struck(&outcome);
    assert!(count == 1 && !witness.ends_with(", 0 items"), "{outcome}");
    assert!(outcome.entries.stale > 0 || outcome.stale > 0, "{outcome}");
}

#[test]
fn nodes_leave_the_ring_and_memory_runs_out() {
    if !has_memcached() {
        return;
    }
    let at = Duration::from_millis(200);
    let two = BASE.to_owned() + "nodes = 2\n";
    let outcome = load(&two, short(), vec![RealFault::at(RealWhat::LeaveRing, at)]);
    assert_eq!(struck(&outcome).0, 1, "{outcome}");
    assert!(outcome.stale > 0, "the node that rejoins has old values: {outcome}");
    let many = "claim = '-'\npattern = 'read-through'\n[workload]\nrows = 60000\nkeys = 'uniform'\n\
                mix = { read = 1, update = 0 }\n";
    let shrink = RealFault { megabytes: 8, ..RealFault::at(RealWhat::ShrinkMemory, at) };
    let outcome = load(many, Duration::from_millis(1500), vec![shrink]);
    let (count, witness) = struck(&outcome);
    assert!(count == 1 && witness.contains("8388608"), "{outcome}");
}

#[test]
fn faults_of_the_world_happen_by_the_clock() {
    if !has_memcached() {
        return;
    }
    for what in ["restart-node", "flush-node", "evict", "bypass-update", "bypass-delete"] {
        let fault = format!("[[fault]]\ndo = '{what}'\nat = '200ms'\nevery = '50ms'\nbudget = 3\n");
        let outcome = load(&(BASE.to_owned() + &fault), short(), Vec::new());
        let (count, witness) = struck(&outcome);
        assert!((1..=3).contains(&count) && !witness.is_empty(), "{outcome}");
        if what == "bypass-update" {
            assert!(outcome.stale > 0, "nobody told the cache: {outcome}");
        }
    }
}

#[test]
fn what_a_load_cannot_do_is_not_tested() {
    if !has_memcached() {
        return;
    }
    let fault = "[[fault]]\ndo = 'crash'\non = 'cache.delete'\n[[fault]]\ndo = 'refuse'\n\
                 on = 'cache.incr'\n";
    let outcome = load(&(BASE.to_owned() + fault), short(), Vec::new());
    assert_eq!(outcome.not_tested.len(), 2, "{outcome}");
    assert!(outcome.not_tested[0].contains("does not do this to clients"), "{outcome}");
    assert!(outcome.not_tested[1].contains("never struck"), "{outcome}");
}

/// Threads, open files and resident kilobytes of this process.
fn usage() -> (usize, usize, u64) {
    let count = |folder: &str| std::fs::read_dir(folder).map_or(0, Iterator::count);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = resident.unwrap().trim().trim_end_matches(" kB").parse().unwrap();
    (count("/proc/self/task"), count("/proc/self/fd"), kilobytes)
}

/// Processes that this one has started and that still run, and folders and memory of their
/// servers.
fn left() -> Vec<String> {
    let own = std::process::id();
    let parent = |entry: &std::fs::DirEntry| -> Option<u32> {
        let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
        stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()
    };
    let entries = |folder: &str| std::fs::read_dir(folder).into_iter().flatten().flatten();
    let name = |entry: &std::fs::DirEntry| entry.path().display().to_string();
    let children = entries("/proc").filter(|entry| parent(entry) == Some(own));
    let prefix = format!("staleproof-servers-{own}-");
    let files = ["/tmp", "/dev/shm"].into_iter().flat_map(entries);
    let files = files.filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix));
    children.chain(files).map(|entry| name(&entry)).collect()
}

/// All kinds of faults, at random times, again and again. `STALEPROOF_SOAK` is how many seconds,
/// 10 without it.
#[test]
fn a_soak_leaves_nothing_behind() {
    if !has_memcached() {
        return;
    }
    let seconds = std::env::var("STALEPROOF_SOAK").ok().and_then(|text| text.parse().ok());
    let lasts = Duration::from_secs(seconds.unwrap_or(10));
    let (middle, end) = (Instant::now() + lasts / 2, Instant::now() + lasts);
    let cache: Vec<RealWhat> =
        RealWhat::ALL.into_iter().filter(|what| !what.is_to_database()).collect();
    let (mut rounds, mut first) = (0u64, None);
    let mut happened = 0;
    while Instant::now() < end {
        let draw = |purpose: u64, limit: u64| {
            below(Seed(rounds).draw(staleproof::seed::Purpose::World, purpose, 0), limit)
        };
        let fault = |number: u64| {
            let what = cache[draw(number, cache.len() as u64) as usize];
            let at = Duration::from_millis(draw(100 + number, 1_500));
            let every = Some(Duration::from_millis(200 + draw(200 + number, 600)));
            let node = draw(300 + number, 2) as u16;
            let lasts = Duration::from_millis(20 + draw(400 + number, 150));
            RealFault { every, node, lasts, ..RealFault::at(what, at) }
        };
        let faults: Vec<RealFault> = (0..3).map(fault).collect();
        let two = BASE.to_owned() + "nodes = 2\n";
        let outcome = load(&two, Duration::from_millis(2_000), faults);
        assert!(outcome.operations > 0, "{outcome}");
        happened += outcome.faults.iter().map(|fault| fault.struck).sum::<u64>();
        rounds += 1;
        // By then the allocator has its pools, and other tests of this process are over.
        if Instant::now() > middle {
            first.get_or_insert_with(usage);
        }
    }
    let (first, last) = (first.unwrap(), usage());
    println!(
        "{rounds} rounds, {happened} faults; threads, files, kilobytes: {first:?} to {last:?}"
    );
    assert!(happened > rounds, "{happened} faults in {rounds} rounds");
    if seconds.is_some_and(|seconds| seconds >= 60) {
        assert!(last.2 < first.2 + 32 * 1024, "memory grew: {first:?} to {last:?}");
        assert!(last.0 <= first.0 && last.1 <= first.1, "{first:?} to {last:?}");
        // Whoever listens on a port is a process of ours or this one.
        assert_eq!(left(), [""; 0], "orphans");
    }
}
