//! Exhausting one program here and in shuttle: cache-aside, one key, readers and writers.
//!
//! In shuttle each step on a server is one critical section, so that its depth-first search
//! has the same choices: which client takes its next step. It re-executes every interleaving;
//! ours joins those that differ only in the order of independent steps or reach a state that
//! was searched before. `cargo run --release --bin exploration` in this folder.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

use shuttle::sync::{Arc, Mutex};
use shuttle::thread;
use staleproof::explore::{self, Limits, Sizes, Subject};
use staleproof::pattern::Registry;
use staleproof::scenario::{Known, Property, parse};
use staleproof::schedule::Search;

const ROUNDS: usize = 5;
/// Where its search is given up; the time until then is a lower bound.
const SCHEDULES_MAX: usize = 300_000;

fn ours(readers: u32, writers: u32) -> (Duration, u64) {
    let known = Known { patterns: vec!["cache-aside"], entities: vec!["product"], metrics: &[] };
    let text = "claim = '-'\npattern = 'cache-aside'\n";
    let scenario = parse(Path::new("peer.toml"), text, &known).expect("it is well-formed");
    let sizes = Sizes { readers: Some(readers), writers: Some(writers), keys: Some(1) };
    let mut subject = Subject::of(&scenario, &Registry::built_in(), sizes).expect("it fits");
    subject.properties = vec![Property::FinalState];
    // As there: what is asked is whether an old entry is left, not how it came to be.
    subject.name_hazards = false;
    let begun = Instant::now();
    let search = Search { reduce: true, switches: None };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let found = explore::explore(&subject, search, Limits::default(), go_on).expect("it runs");
    assert!(found.complete && !found.findings.is_empty());
    (begun.elapsed(), found.effort.schedules)
}

#[derive(Default)]
struct Servers {
    row: u32,
    entry: Option<u32>,
}

fn read(servers: &Mutex<Servers>) {
    let hit = servers.lock().unwrap().entry;
    if hit.is_none() {
        let row = servers.lock().unwrap().row;
        servers.lock().unwrap().entry = Some(row);
    }
}

fn update(servers: &Mutex<Servers>, version: u32) {
    servers.lock().unwrap().row = version;
    servers.lock().unwrap().entry = None;
}

fn shuttles(readers: u32, writers: u32) -> (Duration, u64) {
    let stale = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let schedules = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let (seen, counted) = (stale.clone(), schedules.clone());
    let begun = Instant::now();
    shuttle::check_dfs(
        move || {
            let servers = Arc::new(Mutex::new(Servers::default()));
            let mut clients = Vec::new();
            for client in 0..readers + writers {
                let servers = servers.clone();
                clients.push(thread::spawn(move || match client < readers {
                    true => read(&servers),
                    false => update(&servers, client),
                }));
            }
            clients.into_iter().for_each(|client| client.join().unwrap());
            let servers = servers.lock().unwrap();
            if servers.entry.is_some_and(|entry| entry != servers.row) {
                seen.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        },
        Some(SCHEDULES_MAX),
    );
    assert!(black_box(stale.load(std::sync::atomic::Ordering::Relaxed)) > 0);
    (begun.elapsed(), schedules.load(std::sync::atomic::Ordering::Relaxed))
}

fn main() {
    for (readers, writers) in [(1, 1), (2, 1), (2, 2)] {
        let best = |exhaust: fn(u32, u32) -> (Duration, u64)| {
            let rounds = (0..ROUNDS).map(|_| exhaust(readers, writers));
            rounds.min().expect("there are rounds")
        };
        let ((ours, own), (theirs, all)) = (best(ours), best(shuttles));
        let more = if all < SCHEDULES_MAX as u64 { "" } else { "more than " };
        println!(
            "{readers} readers, {writers} writers: here {ours:?} ({own} schedules to their end), \
             shuttle {more}{theirs:?} ({more}{all} schedules): {more}{:.0} times",
            theirs.as_secs_f64() / ours.as_secs_f64()
        );
    }
}
