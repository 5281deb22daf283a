//! What the other checkers find, and what they do not, as pictures.

use crate::notation::history;
use staleproof::check::found::Found;
use staleproof::check::values::Values;
use staleproof::check::{durability, phantoms, sessions, staleness, torn, updates, versions};
use staleproof::history::log::{Fault, Log};
use staleproof::time::Time;

fn judged(judge: impl Fn(&Log, &Values) -> Found, picture: &str) -> Found {
    let log = history(picture);
    judge(&log, &Values::of(&log))
}

fn found(judge: impl Fn(&Log, &Values) -> Found, picture: &str) -> (u64, u64) {
    let found = judged(judge, picture);
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
    // The one between them may come in front of the first.
    let first = "
        c0: write k=1 |-------|
        c0: write k=2    |-------|
        c0: write k=3               |--|
        c1: read k=3                     |--|
        c1: read k=1                          |--|
    ";
    assert_eq!(found(monotonic_writes, first), (1, 1));
    // Of what was seen of a writer the last counts, whenever it was seen.
    let second = "        c1: read k=2                     |--|\n";
    let third = "        c1: read k=3                          |--|\n";
    let after = |reads: [&str; 2]| {
        let writes = first.lines().take(4).collect::<Vec<_>>().join("\n");
        format!(
            "{writes}\n{}        c1: read k=1                               |--|\n",
            reads.concat()
        )
    };
    assert_eq!(found(monotonic_writes, &after([second, third])), (1, 1));
    let (second, third) = (second.replace("k=2", "k=3"), third.replace("k=3", "k=2"));
    assert_eq!(found(monotonic_writes, &after([&second, &third])), (2, 2));
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

/// Two that end together are told apart by when they began, not by the order of their lines.
#[test]
fn the_order_of_lines_is_no_reason_to_lose_an_update() {
    let first = "        c0: write k=1        |----|    group=a\n";
    let second = "        c1: write k=2   |---------|    group=b\n";
    let history = |writes: [&str; 2]| {
        format!(
            "
        initial k=0
        c0: read k=0  |--|             group=a
        c1: read k=0  |--|             group=b
        c2: write k=3 |----|
{}",
            writes.concat()
        )
    };
    assert_eq!(found(updates::judge, &history([first, second])), (1, 2));
    assert_eq!(found(updates::judge, &history([second, first])), (1, 2));
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
    // Nobody looked.
    assert_eq!(found(durability::judge, "c0: write k=1 |--|  effect=unknown"), (0, 1));
    // It was there, whatever a stale cache showed later.
    let committed = gone.replace("write k=1 |--|", "write k=1 |--| effect=committed");
    assert_eq!(found(durability::judge, &committed), (0, 1));
}

/// The write comes first, and then the last read that shows the loss, if there was one.
#[test]
fn a_lost_write_is_shown_with_the_last_read_after_it() {
    let shown = |picture: &str| judged(durability::judge, picture).findings;
    let after = "
        initial k=0
        c0: write k=1      |--|
        c1: read k=0              |--|
        c1: read k=0                   |--|
    ";
    assert_eq!(shown(after), [[0, 2]]);
    let before = "
        initial k=0
        c0: write k=1      |--|   effect=none
        c1: read k=0  |--|
    ";
    assert_eq!(shown(before), [[0]]);
}

#[test]
fn what_was_not_tested_does_not_hold() {
    let holds = |picture: &str| judged(durability::judge, picture).holds();
    assert_eq!(holds("c0: write k=1 |--|"), None);
    assert_eq!(holds("c0: write k=1 |--|  effect=committed"), Some(true));
    assert_eq!(holds("c0: write k=1 |--|  effect=none"), Some(false));
}

#[test]
fn all_findings_are_counted_and_the_first_thousand_kept() {
    let lost = "c0: write k=1 |--|  effect=none\n";
    let found = judged(durability::judge, &lost.repeat(1_001));
    assert_eq!((found.count, found.findings.len()), (1_001, 1_000));
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
    // Equal stamps are concurrent: both values were there at that time.
    let touching = view.replace("write l=1      |--|", "write l=1    |----|");
    assert_eq!(found(torn::judge, &touching), (0, 1));
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

/// Only of versions that tell values apart can an order be made.
#[test]
fn versions_that_contradict_the_values_are_no_opinion() {
    let sound = |picture: &str| {
        let log = history(picture);
        let judged = versions::judge(&log, &Values::of(&log));
        assert_eq!(judged.backwards.count, 0, "{picture}");
        judged.sound.len()
    };
    let fine = "
        c0: write k=1      |--|          version=1
        c1: read k=1            |--|     version=1
    ";
    assert_eq!(sound(fine), 1);
    let two_values = format!("{fine}        c0: write k=2 |--| version=1\n");
    assert_eq!(sound(&two_values), 0);
    let two_versions = fine.replace("|--|     version=1", "|--|     version=2");
    assert_eq!(sound(&two_versions), 0);
    let read_first = "
        c0: write k=1            |--|     version=1
        c1: read k=1       |--|           version=1
    ";
    assert_eq!(sound(read_first), 0);
    let twice = format!("{fine}        c0: write k=1 |--| version=1\n");
    assert_eq!(sound(&twice), 0);
    let incomplete = fine.replacen("version=1", "", 1);
    assert_eq!(sound(&incomplete), 0);
    assert_eq!(sound("c0: write k=1 |--? version=1"), 0);
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
    assert_eq!(measured.all.share(), Some(2.0 / 3.0));
    assert_eq!(staleness::Part::default().share(), None);
    assert_eq!((measured.hits.reads, measured.hits.stale), (2, 2));
    // The first write ends at column 28, the second at 33; the reads begin at 42 and 45.
    assert_eq!(measured.at_least, [0, 9, 17]);
    assert_eq!(measured.versions_behind, 3);
    assert_eq!(measured.visible[0], (3, 1));
    // Nobody contradicted a write a millisecond after it.
    assert_eq!(measured.nines(0), Some(libm::log10(3.0)));
    assert_eq!(measured.nines(1), None);
    assert_eq!(measured.worst.map(|worst| (worst.place, worst.at_least)), Some((5, 17)));
    assert_eq!(measured.phases, None);
    let key = log.ops[0].key;
    // 45 - 28, the end of the first write.
    assert_eq!(staleness::delta(&log, &values, key, 1_000), staleness::Delta::Least(17));
    let log = history("c1: read k=1   |--|");
    let values = Values::of(&log);
    assert_eq!(staleness::measure(&log, &values).never_legal, 1);
    assert_eq!(staleness::delta(&log, &values, log.ops[0].key, 1_000), staleness::Delta::Infinite);
}

/// However it is rounded.
#[test]
fn a_bound_is_not_below_the_share_that_it_bounds() {
    for reads in 1..1_000 {
        for stale in [0, 1, reads / 2, reads] {
            let part = staleness::Part { reads, stale };
            assert!(part.share() <= part.at_most() && part.at_most() <= Some(1.0), "{part:?}");
        }
    }
}

/// A read counts for the time at which it began: before the first fault, up to the end of the
/// last, or later.
#[test]
fn staleness_is_told_by_phase_of_the_faults() {
    let mut log = history(
        "
        initial k=0
        c0: write k=1 |--|
        c1: read k=1       |--|
        c1: read k=0            |--|
        c1: read k=0                 |--|
        c1: read k=1                      |--|
        c1: read k=0                           |--|
    ",
    );
    let begins = |number: usize| log.ops[number].start;
    let (first, second) = (begins(2), begins(3));
    // The one that lasts longest need be neither the first nor the last to strike.
    let fault = |at, until| Fault { what: String::new(), at, until };
    log.faults = vec![fault(first, Some(second)), fault(Time(first.0 + 1), None)];
    let phases = staleness::measure(&log, &Values::of(&log)).phases;
    let parts = phases.unwrap().map(|part| (part.reads, part.stale));
    assert_eq!(parts, [(1, 0), (2, 2), (2, 1)]);
}

/// What was there at the start was there before a write that began at time zero.
#[test]
fn a_write_at_time_zero_replaces_what_was_there_at_the_start() {
    let mut log = history(
        "
        initial k=0
        c0: write k=1 |----|
        c1: read k=0   |---|
        c1: read k=0           |--|
    ",
    );
    begin_at_zero(&mut log);
    let measured = staleness::measure(&log, &Values::of(&log));
    assert_eq!(measured.versions_behind, 1);
    // Not stale, or since time zero at the most.
    assert_eq!((measured.at_least, measured.at_most), (vec![0, 4], vec![5, 12]));
    let mut log = history(
        "
        initial k=0
        c0: write k=1 |--|
        c1: read k=1       |--|
        c1: read k=0            |--|
        c1: read k=0                 |--|
    ",
    );
    begin_at_zero(&mut log);
    assert_eq!(sessions::judge(&log, &Values::of(&log)).monotonic_reads.count, 2);
}

/// Moves a history so that its first operation begins at time zero.
fn begin_at_zero(log: &mut Log) {
    let zero = log.ops[0].start.0;
    for op in &mut log.ops {
        (op.start, op.end) = (Time(op.start.0 - zero), Time(op.end.0 - zero));
    }
}
