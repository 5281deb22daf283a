//! Histories that one register can have had, and that none can, as pictures.

use crate::notation::{accepts, history, rejects};
use staleproof::check::linear::{LIMIT, Proof, judge_log, verify};

#[test]
fn what_one_register_can_do_is_accepted() {
    accepts("an empty register", "c0: read k=-  |--|");
    accepts(
        "a write and its read",
        "
        c0: write k=1 |--|
        c1: read k=1       |--|
    ",
    );
    accepts(
        "a read during a write returns the old value",
        "
        initial k=0
        c0: write k=1 |------|
        c1: read k=0    |--|
    ",
    );
    accepts(
        "a read during a write returns the new value",
        "
        initial k=0
        c0: write k=1 |------|
        c1: read k=1    |--|
    ",
    );
    accepts(
        "equal stamps are concurrent",
        "
        c0: write k=1 |--|
        c0: write k=2    |--|
        c1: read k=1     |
    ",
    );
    accepts(
        "two concurrent writes in either order",
        "
        c0: write k=1 |----|
        c1: write k=2 |----|
        c2: read k=1         |-|
        c3: read k=1              |-|
    ",
    );
    accepts(
        "an unknown write takes effect late",
        "
        initial k=0
        c0: write k=1 |--?
        c1: read k=0         |--|
        c1: read k=1                |--|
    ",
    );
    accepts(
        "an unknown write never takes effect",
        "
        initial k=0
        c0: write k=1 |--?
        c1: read k=0         |--|
        c1: read k=0                |--|
    ",
    );
    accepts(
        "a client goes on after an unknown write",
        "
        c0: write k=1 |--?
        c0: write k=2       |--|
        c0: read k=2              |--|
        c0: read k=1                    |--|
    ",
    );
    accepts(
        "a failed write has no effect",
        "
        initial k=0
        c0: write k=1 |--x
        c1: read k=0        |--|
    ",
    );
    accepts(
        "unknown and failed reads say nothing",
        "
        initial k=0
        c0: read k=7  |--?
        c0: read k=8        |--x
    ",
    );
    accepts(
        "a delete and a write again",
        "
        c0: write k=1 |--|
        c0: delete k       |--|
        c1: read k=-            |--|
        c0: write k=2                |--|
        c1: read k=2                      |--|
    ",
    );
    accepts(
        "one delete serves all reads in its gap",
        "
        c0: write k=1 |--|
        c1: delete k  |-------------------|
        c2: read k=-        |-|
        c3: read k=-             |-|
    ",
    );
    accepts(
        "a value that is written twice is there twice",
        "
        c0: write k=1 |--|
        c0: write k=2      |--|
        c0: write k=1            |--|
        c1: read k=1                   |--|
    ",
    );
    accepts(
        "the value at the start is written again",
        "
        initial k=0
        c0: write k=1 |--|
        c0: write k=0      |--|
        c1: read k=0             |--|
    ",
    );
    accepts(
        "keys are judged apart",
        "
        c0: write k=1 |--|
        c0: write l=1      |--|
        c1: read l=1             |--|
        c1: read k=1                  |--|
    ",
    );
}

#[test]
fn what_no_register_can_do_is_rejected() {
    rejects(
        "a stale read after an acknowledged write",
        3,
        "
        c0: write k=1 |--|
        c0: write k=2      |--|
        c1: read k=1            |--|
    ",
    );
    rejects(
        "the value at the start after an acknowledged write",
        2,
        "
        initial k=0
        c0: write k=1 |--|
        c1: read k=0       |--|
    ",
    );
    rejects(
        "nothing after an acknowledged write",
        2,
        "
        c0: write k=1 |--|
        c1: read k=-       |--|
    ",
    );
    rejects(
        "a value that nobody wrote",
        1,
        "
        c0: write k=1 |--|
        c1: read k=2       |--|
    ",
    );
    rejects(
        "a value whose write failed",
        2,
        "
        c0: write k=1 |--x
        c1: read k=1       |--|
    ",
    );
    rejects(
        "a value before its write",
        2,
        "
        c0: read k=1  |--|
        c1: write k=1      |--|
    ",
    );
    rejects(
        "two reads go back and forth",
        3,
        "
        c0: write k=1 |-----------------|
        c1: write k=2 |-----------------|
        c2: read k=1                      |-|
        c2: read k=2                          |-|
    ",
    );
    rejects(
        "new, old, new",
        4,
        "
        c0: write k=1 |---------------------|
        c1: write k=2 |---------------------|
        c2: read k=1    |-|
        c2: read k=2        |-|
        c2: read k=1            |-|
    ",
    );
    rejects(
        "there, deleted, there, and absent at last",
        4,
        "
        c0: write k=1 |---------------------|
        c1: read k=1    |-|
        c1: delete k        |-|
        c1: read k=1            |-|
        c1: read k=-                  |-|
    ",
    );
    rejects(
        "two overlapping zones",
        6,
        "
        c0: write k=1 |-------------------------|
        c1: write k=2 |-------------------------|
        c2: read k=1    |--|
        c3: read k=2      |---|
        c4: read k=1              |---|
        c5: read k=2                |--|
    ",
    );
    rejects(
        "a delete was acknowledged",
        3,
        "
        c0: write k=1 |--|
        c0: delete k       |--|
        c1: read k=1            |--|
    ",
    );
    rejects(
        "two gaps, one delete",
        5,
        "
        c0: write k=1 |--|
        c1: delete k  |-----------------------------|
        c2: read k=-        |-|
        c0: write k=2            |--|
        c2: read k=-                    |-|
    ",
    );
    rejects(
        "a delete is too early, since the value is read again later",
        3,
        "
        c5: delete k  |---|
        c0: write k=1 |--------------------|
        c1: read k=1   |-|
        c2: read k=-    |--|
        c3: read k=-      |-----|
        c4: read k=1        |-----------|
    ",
    );
    rejects(
        "an unknown write counts once",
        4,
        "
        c0: write k=1 |--?
        c1: read k=1       |-|
        c0: write k=2          |--|
        c1: read k=1                |-|
    ",
    );
    rejects(
        "a read and its write that begin together show the same value",
        2,
        "
        c1: read k=1  |--|
        c0: write k=1 |---------|
        c2: read k=-       |--|
    ",
    );
    rejects(
        "written twice, read a third time",
        3,
        "
        c0: write k=1 |--|
        c0: write k=2      |--|
        c0: write k=1           |--|
        c0: write k=3                |--|
        c1: read k=1                      |--|
    ",
    );
}

/// The proof is the smallest of all conflicts, not of the first one: here one of six operations
/// and one of four.
#[test]
fn the_smaller_of_two_conflicts_is_shown() {
    let six = "
        c0: write k=1 |--------------------|
        c1: read k=1  |-|
        c1: read k=1                   |-|
        c2: write k=2 |--------------------|
        c3: read k=2      |-------------------|
        c4: read k=2 |------------|
    ";
    rejects("six", 6, six);
    let four = "
        c0: write k=1 |--------------------|
        c1: read k=1  |-|
        c1: read k=1                   |-|
        c2: write k=2 |--------------------|
        c3: read k=2       |----|
    ";
    rejects("four", 4, four);
    let later = |picture: &str| {
        let values = picture.replace("k=1", "k=3").replace("k=2", "k=4");
        values.replacen('|', &format!("{}|", " ".repeat(30)), 1)
    };
    let moved = |picture: &str| picture.lines().map(|line| later(line) + "\n").collect::<String>();
    rejects("the first is larger", 4, &(six.to_owned() + &moved(four)));
    rejects("the second is larger", 4, &(four.to_owned() + &moved(six)));
}

/// A proof names operations by their places in the history, not among those of their key.
#[test]
fn proofs_of_one_key_among_others_point_at_its_operations() {
    let proof = |picture: &str| {
        let log = history(&format!("c9: write other=1 |--|\n{picture}"));
        let mut judgement = judge_log(&log, LIMIT);
        assert_eq!((judgement.keys, judgement.violated.len()), (2, 1));
        let (_, violation) = judgement.violated.swap_remove(0);
        (violation.ops, violation.proof)
    };
    assert_eq!(proof("c1: read k=1 |--|"), (vec![1], Proof::NeverWritten { read: 1 }));
    let failed = "
        c0: write k=1 |--x
        c1: read k=1       |--|
    ";
    assert_eq!(proof(failed), (vec![1, 2], Proof::WriteFailed { read: 2, write: 1 }));
    let future = "
        c0: write k=1      |--|
        c1: read k=1  |--|
    ";
    assert_eq!(proof(future), (vec![2, 1], Proof::FromTheFuture { read: 2, write: 1 }));
    let replaced = "
        c0: write k=1 |--|
        c0: write k=2      |--|
        c1: read k=1            |--|
    ";
    let both = Proof::Both { one: (Some(1), 3), other: (2, 2) };
    assert_eq!(proof(replaced), (vec![1, 2, 3], both));
    let absent = "
        initial k=0
        c0: delete k  |-------------------|
        c1: read k=-   |--|
        c0: write k=1        |--|
        c1: read k=-              |--|
    ";
    let few = Proof::TooFewDeletes { reads: vec![2, 4], deletes: vec![1], initial: false };
    assert_eq!(proof(absent).1, few);
    let twice = "
        c0: write k=1 |--|
        c0: write k=2      |--|
        c0: write k=1           |--|
        c0: write k=3                |--|
        c1: read k=1                      |--|
    ";
    let both = Proof::Both { one: (Some(3), 5), other: (4, 4) };
    assert_eq!(proof(twice), (vec![3, 4, 5], both));
    let thrice = "
        c0: write k=1 |------------------------|
        c1: write k=1 |------------------------|
        c2: write k=2 |------------------------|
        c3: write k=2 |------------------------|
        c4: read k=1   |--|
        c4: read k=2        |--|
        c4: read k=1             |--|
        c4: read k=2                  |--|
        c4: read k=1                       |--|
    ";
    assert_eq!(proof(thrice), ((1..=9).collect(), Proof::Exhausted));
}

/// Of a value that was written several times: the write that was over last is the one to name,
/// of those that the read can have returned.
#[test]
fn a_value_that_was_written_several_times_is_seen_to_be_replaced() {
    let proof = |picture: &str| {
        let log = history(picture);
        let mut judgement = judge_log(&log, 0);
        assert_eq!((judgement.violated.len(), judgement.unknown.len()), (1, 0), "{picture}");
        let (_, violation) = judgement.violated.swap_remove(0);
        assert_eq!(verify::violation(&log.ops, log.initial[0], &violation), Ok(()), "{picture}");
        (violation.ops, violation.proof)
    };
    let both = |first: Option<usize>, other: usize, read: usize| Proof::Both {
        one: (first, read),
        other: (other, other),
    };
    let by_a_write = "
        c0: write k=1 |----------|
        c1: write k=1    |--|
        c2: write k=2              |--|
        c3: read k=1                    |--|
        c4: write k=1                        |--|
    ";
    assert_eq!(proof(by_a_write), (vec![0, 2, 3], both(Some(0), 2, 3)));
    let by_a_read = "
        c0: write k=1 |--|
        c1: write k=1      |--|
        c2: write k=2      |-----------------|
        c3: read k=2             |--|
        c4: read k=1                  |--|
    ";
    assert_eq!(proof(by_a_read), (vec![1, 3, 4], both(Some(1), 3, 4)));
    let at_the_start = "
        initial k=1
        c0: write k=2 |--|
        c1: read k=1       |--|
        c2: write k=1            |--|
    ";
    assert_eq!(proof(at_the_start), (vec![0, 1], both(None, 0, 1)));
    for (name, picture) in [
        (
            "one of the writes lasts",
            "
            c0: write k=1 |----------------|
            c1: write k=1 |--|
            c2: write k=2      |--|
            c3: read k=1             |--|
        ",
        ),
        (
            "one of the writes is unknown",
            "
            c0: write k=1 |--?
            c1: write k=1 |--|
            c2: write k=2      |--|
            c3: read k=1             |--|
        ",
        ),
        (
            "one of the writes begins as the read ends",
            "
            c1: write k=1 |--|
            c2: write k=2      |--|
            c3: read k=1            |--|
            c0: write k=1              |--|
        ",
        ),
        (
            "the other one touches",
            "
            c0: write k=1 |--|
            c1: write k=1 |-----|
            c2: write k=2       |--|
            c3: read k=1           |--|
        ",
        ),
    ] {
        accepts(name, picture);
    }
}
