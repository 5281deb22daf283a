//! The verifier of certificates: it must refuse whatever proves nothing.
//!
//! That it accepts what the checkers find is shown wherever their verdicts are tested.

use crate::notation::random::{FAMILIES, Family, PLAIN, draw, explainable};
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use staleproof::check::linear::{self, Proof, Verdict, Violation, verify};
use staleproof::history::log::{Kind, Op, Value};
use staleproof::operation::Outcome;

/// Histories small enough for random claims to be right now and then.
fn histories(seed: u64, each: usize, mut visit: impl FnMut(&[Op], Value, &mut ChaCha8Rng)) {
    for (number, family) in FAMILIES.iter().enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed + number as u64);
        for _ in 0..each {
            let family = Family { ops: 4, times: family.times.min(8), length: 4, ..*family };
            let (ops, initial) = draw(&family, &mut rng);
            visit(&ops, initial, &mut rng);
        }
    }
}

/// The definition, pair by pair.
fn explains(ops: &[Op], initial: Value, order: &[usize]) -> bool {
    let all_there = ops.iter().enumerate().all(|(place, op)| {
        let times = order.iter().filter(|placed| **placed == place).count();
        let takes_part = op.has_read() || op.may_write();
        times <= usize::from(takes_part) && (times == 1 || op.outcome != Outcome::Ok)
    });
    let in_range = order.iter().all(|place| *place < ops.len());
    let respects = |(at, place): (usize, &usize)| {
        !order[at + 1..].iter().any(|later| ops[*later].precedes(&ops[*place]))
    };
    let mut now = initial;
    all_there
        && in_range
        && order.iter().enumerate().all(respects)
        && order.iter().all(|place| {
            let fits = ops[*place].kind == Kind::Write || ops[*place].value == now;
            now = ops[*place].value;
            fits
        })
}

#[test]
fn an_order_is_accepted_exactly_if_it_explains_the_history() {
    let (mut accepted, mut refused) = (0, 0);
    histories(0, 4_000, |ops, initial, rng| {
        let mut order: Vec<usize> = (0..ops.len()).collect();
        order.shuffle(rng);
        // Not all of them, or one twice, or one that is not there.
        match rng.random_range(0..4u32) {
            0 => drop(order.pop()),
            1 => order.push(rng.random_range(0..=ops.len())),
            _ => order.retain(|place| ops[*place].has_read() || ops[*place].may_write()),
        }
        let right = explains(ops, initial, &order);
        let verdict = verify::order(ops, initial, &order);
        assert_eq!(verdict.is_ok(), right, "{order:?} {verdict:?} {initial:?} {ops:#?}");
        *(if right { &mut accepted } else { &mut refused }) += 1;
    });
    assert!(accepted > 2_000 && refused > 2_000, "{accepted} accepted, {refused} refused");
}

#[test]
fn a_whole_history_is_a_core_exactly_if_no_order_explains_it() {
    let (mut accepted, mut refused) = (0, 0);
    histories(100, 2_000, |ops, initial, _| {
        let claim = Violation { proof: Proof::Exhausted, ops: (0..ops.len()).collect() };
        let right = !explainable(ops, initial);
        let verdict = verify::violation(ops, initial, &claim);
        assert_eq!(verdict.is_ok(), right, "{verdict:?} {initial:?} {ops:#?}");
        *(if right { &mut accepted } else { &mut refused }) += 1;
    });
    assert!(accepted > 2_000 && refused > 2_000, "{accepted} accepted, {refused} refused");
}

fn some(ops: &[Op], rng: &mut ChaCha8Rng) -> Vec<usize> {
    let mut places: Vec<usize> = (0..ops.len()).collect();
    places.shuffle(rng);
    places.truncate(rng.random_range(0..=ops.len()));
    places
}

/// A claim about operations that were drawn.
fn random_claim(ops: &[Op], rng: &mut ChaCha8Rng) -> Violation {
    let mut one = || rng.random_range(0..ops.len());
    let both = Proof::Both { one: (Some(one()), one()), other: (one(), one()) };
    let from_start = Proof::Both { one: (None, one()), other: (one(), one()) };
    let mut reads = some(ops, rng);
    reads.retain(|place| ops[*place].has_read() && ops[*place].value == Value::NULL);
    let deletes = (0..ops.len()).filter(|_| rng.random_range(0..3u32) == 0).collect();
    let proof = match rng.random_range(0..4u32) {
        0 => both,
        1 => from_start,
        2 => Proof::TooFewDeletes { reads, deletes, initial: rng.random_range(0..2u32) == 0 },
        _ => Proof::Exhausted,
    };
    Violation { proof, ops: some(ops, rng) }
}

/// What a claim about two values says, taken literally.
fn is_as_it_says(ops: &[Op], initial: Value, claim: &Violation) -> bool {
    let Proof::Both { one, other } = &claim.proof else { return true };
    let before = one.0.map_or(initial, |place| ops[place].value);
    let (from, to) = (&ops[other.0], &ops[other.1]);
    one.0.is_none_or(|place| ops[place].precedes(from))
        && to.precedes(&ops[one.1])
        && before == ops[one.1].value
        && from.value == to.value
}

#[test]
fn no_claim_is_accepted_of_a_history_that_some_order_explains() {
    let mut accepted = [0; 3];
    histories(200, 60_000, |ops, initial, rng| {
        let claim = random_claim(ops, rng);
        if verify::violation(ops, initial, &claim).is_ok() {
            assert!(!explainable(ops, initial), "{claim:?} {initial:?} {ops:#?}");
            assert!(is_as_it_says(ops, initial, &claim), "{claim:?} {initial:?} {ops:#?}");
            accepted[match claim.proof {
                Proof::Both { .. } => 0,
                Proof::TooFewDeletes { .. } => 1,
                _ => 2,
            }] += 1;
        }
    });
    assert!(accepted.iter().all(|count| *count > 100), "accepted {accepted:?}");
}

/// The same proof with one thing changed.
fn spoil(proof: &Proof, ops: &[Op], rng: &mut ChaCha8Rng) -> Proof {
    let Proof::TooFewDeletes { reads, deletes, initial } = proof else { unreachable!() };
    let (mut reads, mut deletes, mut initial) = (reads.clone(), deletes.clone(), *initial);
    match rng.random_range(0..5u32) {
        0 => initial = !initial,
        1 => drop(deletes.pop()),
        2 => deletes.push(rng.random_range(0..ops.len())),
        3 => reads.push(rng.random_range(0..ops.len())),
        _ => drop(reads.remove(rng.random_range(0..reads.len()))),
    }
    Proof::TooFewDeletes { reads, deletes, initial }
}

#[test]
fn counts_of_deletes_are_held_to_what_they_say() {
    let family = Family { percent_absent: 60, times: 12, length: 3, ..PLAIN };
    let mut rng = ChaCha8Rng::seed_from_u64(300);
    let (mut proofs, mut refused) = (0, 0);
    while proofs < 2_000 {
        let (ops, initial) = draw(&family, &mut rng);
        let Verdict::Violated(violation) = linear::judge(&ops, initial) else { continue };
        let Proof::TooFewDeletes { reads, deletes, initial: start } = &violation.proof else {
            continue;
        };
        proofs += 1;
        let proof = spoil(&violation.proof, &ops, &mut rng);
        let Proof::TooFewDeletes { reads: others, deletes: fewer, initial: from } = &proof else {
            unreachable!()
        };
        let same = others == reads && fewer == deletes && from == start;
        // Other reads need other deletes; the same reads with others are a false count.
        let false_count = others == reads && !same;
        let claim = Violation { proof: proof.clone(), ops: violation.ops.clone() };
        let verdict = verify::violation(&ops, initial, &claim);
        if false_count {
            assert!(verdict.is_err(), "{proof:?} {ops:#?}");
        }
        if others.len() <= fewer.len() + usize::from(*from) {
            assert!(verdict.is_err(), "{proof:?} {ops:#?}");
        }
        refused += u32::from(verdict.is_err());
    }
    assert!(refused > 1_000, "{refused} of {proofs} refused");
}

#[test]
fn only_reads_of_absence_ask_for_deletes() {
    let ops = [
        Op::new(0, Kind::Write, Value(1), 0, 10),
        Op::new(1, Kind::Read, Value(1), 20, 30),
        Op::new(0, Kind::Write, Value::NULL, 40, 50),
    ];
    for place in [1, 2] {
        let proof = Proof::TooFewDeletes { reads: vec![place], deletes: vec![], initial: false };
        let claim = Violation { proof, ops: vec![0, place] };
        assert!(verify::violation(&ops, Value(1), &claim).is_err(), "{claim:?}");
    }
}

/// A write that begins just when a read of absence ends may come before it, and a delete between
/// the two: that delete serves the next read as well.
#[test]
fn reads_that_a_value_only_touches_are_not_apart() {
    let ops = [
        Op::new(0, Kind::Read, Value::NULL, 0, 10),
        Op::new(1, Kind::Write, Value::NULL, 5, 12),
        Op::new(2, Kind::Write, Value(2), 10, 15),
        Op::new(0, Kind::Read, Value::NULL, 20, 30),
    ];
    assert_eq!(linear::judge(&ops, Value(1)), Verdict::Holds);
    let proof = Proof::TooFewDeletes { reads: vec![0, 3], deletes: vec![1], initial: false };
    let claim = Violation { proof, ops: vec![0, 1, 2, 3] };
    assert!(verify::violation(&ops, Value(1), &claim).is_err());
}
