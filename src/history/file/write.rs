//! A recorded run as records of a history file.
//!
//! The first line has the format's version and the rows at the start; then come the
//! operations, then the faults and phases. A value is the name of the operation that wrote it.
//! A read-modify-write is a read and a write of one group, an operation on several rows several
//! lines of one group. What changed nothing, since there was no such row, is a write that
//! failed. A commit whose operation was not recorded (somebody used SQL) is a write at the
//! moment of the commit.

use std::collections::BTreeMap;
use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};

use super::writer::{Did, Encoder, Operation, RECORDED, Record};
use crate::history::record::{CommitRecord, Effect, History, KeyId, OpRecord, Reported, Source};
use crate::operation::{OpId, OpKind, Outcome};
use crate::time::Time;

/// Writes a history as JSON lines.
pub fn write(history: &History, out: &mut impl Write) -> io::Result<()> {
    let names = Names::of(history);
    let mut encoder = Encoder::new(&RECORDED);
    let mut write = |record: Record<'_>| out.write_all(encoder.line(&record));
    let name = |key: &KeyId| history.keys.name(*key).to_string();
    let initial: BTreeMap<String, OpId> =
        history.initial.iter().map(|(key, _)| (name(key), OpId::INITIAL)).collect();
    write(Record::Head(&initial))?;
    for op in &history.ops {
        for line in names.lines(op).iter().flatten() {
            write(Record::Operation(history.keys.name(op.key), line))?;
        }
    }
    for commit in unrecorded(history) {
        write(Record::Operation(history.keys.name(commit.key), &of_commit(commit)))?;
    }
    for fault in &history.faults {
        write(Record::Fault { name: &fault.target, at: fault.at, until: fault.until })?;
    }
    let phases = &history.phases;
    for (name, at) in [
        ("faults-end", phases.faults_end),
        ("quiescent", phases.quiescent),
        ("audit", phases.audit),
    ] {
        if at < Time::NEVER {
            write(Record::Phase { name, at })?;
        }
    }
    Ok(())
}

/// What operations are called by, and what belongs together.
struct Names {
    /// The version of each write that was committed, where the database told it.
    versions: FxHashMap<(KeyId, OpId), u64>,
    /// Operations that are several lines.
    groups: FxHashSet<OpId>,
}

impl Names {
    fn of(history: &History) -> Names {
        let told = |version: &u64| *version > 0;
        let initial = history.initial.iter().map(|(key, v)| ((*key, OpId::INITIAL), *v));
        let commits =
            history.commits.iter().map(|commit| ((commit.key, commit.writer), commit.version));
        let versions = initial.chain(commits).filter(|(_, version)| told(version)).collect();
        let mut once = FxHashSet::default();
        let several = |op: &&OpRecord| op.kind == OpKind::Modify || !once.insert(op.id);
        let groups = history.ops.iter().filter(several).map(|op| op.id).collect();
        Names { versions, groups }
    }

    fn version(&self, key: KeyId, writer: OpId) -> u64 {
        self.versions.get(&(key, writer)).copied().unwrap_or(0)
    }

    /// What an operation read and what it wrote.
    fn lines(&self, op: &OpRecord) -> [Option<Operation>; 2] {
        let reads = op.kind == OpKind::Read || op.kind == OpKind::Modify;
        let writes = op.kind != OpKind::Read;
        [reads.then(|| self.read(op)), writes.then(|| self.written(op))]
    }

    fn common(&self, op: &OpRecord, did: Did, outcome: Outcome) -> Operation {
        let several = self.groups.contains(&op.id);
        let (reported, steps) = (Some(op.reported), Some(op.steps));
        let known = Operation::of(op.id, did, (op.start, op.end), outcome);
        Operation { several, reported, steps, ..known }
    }

    fn written(&self, op: &OpRecord) -> Operation {
        let outcome = match (op.reported, op.outcome) {
            (Reported::Unchanged, Outcome::Ok) => Outcome::Failed,
            (_, outcome) => outcome,
        };
        let did = if op.kind == OpKind::Delete { Did::Delete } else { Did::Write };
        let version = self.version(op.key, op.id);
        Operation { version, effect: Some(op.effect), ..self.common(op, did, outcome) }
    }

    fn read(&self, op: &OpRecord) -> Operation {
        let ok = op.outcome == Outcome::Ok || (op.kind == OpKind::Modify && op.found);
        let outcome = if ok { Outcome::Ok } else { op.outcome };
        // What a read-modify-write was based on was read before it can have been cut off.
        let outcome = if ok && op.end == Time::NEVER { Outcome::Unknown } else { outcome };
        let hit = match op.source {
            Source::Hit => Some(true),
            Source::Miss | Source::Database => Some(false),
            Source::None => None,
        };
        let found = op.found.then_some(op.value);
        let own = found.filter(|_| !op.wrong);
        let version = own.map_or(0, |writer| self.version(op.key, writer));
        let did = Did::Read { found, wrong: op.wrong, hit };
        Operation { version, ..self.common(op, did, outcome) }
    }
}

/// Commits of which no operation on their key is recorded.
fn unrecorded(history: &History) -> Vec<&CommitRecord> {
    let recorded: FxHashSet<(KeyId, OpId)> = history.ops.iter().map(|op| (op.key, op.id)).collect();
    let mut seen = FxHashSet::default();
    let mut commits: Vec<&CommitRecord> = history.commits.iter().collect();
    commits.retain(|commit| {
        let of = (commit.key, commit.writer);
        commit.writer != OpId::INITIAL && !recorded.contains(&of) && seen.insert(of)
    });
    commits
}

/// A commit of which nothing else is known.
fn of_commit(commit: &CommitRecord) -> Operation {
    let did = if commit.absent { Did::Delete } else { Did::Write };
    let known = Operation::of(commit.writer, did, (commit.at, commit.at), Outcome::Ok);
    Operation { version: commit.version, effect: Some(Effect::Committed), ..known }
}
