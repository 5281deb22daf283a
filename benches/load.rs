//! The load driver against a bare socket loop and memcaslap, on the same memcached, in turns.
//!
//! `cargo bench --bench load` prints hits per second and ratios for 1, 4 and 16 connections. The
//! driver runs the read-through pattern, decodes and checks every value and counts staleness; the
//! last column is the processor time per hit, over all threads, of writing the history down as
//! well: the median of the rounds, and the half of them in the middle.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use staleproof::backend::memcached::own::{Options as OwnOptions, OwnClock, OwnServer};
use staleproof::load::{self, Options};
use staleproof::pattern::Registry;
use staleproof::run::{CacheChoice, DatabaseChoice, Servers, metrics};
use staleproof::scenario::{Known, parse};
use staleproof::seed::Seed;

const ROUNDS: usize = 15;
/// Short, so that what else the machine does meets both of a round.
const EACH: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(100);
const SCENARIO: &str = "claim = 'hits'\npattern = 'read-through'\n[workload]\nrows = 64\n\
    keys = 'uniform'\nmix = { read = 1, update = 0 }\n[cache]\nttl-seconds = 0\n\
    timeout = '5s'\n";

fn main() {
    let options = OwnOptions { clock: OwnClock::Machine, ..OwnOptions::new("memcached".as_ref()) };
    let server = OwnServer::start(&options).expect("memcached is installed");
    println!(
        "connections      raw hits/s   driver hits/s   ratio   driver - raw per hit   memcaslap/s   \
         recording"
    );
    // What it misses it puts there.
    driver(server.address(), 4, None);
    for connections in [1, 4, 16] {
        let mut rounds: Vec<(f64, f64)> = Vec::new();
        let mut recording = Vec::new();
        // With as many busy threads as connections, a hit costs this much more of one thread.
        let more = |slow: f64, fast: f64| (1.0 / slow - 1.0 / fast) * connections as f64 * 1e6;
        for _ in 0..ROUNDS {
            let raw = raw(server.address(), connections);
            let (plain, cost) = driver(server.address(), connections, None);
            rounds.push((raw, plain));
            let file = std::env::temp_dir().join(format!("staleproof-{}", std::process::id()));
            let (_, with_history) = driver(server.address(), connections, Some(&file));
            recording.push(with_history - cost);
            std::fs::remove_file(&file).expect("the history was written");
        }
        rounds.sort_by(|a, b| (a.1 / a.0).total_cmp(&(b.1 / b.0)));
        recording.sort_by(f64::total_cmp);
        let (raw, driver) = rounds[ROUNDS / 2];
        println!(
            "{connections:>11} {raw:>15.0} {driver:>15.0} {:>7.3} {:>19.2} us {:>13} {:>8.2} us \
             ({:.2} to {:.2})",
            driver / raw,
            more(driver, raw),
            memcaslap(server.address(), connections),
            recording[ROUNDS / 2],
            recording[ROUNDS / 4],
            recording[3 * ROUNDS / 4],
        );
    }
}

/// Hits per second through the load driver, and microseconds of processor time per hit.
fn driver(address: &str, clients: usize, history: Option<&Path>) -> (f64, f64) {
    let registry = Registry::built_in();
    let specs = metrics::specs();
    let known =
        Known { patterns: vec!["read-through"], entities: vec!["product"], metrics: &specs };
    let scenario = parse(Path::new("bench.toml"), SCENARIO, &known).expect("it is well-formed");
    let servers = Servers {
        cache: CacheChoice::servers(vec![address.to_owned()]),
        database: DatabaseChoice::Sqlite,
    };
    let options = Options {
        clients: clients as u32,
        duration: EACH,
        warm_up: WARM_UP,
        rate: None,
        seed: Seed(1),
        faults: Vec::new(),
        history: history.map(Path::to_owned),
    };
    let before = processor_time();
    let outcome = load::run(&scenario, &registry, &servers, &options, &mut |_| true);
    let spent = processor_time() - before;
    let outcome = outcome.expect("the servers run");
    assert_eq!((outcome.stale, outcome.failed, outcome.problem), (0, 0, None));
    let per_second = outcome.hits as f64 / (outcome.elapsed_nanos as f64 / 1e9);
    // What the warm-up read is not counted as hits.
    let hits = per_second * (EACH + WARM_UP).as_secs_f64();
    (per_second, spent.as_secs_f64() * 1e6 / hits)
}

/// What all threads of this process have spent.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call fills in the structure that it is given.
    let code = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
    assert_eq!(code, 0, "Linux counts it");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Hits per second of loops that send a get and read until its end.
fn raw(address: &str, connections: usize) -> f64 {
    let stop = Arc::new(AtomicBool::new(false));
    let hits = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let threads: Vec<_> = (0..connections)
        .map(|number| {
            let (stop, hits) = (Arc::clone(&stop), Arc::clone(&hits));
            let mut stream = TcpStream::connect(address).expect("memcached accepts");
            stream.set_nodelay(true).expect("a socket can be told not to wait");
            std::thread::spawn(move || {
                let mut buffer = [0; 4096];
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    let request = format!("get product:{}\r\n", (number + count) % 64);
                    stream.write_all(request.as_bytes()).expect("memcached reads");
                    let mut filled = 0;
                    while !buffer[..filled].ends_with(b"END\r\n") {
                        filled += stream.read(&mut buffer[filled..]).expect("memcached answers");
                    }
                    assert!(filled > 5, "a miss");
                    count += 1;
                }
                hits.fetch_add(count as u64, Ordering::Relaxed);
            })
        })
        .collect();
    std::thread::sleep(EACH);
    stop.store(true, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().expect("a loop ends"));
    hits.load(Ordering::Relaxed) as f64 / begun.elapsed().as_secs_f64()
}

/// Operations per second of memcaslap, a tenth of them sets, values of the same size.
fn memcaslap(address: &str, connections: usize) -> String {
    let file = std::env::temp_dir().join(format!("staleproof-memcaslap-{}", std::process::id()));
    std::fs::write(&file, "key\n16 16 1\nvalue\n135 135 1\ncmd\n0 0.1\n1 0.9\n")
        .expect("the temporary folder can be written");
    let run = Command::new("memcaslap")
        .args(["-s", address, "-T", &connections.min(2).to_string()])
        .args(["-c", &connections.to_string(), "-t", "2s", "-w", "1k", "-F"])
        .arg(&file)
        .output();
    let _ = std::fs::remove_file(&file);
    let Ok(run) = run else { return "-".to_owned() };
    let text = String::from_utf8_lossy(&run.stdout);
    let tps = text.lines().find_map(|line| line.split("TPS: ").nth(1)?.split(' ').next());
    tps.unwrap_or("-").to_owned()
}
