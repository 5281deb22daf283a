//! What must not change a verdict, or only in one direction.

use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use staleproof::check::linear::{self, LIMIT, Verdict};
use staleproof::history::log::{Extra, Kind, Log, Op, Value};
use staleproof::history::record::KeyId;
use staleproof::operation::{ClientId, Outcome};
use staleproof::time::Time;

const VALUES: u32 = 9;

/// A register's history with some lies in it, of which about half are linearizable.
fn draw(rng: &mut ChaCha8Rng) -> (Vec<Op>, Value) {
    let size = rng.random_range(2..30usize);
    let twice = rng.random_range(0..4u32) == 0;
    let lies = [0, 0, 3][rng.random_range(0..3usize)];
    let mut ops: Vec<Op> = (0..size as u32)
        .map(|number| {
            let start = rng.random_range(0..60u64);
            let end = start + rng.random_range(0..15u64);
            let value = match rng.random_range(0..6u32) {
                0 => Value::NULL,
                _ if twice => Value(rng.random_range(1..4u32)),
                _ => Value(1 + number),
            };
            let kind = if rng.random_range(0..2u32) == 0 { Kind::Read } else { Kind::Write };
            let op = Op::new(number % 5, kind, value, start, end);
            match rng.random_range(0..12u32) {
                0 => op.unknown(),
                1 => op.failed(),
                _ => op,
            }
        })
        .collect();
    let initial = if rng.random_range(0..2u32) == 0 { Value::NULL } else { Value(40) };
    let mut points: Vec<(u64, usize)> = (0..size)
        .map(|place| (rng.random_range(ops[place].start.0..=ops[place].start.0 + 12), place))
        .map(|(point, place)| (point.min(ops[place].end.0), place))
        .collect();
    points.sort_unstable();
    let mut now = initial;
    for (_, place) in points {
        let op = &mut ops[place];
        match op.kind {
            Kind::Write if op.outcome != Outcome::Failed => now = op.value,
            Kind::Read if rng.random_range(0..10u32) >= lies => op.value = now,
            _ => {}
        }
    }
    (ops, initial)
}

fn holds(ops: &[Op], initial: Value) -> bool {
    match linear::judge(ops, initial) {
        Verdict::Holds => true,
        Verdict::Violated(_) => false,
        Verdict::Unknown(limit) => panic!("{limit:?}"),
    }
}

fn each(name: &str, mut change: impl FnMut(&mut ChaCha8Rng, &[Op], Value, bool)) {
    let mut rng = ChaCha8Rng::seed_from_u64(name.len() as u64);
    let times = if std::env::var_os("STALEPROOF_LONG").is_some() { 100_000 } else { 3_000 };
    let mut held = 0;
    for _ in 0..times {
        let (ops, initial) = draw(&mut rng);
        let verdict = holds(&ops, initial);
        held += u32::from(verdict);
        change(&mut rng, &ops, initial, verdict);
    }
    assert!(held > times / 10 && held < times * 9 / 10, "{name}: {held} of {times} hold");
}

fn map(ops: &[Op], change: impl Fn(&Op) -> Op) -> Vec<Op> {
    ops.iter().map(change).collect()
}

fn moved(time: Time, change: impl Fn(u64) -> u64) -> Time {
    if time == Time::NEVER { time } else { Time(change(time.0)) }
}

#[test]
fn time_may_be_shifted_and_stretched() {
    each("time", |_, ops, initial, verdict| {
        let later = |t| t + (1 << 62);
        let slower = |t| t * 1_000_003;
        for changed in [
            map(ops, |op| Op { start: moved(op.start, later), end: moved(op.end, later), ..*op }),
            map(ops, |op| Op { start: moved(op.start, slower), end: moved(op.end, slower), ..*op }),
        ] {
            assert_eq!(holds(&changed, initial), verdict, "{ops:?}");
        }
    });
}

#[test]
fn names_and_the_order_of_lines_mean_nothing() {
    each("names and order", |rng, ops, initial, verdict| {
        let mut names: Vec<u32> = (1..60).collect();
        names.shuffle(rng);
        let renamed = |value: Value| match value.0 {
            0 => value,
            number => Value(names[number as usize - 1]),
        };
        let mut changed = map(ops, |op| Op {
            value: renamed(op.value),
            client: ClientId(op.client.0 ^ 3),
            ..*op
        });
        changed.shuffle(rng);
        assert_eq!(holds(&changed, renamed(initial)), verdict, "{ops:?}");
    });
}

#[test]
fn what_nobody_can_have_seen_means_nothing() {
    each("unseen", |rng, ops, initial, verdict| {
        let at = rng.random_range(0..70u64);
        let write = Op::new(9, Kind::Write, Value(77), at, at + 3);
        let read = Op::new(9, Kind::Read, Value(78), at, at + 3);
        for more in [write.unknown(), write.failed(), read.unknown(), read.failed()] {
            let changed = [ops, &[more]].concat();
            assert_eq!(holds(&changed, initial), verdict, "{more:?} {ops:?}");
        }
    });
}

#[test]
fn less_certainty_never_makes_a_violation() {
    each("less certainty", |rng, ops, initial, verdict| {
        let place = rng.random_range(0..ops.len());
        let wider = |op: &Op| Op {
            start: Time(op.start.0.saturating_sub(5)),
            end: moved(op.end, |end| end + 5),
            ..*op
        };
        let mut one_wider = ops.to_vec();
        one_wider[place] = wider(&ops[place]);
        let mut without = ops.to_vec();
        if ops[place].kind == Kind::Read {
            without.remove(place);
        } else if ops[place].outcome == Outcome::Ok {
            without[place] = ops[place].unknown();
        }
        for changed in [one_wider, without] {
            assert!(!verdict || holds(&changed, initial), "{place} of {ops:?}");
        }
    });
}

#[test]
fn keys_are_judged_apart_in_one_history() {
    let mut pending: Vec<(Vec<Op>, Value, bool)> = Vec::new();
    each("keys", |rng, ops, initial, verdict| {
        pending.push((ops.to_vec(), initial, verdict));
        if pending.len() < 4 {
            return;
        }
        let mut log = Log::default();
        let mut all: Vec<(KeyId, Op)> = Vec::new();
        for (number, (ops, initial, _)) in pending.iter().enumerate() {
            let key = log.intern_key(format!("k{number}").as_bytes());
            // Named in the order of their numbers, so that they keep them.
            (1..=60u32).for_each(|v| {
                log.intern_value(key, Some(v.to_string().as_bytes()));
            });
            log.initial[key.0 as usize] = *initial;
            all.extend(ops.iter().map(|op| (key, *op)));
        }
        (0..5 + VALUES).for_each(|client| {
            log.intern_client(i128::from(client));
        });
        all.shuffle(rng);
        all.into_iter().for_each(|(key, op)| log.push(Op { key, ..op }, Extra::default()));
        let judgement = linear::judge_log(&log, LIMIT);
        let expected: Vec<u32> = (0..4).filter(|number| !pending[*number as usize].2).collect();
        let mut violated: Vec<u32> = judgement.violated.iter().map(|(key, _)| key.0).collect();
        violated.sort_unstable();
        assert_eq!(violated, expected);
        pending.clear();
    });
}
