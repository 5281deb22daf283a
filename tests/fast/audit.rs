//! The audit's one judgement, from both sources of knowledge: the commits of a run's history,
//! and versions alone, as after a load.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{RngSeed, TestRunner};

use staleproof::check::States;
use staleproof::check::audit::{Class, Commits, Content, Judged, Versions, judge};
use staleproof::entity::{Entity, Product, envelope};
use staleproof::history::record::{CommitRecord, History, KeyId};
use staleproof::operation::{ClientId, OpId};
use staleproof::step::{Columns, Item, Key, Remaining, Row, RowId, StepId, Table, Value, Win};
use staleproof::time::Time;

const ID: RowId = RowId(7);

/// The writer of the commit at this place of the row's states; the first is the initial row.
fn writer(place: u64) -> OpId {
    if place == 0 { OpId::INITIAL } else { OpId::new(ClientId(0), place as u32) }
}

/// An operation that never committed.
const UNCOMMITTED: OpId = OpId(1 << 32 | 900);

fn columns(price: i64) -> Columns {
    [Value::Text("Chair".into()), Value::Integer(price), Value::Integer(3)].into()
}

/// A row that was written so often, and what lies under its key.
#[derive(Clone, Debug)]
struct Case {
    /// Writes after the initial row.
    writes: u64,
    /// Whether the last write was a delete.
    deleted: bool,
    held: Held,
    stale: bool,
    win: Win,
    remaining: Remaining,
}

#[derive(Clone, Debug)]
enum Held {
    NoAnswer,
    Nothing,
    /// These bytes: a marker, a stub, or none of ours.
    Bytes(Vec<u8>),
    Sealed(Sealed),
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Sealed {
    /// The place of the commit that it is the value of; `None` when there was no such commit.
    commit: Option<u64>,
    /// The version in its stamp: 0 when the writer did not know it.
    version: u64,
    right_key: bool,
    payload: Payload,
    damaged: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Payload {
    Own,
    Other,
    Undecodable,
}

impl Case {
    fn row(&self) -> Option<Row> {
        let row = |at| Row { id: ID, version: at + 1, writer: writer(at), columns: columns(1) };
        (!self.deleted).then(|| row(self.writes))
    }

    fn history(&self) -> History {
        let mut history = History::default();
        let key = history.keys.intern(&Product.key(Table(0), ID));
        history.rows = vec![Some(ID)];
        history.initial = vec![(key, 0)];
        let commit = |place| CommitRecord {
            key,
            at: Time(place),
            order: place,
            writer: writer(place),
            version: place + 1,
            absent: self.deleted && place == self.writes,
            step: StepId::default(),
        };
        history.commits = (1..=self.writes).map(commit).collect();
        history
    }

    fn content(&self) -> Content {
        let value = match &self.held {
            Held::NoAnswer => return Content::NoAnswer,
            Held::Nothing => return Content::Nothing,
            Held::Bytes(bytes) => Bytes::copy_from_slice(bytes),
            Held::Sealed(sealed) => sealed.bytes(),
        };
        let Case { stale, win, remaining, .. } = *self;
        let (flags, cas, fetched, idle_seconds) = (0, 1, false, 0);
        Content::Item(Item { value, flags, cas, remaining, stale, win, fetched, idle_seconds })
    }

    /// By the history, and by versions.
    fn judged(&self) -> (Judged, Judged) {
        let (states, row) = (States::new(&self.history()), self.row());
        let key = Product.key(Table(0), ID);
        let commits = Commits { states: &states, key: KeyId(0) };
        let (row, content) = (row.as_ref(), self.content());
        (
            judge(&key, &content, row, &Product, &commits),
            judge(&key, &content, row, &Product, &Versions),
        )
    }
}

impl Sealed {
    fn bytes(&self) -> Bytes {
        let writer = self.commit.map_or(UNCOMMITTED, writer);
        let row = Row { id: ID, version: self.version, writer, columns: columns(1) };
        let key = if self.right_key { Product.key(Table(0), ID) } else { Key::from("product:8") };
        let sealed = envelope::seal(&key, &row, |out| match self.payload {
            Payload::Own => Product.encode(&columns(1), out),
            Payload::Other => Product.encode(&columns(2), out),
            Payload::Undecodable => out.extend_from_slice(b"short"),
        });
        let mut bytes = sealed.to_vec();
        if self.damaged {
            *bytes.last_mut().unwrap() ^= 1;
        }
        bytes.into()
    }
}

fn sealed(writes: u64) -> impl Strategy<Value = Sealed> {
    let payload = prop_oneof![
        4 => Just(Payload::Own),
        1 => Just(Payload::Other),
        1 => Just(Payload::Undecodable),
    ];
    let of_commit = (0..=writes, any::<bool>())
        .prop_map(|(place, known)| (Some(place), if known { place + 1 } else { 0 }));
    // Never committed: without a version, and with one below, at and above the row's.
    let of_none = (0..writes + 4).prop_map(|version| (None, version));
    let whose = prop_oneof![3 => of_commit, 2 => of_none];
    let mostly = || prop::bool::weighted(0.9);
    (whose, mostly(), payload, mostly()).prop_map(
        |((commit, version), right_key, payload, sound)| Sealed {
            commit,
            version,
            right_key,
            payload,
            damaged: !sound,
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    (0..5u64, any::<bool>()).prop_flat_map(|(writes, deleted)| {
        let bytes = prop_oneof![
            Just(envelope::ABSENT.to_vec()),
            Just(envelope::TOMBSTONE.to_vec()),
            Just(b"sp0 lock of c1".to_vec()),
            Just(Vec::new()),
            Just(b"42".to_vec()),
            prop::collection::vec(any::<u8>(), 1..80),
        ];
        let held = prop_oneof![
            1 => Just(Held::NoAnswer),
            1 => Just(Held::Nothing),
            3 => bytes.prop_map(Held::Bytes),
            8 => sealed(writes).prop_map(Held::Sealed),
        ];
        let win = prop_oneof![3 => Just(Win::None), 1 => Just(Win::Won), 1 => Just(Win::Lost)];
        let remaining = prop_oneof![Just(Remaining::Never), Just(Remaining::Seconds(9))];
        let mark = prop::bool::weighted(0.3);
        (held, mark, win, remaining).prop_map(move |(held, stale, win, remaining)| Case {
            writes,
            // The row at the start is there before anything is written.
            deleted: deleted && writes > 0,
            held,
            stale,
            win,
            remaining,
        })
    })
}

/// What versions make of a value that no commit made: with a row, its version tells; without
/// one, nothing does, and it is taken for what was deleted.
fn of_uncommitted(value: Sealed, row: Option<&Row>) -> Class {
    match row {
        None => Class::Ghost,
        Some(row) if value.version > row.version => Class::Ahead,
        Some(_) => Class::Stale,
    }
}

proptest! {
    // The same cases in every run, and no files of failed ones.
    #![proptest_config(ProptestConfig {
        cases: 4096,
        rng_seed: RngSeed::Fixed(1),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    /// One content has one class, whichever source is asked. The one exception: only a history
    /// knows of *every* value whether it was ever committed.
    #[test]
    fn both_sources_give_one_class_but_for_what_was_never_committed(case in cases()) {
        let (of_history, of_versions) = case.judged();
        match &case.held {
            Held::Sealed(value) if of_history.class == Class::Ahead => {
                prop_assert_eq!(value.commit, None);
                prop_assert_eq!(of_versions.class, of_uncommitted(*value, case.row().as_ref()));
            }
            _ => prop_assert_eq!(of_history.class, of_versions.class),
        }
        prop_assert_eq!(of_history.cached, of_versions.cached);
        prop_assert_eq!(of_history.remaining, of_versions.remaining);
    }

    /// A history counts the commits since; versions count as well as long as both are known.
    #[test]
    fn versions_behind_are_counted_alike_where_row_and_version_are_known(case in cases()) {
        let (of_history, of_versions) = case.judged();
        let Held::Sealed(value) = &case.held else {
            prop_assert_eq!((of_history.behind, of_versions.behind), (0, 0));
            return Ok(());
        };
        let opened = of_history.cached.is_some();
        let behind = value.commit.filter(|_| opened).map_or(0, |place| case.writes - place);
        prop_assert_eq!(of_history.behind, behind);
        let above = case.row().filter(|_| opened && value.version > 0);
        let behind = above.map_or(0, |row| row.version.saturating_sub(value.version));
        prop_assert_eq!(of_versions.behind, behind);
    }
}

/// What is generated comes to every class, and to every way in which the sources may differ:
/// else the properties above would say nothing of some.
#[test]
fn what_is_generated_comes_to_every_class_and_every_difference() {
    let mut runner = TestRunner::deterministic();
    let (mut classes, mut differences) = (BTreeSet::new(), BTreeSet::new());
    for _ in 0..4096 {
        let case = cases().new_tree(&mut runner).unwrap().current();
        let (of_history, of_versions) = case.judged();
        classes.extend([(0, of_history.class), (1, of_versions.class)]);
        if of_history.class != of_versions.class {
            differences.insert((of_history.class, of_versions.class));
        }
    }
    assert_eq!(classes.len(), 2 * Class::ALL.len(), "{classes:?}");
    let possible = [(Class::Ahead, Class::Stale), (Class::Ahead, Class::Ghost)];
    assert_eq!(differences, BTreeSet::from(possible));
}

/// Each class by an example, as its doc has it: the row was written twice after the start.
#[test]
fn each_content_has_the_class_that_its_doc_says() {
    let own = Sealed {
        commit: Some(2),
        version: 3,
        right_key: true,
        payload: Payload::Own,
        damaged: false,
    };
    let old = Sealed { commit: Some(0), version: 1, ..own };
    let bytes = |bytes: &[u8]| Held::Bytes(bytes.to_vec());
    let (there, gone) = (false, true);
    let table = [
        (there, Held::Sealed(own), Class::Match),
        (there, Held::Sealed(old), Class::Stale),
        (gone, Held::Sealed(old), Class::Ghost),
        (there, Held::Sealed(Sealed { commit: None, version: 9, ..own }), Class::Ahead),
        (there, Held::Sealed(Sealed { payload: Payload::Other, ..own }), Class::Diverged),
        (there, Held::Sealed(Sealed { payload: Payload::Undecodable, ..own }), Class::Undecodable),
        (there, Held::Sealed(Sealed { damaged: true, ..own }), Class::Undecodable),
        (there, Held::Sealed(Sealed { right_key: false, ..own }), Class::WrongKey),
        (gone, Held::Sealed(Sealed { right_key: false, ..old }), Class::WrongKey),
        (there, bytes(envelope::ABSENT), Class::NegativeStale),
        (gone, bytes(envelope::ABSENT), Class::Match),
        (there, bytes(envelope::TOMBSTONE), Class::Absent),
        (there, bytes(b""), Class::Absent),
        (there, bytes(b"42"), Class::Undecodable),
        (there, Held::Nothing, Class::Absent),
        (gone, Held::Nothing, Class::Absent),
        (there, Held::NoAnswer, Class::Unreachable),
    ];
    let (remaining, writes) = (Remaining::Never, 2);
    for (deleted, held, expected) in table {
        let case = Case { writes, deleted, held, stale: false, win: Win::None, remaining };
        let (of_history, of_versions) = case.judged();
        assert_eq!((of_history.class, of_versions.class), (expected, expected), "{case:?}");
    }
    for (win, expected) in [(Win::Won, Class::Absent), (Win::Lost, Class::Stale)] {
        let held = Held::Sealed(old);
        let case = Case { writes, deleted: false, held, stale: true, win, remaining };
        assert_eq!(case.judged().0.class, expected, "marked stale, {win:?}");
        assert_eq!(case.judged().1.class, expected, "marked stale, {win:?}");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => sources(&path, found),
            false => found.push(path),
        }
    }
}

/// A class is given in one file; others read it, count it, or put it in words.
#[test]
fn the_audit_has_one_home() {
    let gives = ["=> Class::", " = Class::", "{ Class::", "(Class::", "return Class::"];
    let asks = ["entity.decode(opened.payload)", ".win != Win::Lost"];
    // A pattern opens a value that it was served.
    let also = |path: &Path, marker: &str| path.ends_with("pattern/cx.rs") && marker == asks[0];
    let mut files = Vec::new();
    sources(Path::new("src"), &mut files);
    let mut wrong = Vec::new();
    for path in files.iter().filter(|path| !path.ends_with("check/audit.rs")) {
        let text = std::fs::read_to_string(path).unwrap();
        for (number, line) in text.lines().enumerate() {
            let here = |marker: &str| line.contains(marker) && !also(path, marker);
            // What counts entries by class gives none.
            let counts = line.contains("Class::$") || line.contains("Entries(Class::");
            if !counts && gives.iter().chain(&asks).any(|marker| here(marker)) {
                wrong.push(format!("{}:{}: {}", path.display(), number + 1, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "check/audit.rs gives classes:\n{}", wrong.join("\n"));
    let home = std::fs::read_to_string("src/check/audit.rs").unwrap();
    assert!(gives.iter().chain(&asks).filter(|marker| home.contains(**marker)).count() >= 4);
}
