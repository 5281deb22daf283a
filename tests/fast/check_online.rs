//! Following a history that grows, beside judging it when it is whole.

use std::time::Duration;

use crate::notation::random::{Family, PLAIN, by_effect, draw};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use staleproof::check::linear::{self, Proof, Verdict, verify};
use staleproof::check::online::{Alarm, Online, Report};
use staleproof::history::log::{Kind, Log, Op, Value};
use staleproof::history::record::KeyId;
use staleproof::operation::{ClientId, Outcome};

/// Longer than any operation of the histories below takes.
const HORIZON: u64 = 40;

/// Long enough that most of it is forgotten before the end.
const LONG: Family =
    Family { name: "long", ops: 400, times: 1_500, length: 30, percent_failed: 5, ..PLAIN };

/// A history that a register can have had, of which one read in so many may be given an older
/// value.
fn history(family: &Family, one_in: u32, rng: &mut ChaCha8Rng) -> (Vec<Op>, Value) {
    let (mut ops, initial) = draw(family, rng);
    let initial = if family.percent_absent == 0 { Value(1) } else { initial };
    let mut now = vec![initial];
    for place in by_effect(&ops, rng) {
        let op = &mut ops[place];
        match op.kind {
            Kind::Write if op.outcome != Outcome::Failed => now.push(op.value),
            Kind::Write => {}
            Kind::Read => {
                let stale = rng.random_range(0..one_in) == 0;
                let back = if stale { rng.random_range(1..=4) } else { 1 };
                op.value = now[now.len().saturating_sub(back)];
            }
        }
    }
    (ops, initial)
}

/// The operations as they are reported, within the horizon.
fn reported(ops: &[Op], rng: &mut ChaCha8Rng) -> Vec<Op> {
    let mut timed: Vec<(u64, Op)> = ops
        .iter()
        .map(|op| match op.outcome {
            Outcome::Ok => (op.end.0, *op),
            _ => (op.start.0 + rng.random_range(0..HORIZON / 2), *op),
        })
        .collect();
    timed.sort_by_key(|(time, op)| (*time, op.start));
    timed.into_iter().map(|(_, op)| op).collect()
}

struct Followed {
    alarm: Option<Alarm>,
    kept_max: usize,
    late: u64,
    undecided: u64,
}

fn follow(ops: &[Op], initial: Value, version: impl Fn(&Op) -> Option<u64>) -> Followed {
    let name = |value: Value| (value != Value::NULL).then(|| format!("v{}", value.0));
    let mut online = Online::new(Duration::from_nanos(HORIZON));
    online.start("k", name(initial).as_deref());
    let (mut alarm, mut kept_max) = (None, 0);
    for op in ops {
        let value = name(op.value);
        let client = i128::from(op.client.0);
        let version = version(op);
        // These numbers are not looked at.
        let other = Op { key: KeyId(9), client: ClientId(9), value: Value(9_999), ..*op };
        let report = Report { key: "k", value: value.as_deref(), client, op: other, version };
        alarm = online.take(&report).or(alarm);
        kept_max = kept_max.max(online.kept());
    }
    let alarm = alarm.or_else(|| online.finish().pop());
    assert_eq!((online.operations, online.keys()), (ops.len() as u64, 1));
    assert_eq!(online.violated, u64::from(alarm.is_some()));
    let went_back = matches!(alarm, Some(Alarm::Backwards(_)));
    assert_eq!(online.went_back, u64::from(went_back));
    let ok = |op: &&Op| op.outcome == Outcome::Ok;
    let versioned = ops.iter().filter(ok).all(|op| version(op).is_some());
    assert!(alarm.is_some() || online.versioned() == usize::from(versioned));
    Followed { alarm, kept_max, late: online.late, undecided: online.undecided }
}

/// Follows histories of a family; gives how many were alarmed about, and of how many others
/// the whole history is violated.
fn compare(family: &Family, each: usize, seed: u64) -> (usize, usize) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let (mut alarmed, mut missed) = (0, 0);
    for _ in 0..each {
        let (ops, initial) = history(family, 80, &mut rng);
        let ops = reported(&ops, &mut rng);
        let followed = follow(&ops, initial, |_| None);
        assert_eq!(followed.late, 0);
        assert!(followed.undecided == 0 || family.values > 0);
        let whole = linear::judge(&ops, initial);
        match &followed.alarm {
            None => missed += usize::from(whole != Verdict::Holds),
            Some(Alarm::Backwards(_)) => panic!("there are no versions"),
            Some(Alarm::Violated(log, violation)) => {
                assert_ne!(whole, Verdict::Holds, "{initial:?} {ops:#?} {violation:?}");
                assert_eq!(verify::violation(&log.ops, log.initial[0], violation), Ok(()));
                alarmed += 1;
            }
        }
    }
    println!("{}: {alarmed} of {each} alarmed, {missed} missed", family.name);
    (alarmed, missed)
}

#[test]
fn of_values_written_once_nothing_is_missed() {
    for (seed, percent_unknown) in [(1, 0), (2, 10), (3, 40)] {
        let (alarmed, missed) = compare(&Family { percent_unknown, ..LONG }, 300, seed);
        assert!((30..270).contains(&alarmed), "{alarmed} alarms");
        assert_eq!(missed, 0);
    }
}

/// Deletes that are gone count no more against the reads of absence that came before, so a few
/// violations are missed, as are those of values that were forgotten and written again.
#[test]
fn nothing_is_made_up() {
    let absent = Family { name: "absence", percent_absent: 30, ..LONG };
    let ties = Family { name: "ties", times: 200, length: 4, ..absent };
    let twice = Family { name: "values twice", values: 40, percent_absent: 10, ..LONG };
    for (seed, family) in [(4, absent), (5, ties), (6, twice)] {
        let (alarmed, missed) = compare(&family, 500, seed);
        assert!(alarmed > 100 && missed < alarmed / 20, "{alarmed} alarms, {missed} missed");
    }
}

/// Versions as a register hands them out, a few of them older: the definition is that an
/// operation shows an older one than another that was over before it began.
#[test]
fn versions_never_go_back() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mut alarms = 0;
    let ties = Family { times: 300, length: 6, ..LONG };
    for family in [LONG, ties].repeat(150) {
        let (ops, initial) = history(&family, 80, &mut rng);
        let mut ops = reported(&ops, &mut rng);
        for op in &mut ops {
            let old = rng.random_range(0..400u32) == 0;
            let moment = (op.start.0 + op.deadline().0.min(op.start.0 + 20)) / 2;
            op.value = Value(1 + (moment as u32).saturating_sub(if old { 60 } else { 0 }) / 3);
        }
        let version = |op: &Op| (op.outcome == Outcome::Ok).then_some(u64::from(op.value.0));
        let back = |a: &Op, b: &Op| a.precedes(b) && version(a) > version(b);
        let ok = || ops.iter().filter(|op| op.outcome == Outcome::Ok);
        let expected = ok().any(|a| ok().any(|b| back(a, b)));
        match follow(&ops, initial, version).alarm {
            None => assert!(!expected, "{ops:#?}"),
            Some(Alarm::Violated(..)) => panic!("versions are judged by themselves"),
            Some(Alarm::Backwards(log)) => {
                assert!(expected, "{ops:#?}");
                // Of a version that was shown long ago only the number is left.
                assert!(log.ops.len() == 1 || version_went_back(&log), "{:?}", log.ops);
                alarms += 1;
            }
        }
    }
    assert!((30..270).contains(&alarms), "{alarms} alarms");
}

/// One ends and another begins at the very time up to which versions become a number.
#[test]
fn operations_that_touch_at_the_end_of_memory_are_not_compared() {
    let read =
        |version: u32, start: u64, end: u64| Op::new(0, Kind::Read, Value(version), start, end);
    let mut ops = vec![read(9, 95, 100), read(8, 100, 105)];
    ops.extend((0..61).map(|number| read(9, 110 + number / 2, 140)));
    // With this one the key is judged for the first time, with that one for the second.
    ops.push(read(9, 150, 100 + 2 * HORIZON));
    ops.extend((0..64).map(|_| read(9, 182, 190)));
    let followed = follow(&ops, Value(9), |op| Some(u64::from(op.value.0)));
    assert!(followed.alarm.is_none(), "{:?}", followed.alarm);
}

fn version_went_back(log: &Log) -> bool {
    let version = |place: usize| log.extra(place).version;
    log.ops.len() == 2 && log.ops[0].precedes(&log.ops[1]) && version(0) > version(1)
}

/// One writer and one reader after the other, each value replaced by the next.
fn in_turn(values: u32) -> Vec<Op> {
    let pair = |value: u32| {
        let at = 100 * u64::from(value);
        let op = |kind, at| Op::new(0, kind, Value(value), at, at + 10);
        [op(Kind::Write, at), op(Kind::Read, at + 50)]
    };
    (2..2 + values).flat_map(pair).collect()
}

fn proof(ops: &[Op]) -> Proof {
    match follow(ops, Value(1), |_| None).alarm {
        Some(Alarm::Violated(_, violation)) => violation.proof,
        other => panic!("no alarm, or another: {other:?}"),
    }
}

#[test]
fn the_value_at_the_start_is_forgotten_too() {
    let mut ops = in_turn(100);
    assert!(follow(&ops, Value(1), |_| None).alarm.is_none());
    ops.push(Op::new(1, Kind::Read, Value(1), 20_000, 20_010));
    assert!(matches!(proof(&ops), Proof::NeverWritten { .. }));
}

/// A read may begin at the very time until which a value can have been there.
#[test]
fn a_value_is_kept_until_it_is_certainly_replaced() {
    let mut ops = vec![Op::new(0, Kind::Write, Value(3), 20, 30)];
    ops.extend((0..61).map(|number| Op::new(0, Kind::Read, Value(3), 31 + number / 3, 60)));
    ops.push(Op::new(0, Kind::Write, Value(999), 60, 61).failed());
    // With this one the key is judged.
    ops.push(Op::new(0, Kind::Read, Value(3), 60, 30 + HORIZON));
    ops.push(Op::new(1, Kind::Read, Value(2), 30, 29 + HORIZON));
    assert_eq!(linear::judge(&ops, Value(2)), Verdict::Holds);
    assert!(follow(&ops, Value(2), |_| None).alarm.is_none());
    // The same where it was written.
    ops[62] = Op::new(0, Kind::Write, Value(2), 0, 10);
    ops.swap(0, 62);
    assert_eq!(linear::judge(&ops, Value(1)), Verdict::Holds);
    assert!(follow(&ops, Value(1), |_| None).alarm.is_none());
}

#[test]
fn a_failed_write_is_remembered_for_the_horizon() {
    let mut ops = in_turn(31);
    let failed = Op::new(1, Kind::Write, Value(999), 3_320, 3_330).failed();
    // With it the key is judged, and forgets.
    ops.extend([Op::new(0, Kind::Read, Value(32), 3_325, 3_335), failed]);
    ops.push(Op::new(2, Kind::Read, Value(999), 3_340, 3_350));
    assert!(matches!(proof(&ops), Proof::WriteFailed { .. }));
}

#[test]
fn what_comes_too_late_is_counted() {
    let read = |end: u64| Op::new(0, Kind::Read, Value(1), end - 5, end);
    assert_eq!(Online::new(Duration::ZERO).keys(), 0);
    let ops = [read(100), read(59), read(60), read(61), read(10), read(101)];
    let followed = follow(&ops, Value(1), |_| None);
    assert_eq!((followed.late, followed.alarm.is_some()), (2, false));
}

/// More operations are open than the search can tell apart, and only a search could tell whether
/// the value at the start, which is written again, is read.
#[test]
fn what_the_search_gave_up_is_counted() {
    let mut ops = vec![Op::new(0, Kind::Write, Value(1), 0, 10)];
    ops.extend((1..2_200).map(|client| Op::new(client, Kind::Read, Value(1), 0, 30)));
    assert_eq!(follow(&ops, Value(1), |_| None).undecided, 1);
    // Now it happens before the end.
    ops.extend((0..64).map(|number| Op::new(0, Kind::Read, Value(1), 100 + number, 200 + number)));
    assert!(follow(&ops, Value(1), |_| None).undecided > 1);
}

#[test]
fn what_is_replaced_is_forgotten() {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let family =
        Family { ops: 4_000, times: 15_000, percent_unknown: 0, percent_failed: 30, ..LONG };
    for absent in [0, 20] {
        for versions in [false, true] {
            let family = Family { percent_absent: absent, ..family };
            let mut drawn = std::iter::repeat_with(|| history(&family, u32::MAX, &mut rng));
            let (ops, initial) = drawn.find(|(ops, _)| ops.len() > 3_500).expect("some are");
            let ops = reported(&ops, &mut rng);
            let version = |op: &Op| versions.then_some(op.end.0);
            let followed = follow(&ops, initial, version);
            assert!(followed.alarm.is_none(), "{:?}", followed.alarm);
            let kept = followed.kept_max;
            assert!((64..120).contains(&kept), "{kept} of {} kept", ops.len());
        }
    }
}
