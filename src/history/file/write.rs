//! Writes a recorded run as a history file.
//!
//! The first line has the format's version and the rows at the start; then come the
//! operations, then the faults and phases. A value is the name of the operation that wrote it.
//! A read-modify-write is a read and a write of one group, an operation on several rows several
//! lines of one group. What changed nothing, since there was no such row, is a write that
//! failed. A commit whose operation was not recorded (somebody used SQL) is a write at the
//! moment of the commit.

use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};
use serde_json::{Map, Value as Json, json};

use super::FORMAT;
use crate::history::record::{CommitRecord, Effect, History, KeyId, OpRecord, Reported, Source};
use crate::operation::{OpId, OpKind, Outcome};
use crate::time::Time;

/// Writes a history as JSON lines.
pub fn write(history: &History, out: &mut impl Write) -> io::Result<()> {
    let names = Names::of(history);
    let initial: Map<String, Json> = history
        .initial
        .iter()
        .map(|(key, _)| (names.key(*key), json!(OpId::INITIAL.to_string())))
        .collect();
    line(out, &json!({"format": FORMAT, "initial": initial}))?;
    for op in &history.ops {
        names.operation(op, out)?;
    }
    for commit in names.unrecorded(history) {
        names.commit(commit, out)?;
    }
    for fault in &history.faults {
        let until = fault.until.filter(|until| *until < Time::NEVER).map(|until| until.0);
        line(out, &json!({"fault": fault.target, "at": fault.at.0, "until": until}))?;
    }
    let phases = &history.phases;
    for (name, at) in [
        ("faults-end", phases.faults_end),
        ("quiescent", phases.quiescent),
        ("audit", phases.audit),
    ] {
        if at < Time::NEVER {
            line(out, &json!({"phase": name, "at": at.0}))?;
        }
    }
    Ok(())
}

fn line(out: &mut impl Write, object: &Json) -> io::Result<()> {
    serde_json::to_writer(&mut *out, object)?;
    out.write_all(b"\n")
}

/// What operations are called by, and what belongs together.
struct Names<'a> {
    history: &'a History,
    /// The version of each write that was committed, where the database told it.
    versions: FxHashMap<(KeyId, OpId), u64>,
    /// Operations that are several lines.
    groups: FxHashSet<OpId>,
}

impl<'a> Names<'a> {
    fn of(history: &'a History) -> Names<'a> {
        let told = |version: &u64| *version > 0;
        let initial = history.initial.iter().map(|(key, v)| ((*key, OpId::INITIAL), *v));
        let commits =
            history.commits.iter().map(|commit| ((commit.key, commit.writer), commit.version));
        let versions = initial.chain(commits).filter(|(_, version)| told(version)).collect();
        let mut once = FxHashSet::default();
        let several = |op: &&OpRecord| op.kind == OpKind::Modify || !once.insert(op.id);
        let groups = history.ops.iter().filter(several).map(|op| op.id).collect();
        Names { history, versions, groups }
    }

    fn key(&self, key: KeyId) -> String {
        self.history.keys.name(key).to_string()
    }

    fn version(&self, key: KeyId, writer: OpId) -> Option<u64> {
        self.versions.get(&(key, writer)).copied()
    }

    fn operation(&self, op: &OpRecord, out: &mut impl Write) -> io::Result<()> {
        let mut fields = self.common(op);
        if op.kind == OpKind::Read || op.kind == OpKind::Modify {
            let ok = op.outcome == Outcome::Ok || (op.kind == OpKind::Modify && op.found);
            let mut read = fields.clone();
            self.read(op, ok, &mut read);
            line(out, &Json::Object(read))?;
        }
        if op.kind == OpKind::Read {
            return Ok(());
        }
        let outcome = match (op.reported, op.outcome) {
            (Reported::Unchanged, Outcome::Ok) => Outcome::Failed,
            (_, outcome) => outcome,
        };
        let deletes = op.kind == OpKind::Delete;
        let mut set = |name: &str, value: Json| fields.insert(name.to_owned(), value);
        set("op", json!(if deletes { "delete" } else { "write" }));
        set("value", if deletes { Json::Null } else { json!(op.id.to_string()) });
        set("end", end(outcome, op.end));
        set("outcome", json!(word(outcome)));
        set("effect", json!(op.effect));
        if let Some(version) = self.version(op.key, op.id) {
            set("version", json!(version));
        }
        line(out, &Json::Object(fields))
    }

    fn common(&self, op: &OpRecord) -> Map<String, Json> {
        let mut fields = Map::new();
        fields.insert("client".to_owned(), json!(op.id.client().0));
        fields.insert("key".to_owned(), json!(self.key(op.key)));
        fields.insert("start".to_owned(), json!(op.start.0));
        fields.insert("id".to_owned(), json!(op.id.to_string()));
        fields.insert("reported".to_owned(), json!(op.reported));
        fields.insert("steps".to_owned(), json!(op.steps));
        if self.groups.contains(&op.id) {
            fields.insert("group".to_owned(), json!(op.id.to_string()));
        }
        fields
    }

    fn read(&self, op: &OpRecord, ok: bool, fields: &mut Map<String, Json>) {
        let outcome = if ok { Outcome::Ok } else { op.outcome };
        // What a read-modify-write was based on was read before it can have been cut off.
        let outcome = if ok && op.end == Time::NEVER { Outcome::Unknown } else { outcome };
        let mut set = |name: &str, value: Json| fields.insert(name.to_owned(), value);
        set("op", json!("read"));
        set(
            "value",
            match (op.found, op.wrong) {
                (true, true) => json!(format!("{} of another row", op.value)),
                (true, false) => json!(op.value.to_string()),
                (false, _) => Json::Null,
            },
        );
        set("end", end(outcome, op.end));
        set("outcome", json!(word(outcome)));
        match op.source {
            Source::Hit => set("hit", json!(true)),
            Source::Miss | Source::Database => set("hit", json!(false)),
            Source::None => None,
        };
        if let Some(version) = self.version(op.key, op.value).filter(|_| op.found && !op.wrong) {
            set("version", json!(version));
        }
    }

    /// Commits of which no operation on their key is recorded.
    fn unrecorded(&self, history: &'a History) -> Vec<&'a CommitRecord> {
        let recorded: FxHashSet<(KeyId, OpId)> =
            history.ops.iter().map(|op| (op.key, op.id)).collect();
        let mut seen = FxHashSet::default();
        let mut commits: Vec<&CommitRecord> = history.commits.iter().collect();
        commits.retain(|commit| {
            let of = (commit.key, commit.writer);
            commit.writer != OpId::INITIAL && !recorded.contains(&of) && seen.insert(of)
        });
        commits
    }

    fn commit(&self, commit: &CommitRecord, out: &mut impl Write) -> io::Result<()> {
        let mut object = json!({
            "client": commit.writer.client().0,
            "op": if commit.absent { "delete" } else { "write" },
            "key": self.key(commit.key),
            "value": (!commit.absent).then(|| commit.writer.to_string()),
            "start": commit.at.0,
            "end": commit.at.0,
            "outcome": "ok",
            "id": commit.writer.to_string(),
            "effect": Effect::Committed,
        });
        if commit.version > 0 {
            object["version"] = json!(commit.version);
        }
        line(out, &object)
    }
}

fn end(outcome: Outcome, end: Time) -> Json {
    let ended = outcome != Outcome::Unknown && end < Time::NEVER;
    if ended { json!(end.0) } else { Json::Null }
}

/// How a file calls an outcome.
pub(crate) fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "fail",
        Outcome::Unknown => "unknown",
    }
}
