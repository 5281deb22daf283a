//! Load on a real memcached and SQLite: what it measures, and what it says when things go wrong.
//!
//! Without the binary the tests say so and pass, unless `STALEPROOF_REQUIRE_SERVERS` is set.
#![cfg(all(
    feature = "memcached",
    feature = "serve",
    feature = "sqlite",
    feature = "cli",
    target_os = "linux"
))]

use std::io::{Read, Write};
use std::process::Command;
use std::time::Duration;

use crate::common::{self, has_memcached};
use staleproof::backend::memcached::own::{Options as OwnOptions, OwnServer};
use staleproof::backend::process::Signal;
use staleproof::load::{self, LoadError, Options, Outcome, Snapshot};
use staleproof::pattern::Registry;
use staleproof::run::{CacheChoice, DatabaseChoice, Servers};
use staleproof::seed::Seed;

fn options() -> Options {
    Options {
        clients: 3,
        duration: Duration::from_millis(800),
        warm_up: Duration::from_millis(100),
        rate: None,
        seed: Seed(1),
        faults: Vec::new(),
        history: None,
    }
}

fn load_on(
    text: &str,
    cache: CacheChoice,
    options: &Options,
    watch: &mut dyn FnMut(&Snapshot) -> bool,
) -> Result<Outcome, LoadError> {
    let servers = Servers { cache, database: DatabaseChoice::Sqlite };
    load::run(&common::scenario(text), &Registry::built_in(), &servers, options, watch)
}

fn load(text: &str, options: &Options) -> Outcome {
    load_on(text, CacheChoice::own("memcached"), options, &mut |_| true).unwrap()
}

fn scenario(pattern: &str) -> String {
    format!("claim = '-'\npattern = '{pattern}'\n[workload]\nrows = 8\n")
}

#[test]
fn patterns_that_forget_the_cache_are_stale_and_the_control_is_not() {
    if !has_memcached() {
        return;
    }
    let control = load(&scenario("no-cache"), &options());
    assert_eq!((control.stale, control.entries.bad(), control.hits), (0, 0, 0), "{control}");
    assert!(control.judged > 100 && control.writes > 100, "{control}");
    let stale = load(&scenario("read-through"), &options());
    assert!(stale.p_stale.unwrap() > 0.5 && stale.entries.stale > 0, "{stale}");
    let staleness = stale.staleness.unwrap();
    assert!(staleness.least.max <= staleness.most.max, "{stale}");
    assert!(staleness.most.max < 10_000_000_000, "{stale}");
    let aside = load(&scenario("cache-aside"), &options());
    assert!(aside.hits > 0 && aside.p_stale.unwrap() < 0.2, "{aside}");
    assert_eq!(aside.problem, None);
}

/// What a load leaves on somebody's server: whoever reads a row next that was marked stale still
/// wins its token.
#[test]
fn the_audit_of_a_load_takes_no_token() {
    if !has_memcached() {
        return;
    }
    let server = OwnServer::start(&OwnOptions::new("memcached".as_ref())).unwrap();
    let cache = CacheChoice::servers(vec![server.address().to_owned()]);
    // A read for each update, so that most rows are left marked.
    let text = format!("{}mix = {{ read = 1, update = 1 }}\n", scenario("stale-lease"));
    load_on(&text, cache, &options(), &mut |_| true).unwrap();
    let mut stream = std::net::TcpStream::connect(server.address()).unwrap();
    let mut said = String::new();
    for row in 0..8 {
        write!(stream, "mg product:{row} s\r\n").unwrap();
        let mut reply = [0; 64];
        let read = stream.read(&mut reply).unwrap();
        said.push_str(&String::from_utf8_lossy(&reply[..read]));
    }
    let marked = said.lines().filter(|line| line.contains(" X"));
    assert!(marked.clone().count() > 0, "{said}");
    assert!(marked.clone().all(|line| line.contains(" W")), "{said}");
}

#[test]
fn background_work_drains_before_the_audit() {
    if !has_memcached() {
        return;
    }
    let outcome = load(&scenario("write-behind"), &options());
    assert!(outcome.writes > 100, "{outcome}");
    assert_eq!((outcome.entries.stale, outcome.entries.ahead), (0, 0), "{outcome}");
}

#[test]
fn an_open_loop_keeps_its_rate_and_counts_waiting_from_the_arrival() {
    if !has_memcached() {
        return;
    }
    let options = Options { rate: Some(500.0), ..options() };
    let outcome = load(&scenario("cache-aside"), &options);
    assert!((250.0..750.0).contains(&outcome.operations_per_second), "{outcome}");
    // A server that stands still for 300 ms: clients that wait for it send nothing meanwhile,
    // yet what should have arrived meanwhile waited.
    let server = OwnServer::start(&OwnOptions::new("memcached".as_ref())).unwrap();
    let text = scenario("cache-aside") + "[cache]\ntimeout = '2s'\n";
    let cache = CacheChoice::servers(vec![server.address().to_owned()]);
    let options = Options { duration: Duration::from_millis(1500), ..options };
    let mut ticks = 0;
    let outcome = load_on(&text, cache, &options, &mut |_| {
        ticks += 1;
        match ticks {
            2 => server.signal(Signal::Stop).unwrap(),
            4 => server.signal(Signal::Continue).unwrap(),
            _ => {}
        }
        true
    });
    let outcome = outcome.unwrap();
    let hit = outcome.latencies["hit"];
    let waited = outcome.latencies.values().map(|latency| latency.max).max().unwrap();
    assert!(waited > 200_000_000, "{outcome}");
    assert!(hit.p99 > 100_000_000, "coordinated omission: {outcome}");
}

#[test]
fn a_server_that_dies_leaves_what_was_measured() {
    if !has_memcached() {
        return;
    }
    let mut server = OwnServer::start(&OwnOptions::new("memcached".as_ref())).unwrap();
    let cache = CacheChoice::servers(vec![server.address().to_owned()]);
    let mut ticks = 0;
    let outcome = load_on(&scenario("cache-aside"), cache, &options(), &mut |_| {
        ticks += 1;
        if ticks == 2 {
            server.kill().unwrap();
        }
        true
    });
    let outcome = outcome.unwrap();
    assert!(outcome.operations > 0 && outcome.failed + outcome.unknown > 0, "{outcome}");
    assert_eq!(outcome.entries.unreachable, outcome.entries.rows, "{outcome}");
    assert!(outcome.problem.unwrap().contains("8 of 8 entries could not be asked for"));
}

#[test]
fn wrong_input_is_named() {
    let staleproof = |arguments: &[&str]| {
        let run = Command::new(env!("CARGO_BIN_EXE_staleproof")).args(arguments).output().unwrap();
        (run.status.code(), String::from_utf8_lossy(&run.stderr).into_owned())
    };
    let scenario = "scenarios/article/07-write-through-reader-fills.toml";
    let (code, said) = staleproof(&["load", scenario, "--cache", "model"]);
    assert!(code == Some(2) && said.contains("--cache memcached"), "{said}");
    let (code, said) = staleproof(&["load", scenario, "--rate", "0"]);
    assert!(code == Some(2) && said.contains("above 0"), "{said}");
    let (code, said) = staleproof(&["load", scenario, "--cache", "memcached://127.0.0.1:1"]);
    assert!(
        code == Some(5) && said.contains("is memcached running there, and not stopped?"),
        "{said}"
    );
    if has_memcached() {
        let database = ["--database", "model", "--cache", "memcached"];
        let (code, said) = staleproof(&[&["load", scenario], &database[..]].concat());
        assert!(code == Some(5) && said.contains("cannot be shared by threads"), "{said}");
    }
}

/// `load` writes what clients did while they do it, and `check` says the same of it.
#[test]
fn the_history_of_a_load_can_be_judged() {
    if !has_memcached() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let bypass = "[[fault]]\ndo = 'bypass-update'\nevery = '100ms'\n";
    for (pattern, linearizable, faults) in
        [("no-cache", true, ""), ("no-cache", true, bypass), ("read-through", false, bypass)]
    {
        let file = folder.path().join("history.jsonl");
        let text = scenario(pattern)
            + "mix = { read = 60, update = 20, modify = 10, delete = 5, insert = 5 }\n"
            + faults;
        let options = Options { warm_up: Duration::ZERO, history: Some(file.clone()), ..options() };
        let outcome = load(&text, &options);
        assert_eq!(outcome.problem, None, "{outcome}");
        assert!(outcome.recorded.unwrap() > outcome.reads + outcome.writes, "{outcome}");
        let check = Command::new(env!("CARGO_BIN_EXE_staleproof"))
            .args(["check", "--json"])
            .arg(&file)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert_eq!(check.status.code(), Some(i32::from(!linearizable)), "{pattern}: {said}");
        std::fs::remove_file(&file).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing else is left");
    }
    let missing = Options { history: Some(folder.path().join("no/such.jsonl")), ..options() };
    let refused =
        load_on(&scenario("no-cache"), CacheChoice::own("memcached"), &missing, &mut |_| true);
    assert!(refused.unwrap_err().to_string().contains("choose another --history"));
}
