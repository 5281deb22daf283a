//! The judge against exhaustive search: all small histories, and random ones of families that
//! are heavy in reads of absence, unknown outcomes, ties and values written twice.
//!
//! `STALEPROOF_LONG=1` tries more than a million. Every verdict's certificate goes through the
//! verifier. The exhaustive search below knows nothing but the definition.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use staleproof::check::linear::{self, Proof, Verdict, verify};
use staleproof::history::log::{Kind, Op, Value};
use staleproof::operation::Outcome;
use staleproof::time::Time;

/// Whether some order of the operations explains everything: tries them all.
fn explainable(ops: &[Op], initial: Value) -> bool {
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

/// Compares the verdict with exhaustive search, and checks the certificate.
fn compare(ops: &[Op], initial: Value) -> Verdict {
    let expected = explainable(ops, initial);
    let verdict = linear::judge(ops, initial);
    let shown = || format!("initial {initial:?}\n{ops:#?}\n{verdict:?}");
    // Without values that are written twice, no verdict may take a search.
    if !written_twice(ops, initial) {
        assert_eq!(linear::judge_within(ops, initial, 0), verdict, "{}", shown());
    }
    match &verdict {
        Verdict::Holds => {
            assert!(expected, "no order explains this, yet it holds: {}", shown());
            let order = linear::linearization(ops, initial, linear::LIMIT).expect("it holds");
            assert_eq!(verify::order(ops, initial, &order), Ok(()), "{order:?} {}", shown());
        }
        Verdict::Violated(violation) => {
            assert!(!expected, "an order explains this, yet it is violated: {}", shown());
            assert_eq!(verify::violation(ops, initial, violation), Ok(()), "{}", shown());
            let small = !matches!(violation.proof, Proof::Exhausted | Proof::TooFewDeletes { .. });
            assert!(!small || violation.ops.len() <= 6, "{}", shown());
            let twice = written_twice(ops, initial);
            assert!(twice || violation.proof != Proof::Exhausted, "searched: {}", shown());
        }
        Verdict::Unknown(_) => panic!("a limit is reached with {} operations", ops.len()),
    }
    verdict
}

/// Whether a value other than absence is written several times.
fn written_twice(ops: &[Op], initial: Value) -> bool {
    let mut values: Vec<Value> =
        ops.iter().filter(|op| op.may_write()).map(|op| op.value).collect();
    values.push(initial);
    values.retain(|value| *value != Value::NULL);
    values.sort_unstable();
    values.windows(2).any(|two| two[0] == two[1])
}

fn long() -> bool {
    std::env::var_os("STALEPROOF_LONG").is_some()
}

/// Every operation with times below `times` and values below `values`.
fn every_op(times: u64, values: u32) -> Vec<Op> {
    let mut all = Vec::new();
    for value in (0..values).map(Value) {
        for start in 0..times {
            for end in start..times {
                all.push(Op::new(0, Kind::Read, value, start, end));
                all.push(Op::new(0, Kind::Write, value, start, end));
            }
            all.push(Op::new(0, Kind::Write, value, start, start).unknown());
        }
    }
    all
}

/// Every multiset of `size` operations out of these.
fn every_history(ops: &[Op], size: usize, visit: &mut impl FnMut(&[Op])) {
    fn extend(all: &[Op], chosen: &mut Vec<Op>, size: usize, visit: &mut impl FnMut(&[Op])) {
        if chosen.len() == size {
            return visit(chosen);
        }
        for (place, op) in all.iter().enumerate() {
            chosen.push(*op);
            extend(&all[place..], chosen, size, visit);
            chosen.pop();
        }
    }
    extend(ops, &mut Vec::new(), size, visit);
}

#[test]
fn agrees_on_all_small_histories() {
    let sizes: &[(usize, u64, u32)] = match long() {
        true => &[(1, 4, 3), (2, 4, 3), (3, 4, 3), (4, 2, 3), (4, 3, 2), (5, 2, 2)],
        false => &[(1, 4, 3), (2, 4, 3), (3, 3, 2), (4, 2, 2)],
    };
    let (mut holds, mut violated) = (0u64, 0u64);
    for (size, times, values) in sizes {
        let ops = every_op(*times, *values);
        for initial in (0..*values).map(Value) {
            every_history(&ops, *size, &mut |history| match compare(history, initial) {
                Verdict::Holds => holds += 1,
                _ => violated += 1,
            });
        }
    }
    println!("all small histories: {holds} hold, {violated} are violated");
    assert!(holds > 1_000 && violated > 1_000);
}

/// What random histories are like.
#[derive(Clone, Copy, Debug)]
struct Family {
    name: &'static str,
    ops: usize,
    /// Times are below this: the fewer, the more ties.
    times: u64,
    /// The longest interval.
    length: u64,
    percent_reads: u32,
    percent_absent: u32,
    percent_unknown: u32,
    percent_failed: u32,
    /// Values to choose from; 0 for a new one each time.
    values: u32,
}

const PLAIN: Family = Family {
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

const FAMILIES: [Family; 9] = [
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

fn draw(family: &Family, rng: &mut ChaCha8Rng) -> (Vec<Op>, Value) {
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

#[test]
fn agrees_on_random_histories() {
    let each = if long() { 150_000 } else { 4_000 };
    for (number, family) in FAMILIES.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
        let (mut holds, mut violated) = (0u64, 0u64);
        for _ in 0..each {
            let (ops, initial) = draw(family, &mut rng);
            match compare(&ops, initial) {
                Verdict::Holds => holds += 1,
                _ => violated += 1,
            }
        }
        println!("{}: {holds} hold, {violated} are violated", family.name);
        assert!(holds > each / 20 && violated > each / 20, "{family:?}: {holds}, {violated}");
    }
}

/// Histories that a register with a fault produced: many operations, most of which fit.
fn simulate(family: &Family, rng: &mut ChaCha8Rng) -> (Vec<Op>, Value) {
    let (mut ops, initial) = draw(family, rng);
    let mut points: Vec<(u64, usize)> = ops
        .iter()
        .enumerate()
        .map(|(place, op)| {
            let end = if op.end == Time::NEVER { op.start.0 + 9 } else { op.end.0 };
            (rng.random_range(op.start.0..=end), place)
        })
        .collect();
    points.sort_unstable();
    let mut now = initial;
    let faulty = rng.random_range(0..3u32) == 0;
    for (_, place) in points {
        let op = &mut ops[place];
        match op.kind {
            Kind::Write if op.outcome != Outcome::Failed => now = op.value,
            Kind::Read if !faulty || rng.random_range(0..4u32) > 0 => op.value = now,
            _ => {}
        }
    }
    (ops, initial)
}

#[test]
fn agrees_on_histories_of_a_register() {
    let each = if long() { 60_000 } else { 2_000 };
    for (number, family) in FAMILIES.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(100 + number as u64);
        let family = Family { ops: 9, times: 20, ..*family };
        let mut holds = 0;
        for _ in 0..each {
            let (ops, initial) = simulate(&family, &mut rng);
            holds += u64::from(compare(&ops, initial) == Verdict::Holds);
        }
        println!("{}: {holds} of {each} hold", family.name);
        assert!(holds > each / 2 && holds < each, "{family:?}: {holds}");
    }
}
