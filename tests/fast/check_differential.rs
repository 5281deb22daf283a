//! The judge against exhaustive search: all small histories, and random ones of families that
//! are heavy in reads of absence, unknown outcomes, ties and values written twice.
//!
//! `STALEPROOF_LONG=1` tries more than a million. Every verdict's certificate goes through the
//! verifier.

use crate::notation::random::{FAMILIES, Family, draw, explainable, simulate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use staleproof::check::linear::{self, Proof, Verdict, verify};
use staleproof::history::log::{Kind, Op, Value};

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
