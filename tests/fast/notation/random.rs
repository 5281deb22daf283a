//! Random histories of several families, and exhaustive search, which knows nothing but the
//! definition.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use staleproof::history::log::{Kind, Op, Value};
use staleproof::operation::Outcome;
use staleproof::time::Time;

/// Whether some order of the operations explains everything: tries them all.
pub fn explainable(ops: &[Op], initial: Value) -> bool {
    let takes_part = |op: &&Op| match op.kind {
        Kind::Read => op.outcome == Outcome::Ok,
        Kind::Write => op.outcome != Outcome::Failed,
    };
    let ops: Vec<Op> = ops.iter().filter(takes_part).copied().collect();
    extend(&ops, 0, initial)
}

fn extend(ops: &[Op], placed: u32, now: Value) -> bool {
    let is_left = |place: usize| placed >> place & 1 == 0;
    if (0..ops.len()).all(|place| !is_left(place) || ops[place].outcome == Outcome::Unknown) {
        return true;
    }
    (0..ops.len()).filter(|place| is_left(*place)).any(|place| {
        let op = &ops[place];
        let ended_before = |other: usize| {
            ops[other].outcome == Outcome::Ok && ops[other].end < op.start && is_left(other)
        };
        let possible = !(0..ops.len()).any(ended_before);
        let fits = op.kind == Kind::Write || op.value == now;
        possible && fits && extend(ops, placed | 1 << place, op.value)
    })
}

/// What random histories are like.
#[derive(Clone, Copy, Debug)]
pub struct Family {
    pub name: &'static str,
    pub ops: usize,
    /// Times are below this: the fewer, the more ties.
    pub times: u64,
    /// The longest interval.
    pub length: u64,
    pub percent_reads: u32,
    pub percent_absent: u32,
    pub percent_unknown: u32,
    pub percent_failed: u32,
    /// Values to choose from; 0 for a new one each time.
    pub values: u32,
}

/// Values are written once.
pub const PLAIN: Family = Family {
    name: "unique values",
    ops: 7,
    times: 24,
    length: 8,
    percent_reads: 55,
    percent_absent: 0,
    percent_unknown: 10,
    percent_failed: 5,
    values: 0,
};

/// Those that are tried.
pub const FAMILIES: [Family; 9] = [
    PLAIN,
    Family { name: "many ties", times: 6, length: 3, ..PLAIN },
    Family { name: "unknown outcomes", percent_unknown: 50, ..PLAIN },
    Family { name: "absence", percent_absent: 45, ..PLAIN },
    Family { name: "absence and ties", percent_absent: 50, times: 7, length: 4, ..PLAIN },
    Family { name: "absence, unknown", percent_absent: 45, percent_unknown: 35, ..PLAIN },
    Family { name: "values twice", values: 3, ..PLAIN },
    Family { name: "values twice and ties", values: 2, times: 7, length: 5, ..PLAIN },
    Family { name: "all of it", values: 3, percent_absent: 25, percent_unknown: 25, ..PLAIN },
];

/// A history of a family, and the value at its start.
pub fn draw(family: &Family, rng: &mut ChaCha8Rng) -> (Vec<Op>, Value) {
    let size = rng.random_range(1..=family.ops);
    let percent = |rng: &mut ChaCha8Rng, part: u32| rng.random_range(0..100u32) < part;
    let initial = match percent(rng, 50) {
        true => Value::NULL,
        false => Value(1),
    };
    let mut next = 1;
    let mut ops = Vec::new();
    for client in 0..size as u32 {
        let start = rng.random_range(0..family.times);
        let end = start + rng.random_range(0..=family.length);
        let reads = percent(rng, family.percent_reads);
        let value = match percent(rng, family.percent_absent) {
            true => Value::NULL,
            false if family.values > 0 => Value(rng.random_range(1..=family.values)),
            false if reads => Value(rng.random_range(1..=size as u32 / 2 + 1)),
            false => {
                next += 1;
                Value(next)
            }
        };
        let kind = if reads { Kind::Read } else { Kind::Write };
        let op = Op::new(client, kind, value, start, end);
        ops.push(match () {
            () if percent(rng, family.percent_unknown) => op.unknown(),
            () if percent(rng, family.percent_failed) => op.failed(),
            () => op,
        });
    }
    (ops, initial)
}

/// The places of the operations in the order of moments drawn within their intervals.
pub fn by_effect(ops: &[Op], rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut points: Vec<(u64, usize)> = ops
        .iter()
        .enumerate()
        .map(|(place, op)| {
            let end = if op.end == Time::NEVER { op.start.0 + 9 } else { op.end.0 };
            (rng.random_range(op.start.0..=end), place)
        })
        .collect();
    points.sort_unstable();
    points.into_iter().map(|(_, place)| place).collect()
}

/// Histories that a register with a fault produced: many operations, most of which fit.
pub fn simulate(family: &Family, rng: &mut ChaCha8Rng) -> (Vec<Op>, Value) {
    let (mut ops, initial) = draw(family, rng);
    let places = by_effect(&ops, rng);
    let mut now = initial;
    let faulty = rng.random_range(0..3u32) == 0;
    for place in places {
        let op = &mut ops[place];
        match op.kind {
            Kind::Write if op.outcome != Outcome::Failed => now = op.value,
            Kind::Read if !faulty || rng.random_range(0..4u32) > 0 => op.value = now,
            _ => {}
        }
    }
    (ops, initial)
}
