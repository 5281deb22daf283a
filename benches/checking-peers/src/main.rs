//! Stateright's tester of linearizability and a Wing-Gong-Lowe search beside our judge, on the
//! same histories; ratios are how many times longer than ours they take. `cargo bench --bench
//! checking` runs this too, or `cargo run --release --manifest-path
//! benches/checking-peers/Cargo.toml`.

#[path = "../../histories/mod.rs"]
mod histories;
#[path = "../../histories/search.rs"]
mod search;

use std::time::{Duration, Instant};

use histories::{Shape, generate};
use search::wing_gong_lowe;
use staleproof::check::linear::{self, Verdict};
use staleproof::history::log::{Kind, Op, Value};
use stateright::semantics::register::{Register, RegisterOp, RegisterRet};
use stateright::semantics::{ConsistencyTester, LinearizabilityTester};

fn main() {
    println!(
        "{:>10} {:>8} {:>12} {:>12} {:>10} {:>12} {:>10}",
        "operations", "clients", "zones", "search", "ratio", "stateright", "ratio"
    );
    for (size, clients) in [(100, 2), (100, 4), (200, 4), (400, 4), (1_000, 4)] {
        let ops = generate(&Shape { size, clients, ..Shape::default() });
        let ours = timed(|| assert_eq!(linear::judge(&ops, Value::NULL), Verdict::Holds));
        let until = Instant::now() + Duration::from_secs(10);
        let search = timed(|| assert!(wing_gong_lowe(&ops, until), "it takes milliseconds"));
        let theirs = timed(|| assert!(stateright(&ops), "rejects what is linearizable"));
        let ratio = |time: Duration| time.as_secs_f64() / ours.as_secs_f64();
        println!(
            "{size:>10} {clients:>8} {:>12} {:>12} {:>10.0} {:>12} {:>10.0}",
            format!("{ours:.2?}"),
            format!("{search:.2?}"),
            ratio(search),
            format!("{theirs:.2?}"),
            ratio(theirs)
        );
    }
}

fn timed(run: impl FnOnce()) -> Duration {
    let started = Instant::now();
    run();
    started.elapsed()
}

fn stateright(ops: &[Op]) -> bool {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (place, op) in ops.iter().enumerate() {
        events.push((op.start.0, false, place));
        events.push((op.end.0, true, place));
    }
    events.sort_unstable();
    let mut tester = LinearizabilityTester::new(Register(0u32));
    for (_, returns, place) in events {
        let op = &ops[place];
        let thread = op.client.0;
        match (op.kind, returns) {
            (Kind::Write, false) => tester.on_invoke(thread, RegisterOp::Write(op.value.0)),
            (Kind::Write, true) => tester.on_return(thread, RegisterRet::WriteOk),
            (Kind::Read, false) => tester.on_invoke(thread, RegisterOp::Read),
            (Kind::Read, true) => tester.on_return(thread, RegisterRet::ReadOk(op.value.0)),
        }
        .expect("a well-formed history");
    }
    tester.is_consistent()
}
