//! The counterexample of every hazard, replayed step by step on real servers, comes out as
//! `reports/confirmed.json` says; and small programs are explored on real servers.
//!
//! Where a server is not installed the tests say so and pass, unless
//! `STALEPROOF_REQUIRE_SERVERS` is set.
#![cfg(all(
    feature = "memcached",
    feature = "sqlite",
    feature = "postgres",
    feature = "mariadb",
    feature = "cli",
    target_os = "linux"
))]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use crate::common;
use staleproof::backend::{Database, mariadb, postgres, url::ServerPlace};
use staleproof::explore::{
    self, Confirmation, Confirmed, Counterexample, Finding, Limits, Sizes, Subject,
};
use staleproof::pattern::Registry;
use staleproof::run::{CacheChoice, Servers, metrics};
use staleproof::scenario::{Known, find_files, load};
use staleproof::step::Isolation;

fn installed(database: &str) -> bool {
    let own = ServerPlace::Own(None);
    let drop = |_: Box<dyn Database>| ();
    let found = match Command::new("memcached").arg("-V").output() {
        Err(error) => Err(format!("memcached: {error}")),
        Ok(_) => match database {
            "postgres" => postgres::open(&own, Isolation::Default).map(drop),
            "mariadb" => mariadb::open(&own, Isolation::Default).map(drop),
            _ => Ok(()),
        }
        .map_err(|error| error.to_string()),
    };
    if let Err(problem) = &found {
        assert!(std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_none(), "{problem}");
        println!("SKIPPED: {problem}");
    }
    found.is_ok()
}

fn on(database: &str) -> Servers {
    Servers { cache: CacheChoice::own("memcached"), database: database.parse().unwrap() }
}

/// The smallest counterexample of each hazard, by `hazard/pattern`, searched on the models.
fn counterexamples() -> &'static BTreeMap<String, Counterexample> {
    static FOUND: OnceLock<BTreeMap<String, Counterexample>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let registry = Registry::built_in();
        let specs = metrics::specs();
        let known = Known {
            patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
            entities: vec!["product"],
            metrics: &specs,
        };
        let mut found = BTreeMap::new();
        for file in find_files(Path::new("scenarios/hazards")).unwrap() {
            let hazard = file.file_stem().unwrap().to_string_lossy().into_owned();
            let scenario = load(&file, &known).unwrap();
            let subject = Subject::of(&scenario, &registry, Sizes::default()).unwrap();
            let go_on = &mut |_: &_| ControlFlow::Continue(());
            let result = explore::explore_scenario(&subject, &hazard, Limits::default(), go_on);
            if let Some(example) = result.unwrap().counterexample {
                found.insert(format!("{hazard}/{}", scenario.pattern), example);
            }
        }
        found
    })
}

/// Replays all, and compares with what is written down.
fn replays_as_written(database: &str, label: &str) {
    if !installed(database) {
        return;
    }
    let text = std::fs::read_to_string("reports/confirmed.json").unwrap();
    let known: BTreeMap<String, BTreeMap<String, Confirmation>> =
        serde_json::from_str(&text).unwrap();
    let registry = Registry::built_in();
    let mut confirmed = 0;
    for (name, example) in counterexamples() {
        let (replayed, servers) = example.replay(&registry, &on(database)).unwrap();
        let written = known.get(name).and_then(|servers| servers.get(label));
        let is_confirmed = example.is_confirmed_by(&replayed);
        assert_eq!(
            written == Some(&Confirmation::Confirmed),
            is_confirmed,
            "{name} on {servers}: {written:?} is written in reports/confirmed.json \
             (benches/confirm.sh writes it), and it came to {:?}, {:?}",
            replayed.divergence,
            replayed.findings
        );
        confirmed += usize::from(is_confirmed);
    }
    assert!(confirmed > 60, "{confirmed} were confirmed on {label}");
}

#[test]
fn every_hazard_is_confirmed_on_memcached_and_sqlite() {
    replays_as_written("sqlite", "memcached and SQLite");
}

#[test]
fn every_hazard_is_confirmed_on_memcached_and_postgresql() {
    replays_as_written("postgres", "memcached and PostgreSQL");
}

#[test]
fn every_hazard_is_confirmed_on_memcached_and_mariadb() {
    replays_as_written("mariadb", "memcached and MariaDB");
}

#[test]
fn a_difference_is_named_and_not_confirmed() {
    if !installed("sqlite") {
        return;
    }
    let mut example = counterexamples()["stale-set/cache-aside"].clone();
    let last = example.choices.pop().unwrap();
    example.choices.insert(0, last);
    let (replayed, _) = example.replay(&Registry::built_in(), &on("sqlite")).unwrap();
    assert!(!example.is_confirmed_by(&replayed));
    assert_eq!(replayed.divergence.unwrap().number, 1);
}

/// The client that speaks ascii reports an `add` that lost as one that stored, and the replay says
/// whose answer it was that led away from the schedule.
#[test]
fn an_answer_that_the_client_made_up_is_named() {
    if !installed("sqlite") {
        return;
    }
    let all = Counterexample::load(Path::new("reports/counterexamples.json")).unwrap();
    let ascii = "memcached?protocol=ascii".parse().unwrap();
    let servers = Servers { cache: ascii, ..on("sqlite") };
    // Some of them have an `add` that loses.
    let adds = all.into_iter().filter(|(name, _)| name.ends_with("/tombstone-add"));
    let mut made_up = 0;
    for (name, example) in adds {
        let (replayed, _) = example.replay(&Registry::built_in(), &servers).unwrap();
        let Some(divergence) = &replayed.divergence else { continue };
        if divergence.happened.contains("which is the client's: ") {
            made_up += 1;
            assert!(!example.is_confirmed_by(&replayed), "{name}");
            let (replayed, _) = example.replay(&Registry::built_in(), &on("sqlite")).unwrap();
            assert!(example.is_confirmed_by(&replayed), "{name}: {:?}", replayed.divergence);
        }
    }
    assert!(made_up > 0, "no answer was made up");
}

#[test]
fn exploring_real_servers_finds_what_exploring_the_models_finds() {
    for pattern in ["cache-aside", "write-through", "lease", "no-cache"] {
        let text = format!("claim = '-'\npattern = '{pattern}'\n");
        let sizes = Sizes { readers: Some(1), writers: Some(1), keys: Some(1) };
        let registry = Registry::built_in();
        let subject = Subject::of(&common::scenario(&text), &registry, sizes).unwrap();
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        let limits = Limits::default();
        let model = explore::explore_scenario(&subject, pattern, limits, go_on).unwrap();
        let found = |findings: &[Finding]| findings.iter().cloned().collect::<BTreeSet<_>>();
        for database in ["sqlite", "postgres"].into_iter().filter(|name| installed(name)) {
            let (real, servers) =
                explore::explore_on_servers(&subject, &on(database), pattern, limits, go_on)
                    .unwrap();
            assert!(servers.starts_with("memcached 1."), "{servers}");
            assert!(real.exhausted && real.states == 0, "{pattern} on {servers}");
            assert_eq!(found(&real.findings), found(&model.findings), "{pattern} on {servers}");
            if let Some(example) = &real.counterexample {
                let (replayed, _) = example.replay(&registry, &on(database)).unwrap();
                assert!(example.is_confirmed_by(&replayed), "{pattern} on {servers}");
            }
        }
    }
}

#[test]
fn what_is_confirmed_is_kept_from_one_database_to_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("confirmed.json");
    let mut confirmed = Confirmed::load(&path).unwrap();
    confirmed.note("a/b", "one", Confirmation::Confirmed);
    std::fs::write(&path, confirmed.to_json()).unwrap();
    let mut again = Confirmed::load(&path).unwrap();
    again.note("a/b", "two", Confirmation::NotTested("why".to_owned()));
    let counts = again.counts();
    assert_eq!((counts["one"], counts["two"]), ((1, 1), (0, 1)));
}
