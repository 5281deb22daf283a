//! How fast histories are judged: `cargo bench --bench checking [-- LARGEST]`.
//!
//! One register each, 50 % reads, 45 % writes, 5 % deletes, all of which fit. Times are of one
//! thread and without parsing, `memory` is the most that the process held while it judged, the
//! history included. `search` is a Wing-Gong-Lowe search with a cache, as Porcupine does it, cut
//! off after ten seconds; `ratio` is how many times longer it takes. `keys` compares one thread
//! with all cores, `file` is the program itself, from JSON lines on a disk to the verdict, with
//! all cores. `-- 10000000` has ten million operations on one key and 1-GB files. Last comes
//! stateright's tester, which `benches/checking-peers` builds apart.

use std::hint::black_box;
use std::io::BufWriter;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[path = "histories/mod.rs"]
mod histories;
#[path = "histories/search.rs"]
mod search;

use histories::{Shape, generate, write_json_lines};
use search::wing_gong_lowe;
use staleproof::check::linear::{self, LIMIT, Verdict};
use staleproof::history::file::{Mistakes, read};
use staleproof::history::log::{Op, Value};

fn main() {
    let largest = std::env::args().filter_map(|word| word.parse().ok()).next();
    let largest: usize = largest.unwrap_or(1_000_000);
    println!(
        "{:>10} {:>8} {:>12} {:>10} {:>10} {:>12} {:>8}",
        "operations", "clients", "zones", "Mop/s", "memory", "search", "ratio"
    );
    for clients in [4, 16] {
        let mut size = 1_000;
        while size <= largest {
            row(size, clients);
            size *= 10;
        }
    }
    keys(largest);
    file(largest, 1);
    file(largest, 1_000);
    stateright();
}

fn row(size: usize, clients: u32) {
    let ops = generate(&Shape { size, clients, ..Shape::default() });
    forget_peak();
    let ours =
        best_of(3, || assert_eq!(linear::judge(black_box(&ops), Value::NULL), Verdict::Holds));
    let held = peak_memory("self");
    let rate = size as f64 / ours.as_secs_f64() / 1e6;
    let peer = (size <= 10_000).then(|| {
        let started = Instant::now();
        let done = wing_gong_lowe(&ops, started + Duration::from_secs(10));
        (started.elapsed(), done)
    });
    let (peer, ratio) = match peer {
        None => ("-".to_owned(), "-".to_owned()),
        Some((elapsed, done)) => {
            let ratio = elapsed.as_secs_f64() / ours.as_secs_f64();
            let more = if done { "" } else { "> " };
            (format!("{more}{elapsed:.1?}"), format!("{more}{ratio:.0}"))
        }
    };
    println!(
        "{size:>10} {clients:>8} {:>12} {rate:>10.2} {:>10} {peer:>12} {ratio:>8}",
        format!("{ours:.2?}"),
        format!("{held} MB")
    );
}

/// Keys are judged apart from each other: one thread beside all cores.
fn keys(size: usize) {
    let mut text = Vec::new();
    write_json_lines(&Shape { size, keys: 1_000, ..Shape::default() }, &mut text)
        .expect("memory never fails to be written");
    let log = read(text.as_slice(), "the history", Mistakes::Refuse).expect("a history").log;
    drop(text);
    let one = best_of(5, || {
        let (places, from) = log.by_key();
        for key in 0..log.keys() {
            let places = &places[from[key] as usize..from[key + 1] as usize];
            let ops: Vec<Op> = places.iter().map(|place| log.ops[*place as usize]).collect();
            assert_eq!(linear::judge(&ops, log.initial[key]), Verdict::Holds);
        }
    });
    let all = best_of(5, || assert!(linear::judge_log(&log, LIMIT).violated.is_empty()));
    let rate = |time: Duration| size as f64 / time.as_secs_f64() / 1e6;
    println!(
        "keys: {size} operations on 1000 keys: one thread {one:.2?} ({:.2} Mop/s), {} cores \
         {all:.2?} ({:.2} Mop/s), ratio {:.2}",
        rate(one),
        std::thread::available_parallelism().map_or(1, usize::from),
        rate(all),
        one.as_secs_f64() / all.as_secs_f64()
    );
}

/// Stateright needs another version of rand than this package, so it is built apart.
fn stateright() {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/checking-peers/Cargo.toml");
    let run = ["run", "--quiet", "--release", "--manifest-path", manifest];
    println!();
    let status = Command::new(env!("CARGO")).args(run).status();
    if !status.is_ok_and(|status| status.success()) {
        println!("stateright: not measured, since it could not be built; see above");
    }
}

fn file(size: usize, keys: u32) {
    let folder = tempfile::tempdir().expect("a folder for the history");
    let path = folder.path().join("history.jsonl");
    let file = std::fs::File::create(&path).expect("a file for the history");
    write_json_lines(&Shape { size, keys, ..Shape::default() }, BufWriter::new(file))
        .expect("room on the disk");
    let megabytes = std::fs::metadata(&path).expect("it was written").len() / 1_000_000;
    let mut held = 0;
    let elapsed = best_of(3, || {
        let mut check = Command::new(env!("CARGO_BIN_EXE_staleproof"));
        let mut child = check.arg("check").arg(&path).stdout(Stdio::null()).spawn().expect("runs");
        let status = loop {
            held = held.max(peak_memory(&child.id().to_string()));
            match child.try_wait().expect("it is a child") {
                Some(status) => break status,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        assert!(status.success(), "the history is linearizable");
    });
    println!(
        "file: {size} operations on {keys} keys, {megabytes} MB in {elapsed:.2?}, {held} MB held: \
         {:.2} million operations/s",
        size as f64 / elapsed.as_secs_f64() / 1e6
    );
}

/// The most that a process held, in megabytes; 0 where the system does not tell.
fn peak_memory(process: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kilobytes.unwrap_or(0) * 1024 / 1_000_000
}

/// Makes the most that this process held what it holds now.
fn forget_peak() {
    // Where the system has no such file, no memory is told either.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn best_of(times: u32, mut run: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..times {
        let started = Instant::now();
        run();
        best = best.min(started.elapsed());
    }
    best
}
