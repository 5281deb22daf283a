//! Each real fault of a database once, on PostgreSQL and MariaDB under load, with its witness.
//!
//! Where a server is not installed the tests say so and pass, unless
//! `STALEPROOF_REQUIRE_SERVERS` is set.
#![cfg(all(
    feature = "memcached",
    feature = "serve",
    feature = "postgres",
    feature = "mariadb",
    feature = "cli",
    target_os = "linux"
))]

#[path = "../common/mod.rs"]
mod common;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use staleproof::backend::{mariadb, postgres, url::ServerPlace};
use staleproof::load::fault::{RealFault, RealWhat};
use staleproof::load::{self, LoadError, Options, Outcome};
use staleproof::pattern::Registry;
use staleproof::run::{CacheChoice, Servers};
use staleproof::seed::{Seed, below};
use staleproof::step::Isolation;

/// All tests of this process share one server of a kind, so they take turns: one's restart would
/// be another's.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The databases that are installed, by name.
fn databases() -> Vec<&'static str> {
    let own = ServerPlace::Own(None);
    let found = [
        ("postgres", postgres::open(&own, Isolation::Default).map(|_| ())),
        ("mariadb", mariadb::open(&own, Isolation::Default).map(|_| ())),
    ];
    let has_cache = common::has_memcached();
    let required = std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_some();
    let installed = |(name, found): (&'static str, Result<(), _>)| match found {
        Ok(()) if has_cache => Some(name),
        Ok(()) => None,
        Err(problem) => {
            assert!(!required, "{problem}");
            println!("SKIPPED: {problem}");
            None
        }
    };
    found.into_iter().filter_map(installed).collect()
}

fn load_with(
    pattern: &str,
    database: &str,
    duration: Duration,
    fault: RealFault,
) -> Result<Outcome, LoadError> {
    load_all(pattern, database, duration, vec![fault])
}

fn load_all(
    pattern: &str,
    database: &str,
    duration: Duration,
    faults: Vec<RealFault>,
) -> Result<Outcome, LoadError> {
    load_mix(pattern, database, "{ read = 60, update = 40 }", duration, faults)
}

fn load_mix(
    pattern: &str,
    database: &str,
    mix: &str,
    duration: Duration,
    faults: Vec<RealFault>,
) -> Result<Outcome, LoadError> {
    let scenario =
        format!("claim = '-'\npattern = '{pattern}'\n[workload]\nrows = 8\nmix = {mix}\n");
    let servers =
        Servers { cache: CacheChoice::own("memcached"), database: database.parse().unwrap() };
    let warm_up = Duration::ZERO;
    let options =
        Options { clients: 3, duration, warm_up, rate: None, seed: Seed(7), faults, history: None };
    let scenario = common::scenario(&scenario);
    load::run(&scenario, &Registry::built_in(), &servers, &options, &mut |_| true)
}

/// A load with one fault that strikes again and again.
fn struck(pattern: &str, database: &str, what: RealWhat) -> (u64, String, Outcome) {
    let every = Some(Duration::from_millis(150));
    let fault = RealFault { every, ..RealFault::at(what, Duration::from_millis(200)) };
    let seconds = if what == RealWhat::LockTimeout { 4 } else { 2 };
    let outcome = load_with(pattern, database, Duration::from_secs(seconds), fault).unwrap();
    let [fault] = &outcome.faults[..] else { panic!("one fault was given: {outcome}") };
    println!("{outcome}");
    assert_eq!(outcome.problem, None, "{outcome}");
    assert_eq!(outcome.not_tested, [""; 0], "{outcome}");
    assert_eq!(fault.level, "database");
    (fault.struck, fault.witness.clone(), outcome)
}

#[test]
fn connections_are_cut_before_and_after_the_commit() {
    let _turn = turn();
    for database in databases() {
        for (what, when) in
            [(RealWhat::CutBeforeCommit, "before"), (RealWhat::CutAfterCommit, "after")]
        {
            let (count, witness, outcome) = struck("cache-aside", database, what);
            assert!(
                count > 0 && witness.contains(&format!("ended {when} its commit")),
                "{witness}"
            );
            // Each is a write whose client does not know what became of it.
            assert!(outcome.unknown >= count, "{outcome}");
        }
    }
}

#[test]
fn statements_fail_wait_too_long_deadlock_and_come_too_late() {
    let _turn = turn();
    for database in databases() {
        let codes = match database {
            "postgres" => ["22012", "55P03", "40P01", "40001"],
            _ => ["error 1644", "error 1205", "error 1213", "error 1020"],
        };
        let kinds = [
            RealWhat::StatementError,
            RealWhat::LockTimeout,
            RealWhat::Deadlock,
            RealWhat::SerializationFailure,
        ];
        for (what, code) in kinds.into_iter().zip(codes) {
            let (count, witness, outcome) = struck("cache-aside", database, what);
            assert!(count > 0 && witness.contains(code), "{database}: {}: {witness}", what.name());
            match what {
                RealWhat::StatementError | RealWhat::LockTimeout => {
                    assert!(outcome.failed >= count, "nothing was written: {outcome}");
                }
                // Their transactions were rolled back, and are done again.
                _ => {
                    assert!(outcome.retried >= count, "{outcome}");
                    assert_eq!((outcome.failed, outcome.unknown), (0, 0), "{outcome}");
                }
            }
        }
    }
}

#[test]
fn a_database_is_killed_and_comes_back_with_what_was_committed() {
    let _turn = turn();
    for database in databases() {
        let fault = RealFault::at(RealWhat::RestartDatabase, Duration::from_millis(500));
        let outcome = load_with("cache-aside", database, Duration::from_secs(4), fault).unwrap();
        let fault = &outcome.faults[0];
        assert!(fault.struck == 1 && fault.witness.contains(" became "), "{outcome}");
        assert_eq!(outcome.problem, None, "{outcome}");
        assert!(outcome.failed + outcome.unknown > 0, "{outcome}");
        // A version that was read and is gone would be ahead.
        assert_eq!(outcome.entries.ahead, 0, "{outcome}");
    }
}

#[test]
fn a_hot_standby_lags_behind() {
    let _turn = turn();
    let Some(database) = databases().into_iter().find(|name| *name == "postgres") else { return };
    let scenario = "claim = '-'\npattern = 'no-cache'\n[workload]\nrows = 8\n[database]\n\
                    replica-lag = '300ms'\n";
    let servers =
        Servers { cache: CacheChoice::own("memcached"), database: database.parse().unwrap() };
    let (duration, warm_up) = (Duration::from_secs(2), Duration::from_millis(500));
    let options = Options {
        clients: 3,
        duration,
        warm_up,
        rate: None,
        seed: Seed(7),
        faults: Vec::new(),
        history: None,
    };
    let scenario = common::scenario(scenario);
    let outcome = load::run(&scenario, &Registry::built_in(), &servers, &options, &mut |_| true);
    let outcome = outcome.unwrap();
    let [lag] = &outcome.faults[..] else { panic!("{outcome}") };
    assert!(lag.struck == 1 && lag.witness.contains("is in recovery"), "{outcome}");
    let staleness = outcome.staleness.expect("what the standby says is old");
    assert!(outcome.p_stale.unwrap() > 0.5, "{outcome}");
    assert!(staleness.most.p50 > 50_000_000, "{outcome}");
    assert_eq!(outcome.problem, None, "{outcome}");
    for other in ["sqlite", "mariadb"] {
        let servers =
            Servers { cache: CacheChoice::own("memcached"), database: other.parse().unwrap() };
        let refused =
            load::run(&scenario, &Registry::built_in(), &servers, &options, &mut |_| true);
        let problem = refused.unwrap_err().to_string();
        assert!(problem.contains("--database postgres"), "{other}: {problem}");
    }
}

#[test]
fn the_log_of_commits_is_followed_and_goes_wrong() {
    let _turn = turn();
    if !databases().contains(&"postgres") {
        return;
    }
    let whole = load_all("cdc-invalidate", "postgres", Duration::from_secs(2), Vec::new()).unwrap();
    assert_eq!(whole.problem, None, "{whole}");
    assert!(whole.hits > 0 && whole.writes > 0, "{whole}");
    // Each write is in the log, so each entry that it made stale goes in the end.
    assert_eq!(whole.entries.bad(), 0, "{whole}");
    // A reader that stood still finds more than the server tells at once.
    let lasts = Duration::from_millis(700);
    let stop = RealFault { lasts, ..RealFault::at(RealWhat::StopNode, lasts) };
    let writes = "{ read = 1, update = 99 }";
    let (duration, faults) = (Duration::from_secs(3), vec![stop]);
    let behind = load_mix("cdc-invalidate", "postgres", writes, duration, faults).unwrap();
    assert!(behind.writes > 2_000, "{behind}");
    assert_eq!((behind.entries.bad(), behind.problem.clone()), (0, None), "{behind}");
    for (what, says) in [
        (RealWhat::LogGap, "was dropped and made anew"),
        (RealWhat::LogReplay, "transactions again"),
        (RealWhat::LogReorder, " came before version "),
        (RealWhat::RestartDatabase, " became "),
    ] {
        let every = (what != RealWhat::RestartDatabase).then(|| Duration::from_millis(150));
        let fault = RealFault { every, ..RealFault::at(what, Duration::from_millis(300)) };
        let outcome =
            load_with("cdc-invalidate", "postgres", Duration::from_secs(3), fault).unwrap();
        let fault = &outcome.faults[0];
        assert!(fault.struck > 0 && fault.witness.contains(says), "{outcome}");
        assert_eq!(outcome.problem, None, "{outcome}");
        // Deletes that come twice or in another order do no harm.
        assert!(what == RealWhat::LogGap || outcome.entries.bad() == 0, "{outcome}");
    }
    let fault = RealFault::at(RealWhat::LogGap, Duration::ZERO);
    let problem = load_with("cache-aside", "postgres", Duration::from_secs(1), fault).unwrap_err();
    assert!(problem.to_string().contains("cdc-invalidate"), "{problem}");
    let problem = load_all("cdc-invalidate", "mariadb", Duration::from_secs(1), Vec::new());
    assert!(problem.unwrap_err().to_string().contains("--database postgres"));
}

#[test]
fn a_database_that_is_no_server_says_so() {
    let _turn = turn();
    if databases().is_empty() {
        return;
    }
    let fault = RealFault::at(RealWhat::Deadlock, Duration::ZERO);
    let problem = load_with("cache-aside", "sqlite", Duration::from_secs(1), fault).unwrap_err();
    assert!(problem.to_string().contains("--database postgres"), "{problem}");
}

/// Everything that can happen to cache and database, at random, again and again, for half of
/// `STALEPROOF_SOAK` seconds, 6 without it.
#[test]
fn a_soak_with_databases_leaves_nothing_behind() {
    let _turn = turn();
    let seconds = std::env::var("STALEPROOF_SOAK").ok().and_then(|text| text.parse::<u64>().ok());
    let end = Instant::now() + Duration::from_secs(seconds.unwrap_or(12) / 2);
    let (mut round, mut happened) = (0u64, 0);
    let databases = databases();
    while !databases.is_empty() && Instant::now() < end {
        let draw = |purpose: u64, limit: usize| {
            below(Seed(round).draw(staleproof::seed::Purpose::World, purpose, 0), limit as u64)
        };
        let kinds: Vec<RealWhat> = RealWhat::ALL
            .into_iter()
            .filter(|what| !matches!(what, RealWhat::LeaveRing | RealWhat::ShrinkMemory))
            .filter(|what| !what.is_to_log())
            .collect();
        let fault = |number: u64| {
            let what = kinds[draw(number, kinds.len()) as usize];
            let at = Duration::from_millis(draw(100 + number, 1_500));
            let every = match what {
                RealWhat::RestartDatabase => None,
                _ => Some(Duration::from_millis(200 + draw(200 + number, 600))),
            };
            RealFault { every, ..RealFault::at(what, at) }
        };
        let database = databases[round as usize % databases.len()];
        let faults: Vec<RealFault> = (0..3).map(fault).collect();
        let outcome =
            load_all("cache-aside", database, Duration::from_millis(2_500), faults).unwrap();
        assert!(outcome.operations > 0 && outcome.problem.is_none(), "{outcome}");
        happened += outcome.faults.iter().map(|fault| fault.struck).sum::<u64>();
        round += 1;
    }
    println!("{round} rounds, {happened} faults");
    assert!(happened >= round, "{happened} faults in {round} rounds");
}
