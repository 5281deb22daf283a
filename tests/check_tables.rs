//! Histories to accept and to reject, as pictures.

mod notation;

use notation::{accepts, history, rejects};
use staleproof::check::found::Found;
use staleproof::check::values::Values;
use staleproof::check::{durability, phantoms, sessions, staleness, torn, updates, versions};
use staleproof::history::log::Log;

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
        2,
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
        "written twice, read a third time",
        2,
        "
        c0: write k=1 |--|
        c0: write k=2      |--|
        c0: write k=1           |--|
        c0: write k=3                |--|
        c1: read k=1                      |--|
    ",
    );
}

fn found(judge: impl Fn(&Log, &Values) -> Found, picture: &str) -> (u64, u64) {
    let log = history(picture);
    let found = judge(&log, &Values::of(&log));
    assert_eq!(found.count as usize, found.findings.len());
    (found.count, found.tested)
}

#[test]
fn sessions_are_judged() {
    let read_your_writes =
        |log: &Log, values: &Values| sessions::judge(log, values).read_your_writes;
    let monotonic_reads = |log: &Log, values: &Values| sessions::judge(log, values).monotonic_reads;
    let monotonic_writes =
        |log: &Log, values: &Values| sessions::judge(log, values).monotonic_writes;
    let follow = |log: &Log, values: &Values| sessions::judge(log, values).writes_follow_reads;
    let own = "
        initial k=0
        c0: write k=1 |--|
        c0: read k=0       |--|
    ";
    assert_eq!(found(read_your_writes, own), (1, 1));
    assert_eq!(found(read_your_writes, &own.replace("c0: read", "c1: read")), (0, 0));
    assert_eq!(found(read_your_writes, &own.replace("read k=0", "read k=1")), (0, 1));
    let back = "
        c0: write k=1 |--|
        c0: write k=2      |--|
        c1: read k=2             |--|
        c1: read k=1                   |--|
    ";
    assert_eq!(found(monotonic_reads, back), (1, 1));
    assert_eq!(found(monotonic_reads, &back.replace("read k=1", "read k=2")), (0, 1));
    let versions_tell = "
        c0: write k=1 |----------------| version=1
        c2: write k=2 |----------------| version=2
        c1: read k=2        |-|          version=2
        c1: read k=1             |-|     version=1
    ";
    assert_eq!(found(monotonic_reads, versions_tell), (1, 1));
    let unseen = "
        initial k=0
        c0: write k=1 |--|
        c0: write k=2      |--|
        c1: read k=2             |--|
        c1: read k=0                   |--|
    ";
    assert_eq!(found(monotonic_writes, unseen), (1, 1));
    assert_eq!(found(monotonic_writes, &unseen.replace("read k=0", "read k=2")), (0, 1));
    let based = "
        initial k=0
        c0: write k=1 |--|
        c2: read k=1       |-|
        c2: write k=2          |--|
        c1: read k=2                 |--|
        c1: read k=0                       |--|
    ";
    assert_eq!(found(follow, based), (1, 1));
    assert_eq!(found(follow, &based.replace("c1: read k=0", "c1: read k=1")), (0, 1));
}

#[test]
fn lost_updates_are_found() {
    let two = "
        initial k=0
        c0: read k=0  |--|             group=a
        c1: read k=0  |--|             group=b
        c0: write k=1      |--|        group=a
        c1: write k=2           |--|   group=b
    ";
    assert_eq!(found(updates::judge, two), (1, 2));
    assert_eq!(found(updates::judge, &two.replace("c1: read k=0", "c1: read k=1")), (0, 2));
    let blind = "
        initial k=0
        c0: read k=0  |--|             group=a
        c1: write k=1      |--|
        c0: write k=2           |--|   group=a
    ";
    assert_eq!(found(updates::judge, blind), (1, 1));
    assert_eq!(
        found(
            updates::judge,
            &blind.replace("|--|\n        c0: write", "|----|\n        c0: write")
        ),
        (0, 1)
    );
}

#[test]
fn lost_writes_are_found() {
    let gone = "
        initial k=0
        c0: write k=1 |--|
        c1: read k=0       |--|
    ";
    assert_eq!(found(durability::judge, gone), (1, 1));
    assert_eq!(found(durability::judge, &gone.replace("read k=0", "read k=1")), (0, 1));
    let later = format!("{gone}        c1: read k=1            |--|\n");
    assert_eq!(found(durability::judge, &later), (0, 1));
    assert_eq!(found(durability::judge, "c0: write k=1 |--|"), (0, 0));
    assert_eq!(found(durability::judge, "c0: write k=1 |--|  effect=none"), (1, 1));
}

#[test]
fn phantoms_are_found() {
    assert_eq!(found(phantoms::judge, "c0: read k=1 |--|"), (1, 1));
    assert_eq!(found(phantoms::judge, "c0: read k=- |--|"), (0, 0));
    let uncommitted = "
        c0: write k=1 |-----|   effect=none
        c1: read k=1    |-|
    ";
    assert_eq!(found(phantoms::judge, uncommitted), (1, 1));
    assert_eq!(found(phantoms::judge, &uncommitted.replace("effect=none", "")), (0, 1));
}

#[test]
fn torn_views_are_found() {
    let view = "
        initial k=0 l=0
        c0: write k=1 |--|
        c0: write l=1      |--|
        c1: read k=0             |--|   group=v
        c1: read l=1             |--|   group=v
    ";
    assert_eq!(found(torn::judge, view), (1, 1));
    assert_eq!(found(torn::judge, &view.replace("read k=0", "read k=1")), (0, 1));
    assert_eq!(found(torn::judge, &view.replace("read l=1", "read l=0")), (0, 1));
    assert_eq!(found(torn::judge, &view.replace("group=v", "")), (0, 0));
}

#[test]
fn versions_are_a_second_opinion() {
    let log = history(
        "
        c0: write k=1 |--|               version=1
        c0: write k=2      |--|          version=2
        c1: read k=1            |--|     version=1
        c1: read l=1  |--|
    ",
    );
    let judged = versions::judge(&log, &Values::of(&log));
    assert_eq!((judged.backwards.count, judged.backwards.tested), (1, 3));
    assert_eq!(judged.sound, []);
    let log = history(
        "
        c0: write k=1 |--|               version=1
        c0: write k=2      |--|          version=2
        c1: read k=2            |--|     version=2
    ",
    );
    assert_eq!(versions::judge(&log, &Values::of(&log)).sound.len(), 1);
}

#[test]
fn staleness_is_measured() {
    let log = history(
        "
        initial k=0
        c0: write k=1    |--|
        c0: write k=2         |--|
        c0: write k=3              |--|
        c1: read k=1                      |--|   hit
        c1: read k=3                      |--|   miss
        c2: read k=0                         |--|  hit
    ",
    );
    let values = Values::of(&log);
    let measured = staleness::measure(&log, &values);
    assert_eq!((measured.all.reads, measured.all.stale), (3, 2));
    assert_eq!((measured.hits.reads, measured.hits.stale), (2, 2));
    // The first write ends at column 28, the second at 33; the reads begin at 42 and 45.
    assert_eq!(measured.at_least, [0, 9, 17]);
    assert_eq!(measured.versions_behind, 3);
    assert_eq!(measured.visible[0], (3, 1));
    let key = log.ops[0].key;
    // 45 - 28, the end of the first write.
    assert_eq!(staleness::delta(&log, &values, key, 1_000), Some(17));
    let log = history("c1: read k=1   |--|");
    let values = Values::of(&log);
    assert_eq!(staleness::measure(&log, &values).never_legal, 1);
    assert_eq!(staleness::delta(&log, &values, log.ops[0].key, 1_000), None);
}
