//! How much the judge has to search, and how small its proofs are.
//!
//! Nothing here is about right or wrong: a rule that prunes the search, tells equal values apart
//! by time or shrinks a proof can be lost without a wrong verdict. So what they save is pinned,
//! over histories with values that are written several times. A number that gets better may be
//! changed; one that gets worse says that a rule no longer works.

use crate::notation::random::{FAMILIES, Family, PLAIN, draw, simulate};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use staleproof::check::linear::{self, Proof, Verdict};
use staleproof::history::log::{Kind, Op, Value};
use staleproof::time::Time;

/// Configurations that may be visited.
const LIMITS: [u64; 5] = [0, 30, 300, 3_000, 300_000];

/// Of so many histories of a family each.
const EACH: usize = 1_000;

/// By limit, how many are found to hold and to be violated; and over the proofs at the largest
/// limit the sum of their operations and of their spans.
#[derive(Debug, PartialEq, Eq)]
struct Effort {
    holds: [u32; 5],
    violated: [u32; 5],
    operations: usize,
    spans: u64,
}

fn measure(seed: u64, family: &Family, each: usize) -> Effort {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut effort = Effort { holds: [0; 5], violated: [0; 5], operations: 0, spans: 0 };
    for _ in 0..each {
        let (ops, initial) = simulate(family, &mut rng);
        for (number, limit) in LIMITS.into_iter().enumerate() {
            match linear::judge_within(&ops, initial, limit) {
                Verdict::Holds => effort.holds[number] += 1,
                Verdict::Violated(violation) => {
                    effort.violated[number] += 1;
                    if number + 1 == LIMITS.len() {
                        effort.operations += violation.ops.len();
                        effort.spans += span(&ops, &violation.ops);
                    }
                }
                Verdict::Unknown(limit) => assert!(limit.visited >= LIMITS[number]),
            }
        }
    }
    effort
}

fn span(ops: &[Op], core: &[usize]) -> u64 {
    let of_core = || core.iter().map(|place| &ops[*place]);
    let ends = of_core().map(|op| if op.end == Time::NEVER { op.start.0 } else { op.end.0 });
    ends.max().unwrap_or(0) - of_core().map(|op| op.start.0).min().unwrap_or(0)
}

const CROWD: Family = Family { name: "crowd", ops: 40, values: 3, percent_unknown: 5, ..PLAIN };

#[test]
fn values_that_come_back_later_hardly_need_a_search() {
    let family = Family { times: 200, length: 6, values: 6, ..CROWD };
    let pinned = Effort {
        holds: [728, 730, 744, 744, 744],
        violated: [256, 256, 256, 256, 256],
        operations: 481,
        spans: 8017,
    };
    assert_eq!(measure(1, &family, EACH), pinned);
}

#[test]
fn a_crowd_is_searched_within_limits() {
    let pinned = Effort {
        holds: [606, 639, 775, 842, 843],
        violated: [154, 154, 156, 157, 157],
        operations: 343,
        spans: 1524,
    };
    assert_eq!(measure(2, &CROWD, EACH), pinned);
}

#[test]
fn absence_and_unknown_outcomes_are_searched_within_limits() {
    let family = Family { percent_absent: 20, percent_unknown: 30, times: 60, ..CROWD };
    let pinned = Effort {
        holds: [718, 730, 807, 817, 817],
        violated: [173, 177, 182, 183, 183],
        operations: 403,
        spans: 3033,
    };
    assert_eq!(measure(3, &family, EACH), pinned);
}

#[test]
fn a_few_values_that_nobody_reads_cost_little() {
    let family = Family { percent_reads: 25, values: 12, times: 30, ..CROWD };
    let pinned = Effort {
        holds: [790, 794, 822, 830, 830],
        violated: [170, 170, 170, 170, 170],
        operations: 296,
        spans: 1657,
    };
    assert_eq!(measure(4, &family, EACH), pinned);
}

/// So wide that configurations wait, and the search comes back to them.
const WIDE: Family =
    Family { ops: 60, values: 8, times: 30, length: 20, percent_reads: 40, ..CROWD };

#[test]
fn configurations_that_wait_are_taken_up_where_they_were_left() {
    let pinned = Effort {
        holds: [203, 204, 215, 225, 258],
        violated: [41, 41, 41, 41, 42],
        operations: 67,
        spans: 600,
    };
    assert_eq!(measure(5, &WIDE, 300), pinned);
}

/// One of few histories where it tells: followed again and again, they are over a million.
#[test]
fn no_configuration_that_waited_is_followed_twice() {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let (ops, initial) =
        (0..=177).map(|_| simulate(&WIDE, &mut rng)).last().expect("there are some");
    assert_eq!(linear::judge_within(&ops, initial, 640_000), Verdict::Holds);
}

/// At ever larger limits the judge says that it does not know, or the truth.
#[test]
fn a_limit_makes_no_verdict_wrong() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let (mut unknown, mut known) = (0, 0);
    for _ in 0..300 {
        let (ops, initial) = simulate(&CROWD, &mut rng);
        let truth = linear::judge(&ops, initial);
        for limit in (0..1_000).step_by(9) {
            match linear::judge_within(&ops, initial, limit) {
                Verdict::Unknown(_) => unknown += 1,
                verdict => {
                    known += 1;
                    assert_eq!(verdict == Verdict::Holds, truth == Verdict::Holds, "{limit}");
                }
            }
        }
    }
    assert!(unknown > 1_000 && known > 1_000, "{unknown} unknown, {known} known");
}

/// Value 1, which is there at the start, is written again while it is read: only a search tells.
/// So many operations are open at once.
fn needs_a_search(open: u32) -> Vec<Op> {
    let write = Op::new(0, Kind::Write, Value(1), 0, 10);
    let read = |client: u32| match client {
        1 => Op::new(client, Kind::Read, Value(1), 0, 10),
        _ => Op::new(client, Kind::Read, Value(1), 0, 1_000),
    };
    std::iter::once(write).chain((1..open).map(read)).collect()
}

/// What is open at once has a bit each, in words of 64: one, four or thirty-two.
#[test]
fn as_many_operations_may_be_open_as_there_are_bits() {
    for open in [63, 64, 65, 255, 256, 257, 2_047, 2_048] {
        let mut ops = needs_a_search(open);
        assert_eq!(linear::judge(&ops, Value(1)), Verdict::Holds, "{open} open");
        // Value 1 is gone for good when it is read again.
        ops.push(Op::new(0, Kind::Write, Value(2), 20, 30));
        ops.push(Op::new(0, Kind::Read, Value(1), 40, 50));
        let Verdict::Violated(violation) = linear::judge(&ops, Value(1)) else {
            panic!("{open} open: a value that is gone is read");
        };
        assert!(violation.ops.len() <= 4, "{violation:?}");
    }
    assert!(matches!(linear::judge(&needs_a_search(2_049), Value(1)), Verdict::Unknown(_)));
}

/// Neither operations that have ended nor crashed writes that nobody reads need a bit.
#[test]
fn bits_are_used_again() {
    let mut ops = needs_a_search(2);
    for number in 0..3_000 {
        let (value, at) = (Value(2 + number), 20 + 10 * u64::from(number));
        ops.push(Op::new(0, Kind::Write, value, at, at + 1));
        ops.push(Op::new(1, Kind::Read, value, at + 2, at + 3));
        ops.push(Op::new(2 + number, Kind::Write, Value(4_000 + number), at, at).unknown());
    }
    assert_eq!(linear::judge(&ops, Value(1)), Verdict::Holds);
}

#[test]
fn values_that_are_written_once_need_no_search() {
    let mut absent = 0;
    for (number, family) in FAMILIES.iter().filter(|family| family.values == 0).enumerate() {
        let mut rng = ChaCha8Rng::seed_from_u64(10 + number as u64);
        for ops in [7, 12].repeat(10 * EACH) {
            let (ops, initial) = draw(&Family { ops, ..*family }, &mut rng);
            match linear::judge_within(&ops, initial, 0) {
                Verdict::Holds => {}
                Verdict::Violated(violation) => {
                    assert_ne!(violation.proof, Proof::Exhausted, "{initial:?} {ops:#?}");
                    absent += u32::from(matches!(violation.proof, Proof::TooFewDeletes { .. }));
                }
                Verdict::Unknown(_) => panic!("{initial:?} {ops:#?}"),
            }
        }
    }
    assert!(absent > 1_000, "{absent} reads of absence had too few deletes");
}

/// Each of so many values conflicts with each other: looking at all pairs would take minutes.
#[test]
fn not_every_conflict_of_a_crowd_is_looked_at() {
    const VALUES: u64 = 10_000;
    let mut ops = Vec::new();
    for number in 0..VALUES {
        let value = Value(number as u32 + 1);
        let read = |start: u64| Op::new(1, Kind::Read, value, start, start + 1);
        ops.push(Op::new(0, Kind::Write, value, 0, 9 * VALUES));
        ops.extend([read(3 * number + 1), read(3 * (VALUES + number) + 1)]);
    }
    let Verdict::Violated(violation) = linear::judge_within(&ops, Value::NULL, 0) else {
        panic!("values that alternate are accepted");
    };
    assert_eq!(violation.ops.len(), 4, "{violation:?}");
}
