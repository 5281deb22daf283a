//! Everything that went wrong in a run, each with the hazard behind it: bad entries at the
//! audit, reads of what was superseded, uncommitted or foreign, rows that were never current
//! together, updates that were lost, writes that were lost or misreported.

use serde::{Deserialize, Serialize};

use super::States;
use super::audit::{Class, Entry};
use super::cause::{self, Cause};
use super::reads::{self, Judgement};
use crate::history::record::{Effect, History, KeyId, OpRecord, Reported};
use crate::operation::{OpId, OpKind, Outcome};

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// An entry differs from its row at the audit.
    Entry(Class),
    /// A read returned what had been superseded before it began.
    StaleRead,
    /// A read returned what was committed later.
    AheadRead,
    /// A read returned what was never committed.
    PhantomRead,
    /// A read returned another row than was asked for.
    WrongRead,
    /// A read of several rows returned what was never current together.
    TornRead,
    /// A read-modify-write overwrote a write that it had not seen.
    LostUpdate,
    /// An acknowledged write never reached the database.
    LostWrite,
    /// An increment took effect twice for one operation.
    DoubleApplied,
    /// A write reported failure, and the database had changed.
    MisreportedFailure,
}

impl Kind {
    /// Whether a read of one row suffered it.
    pub fn is_read(self) -> bool {
        matches!(self, Kind::StaleRead | Kind::AheadRead | Kind::PhantomRead | Kind::WrongRead)
    }
}

/// One thing that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What it is.
    pub kind: Kind,
    /// The row's key.
    pub key: KeyId,
    /// The operation that suffered it; `None` for entries.
    pub op: Option<OpId>,
    /// The hazard behind it; `None` where the history does not tell.
    pub hazard: Option<&'static str>,
    /// The cause of the entry that is involved.
    pub cause: Option<Cause>,
}

/// Collects what went wrong, entries first, then in the order in which operations ended; stops
/// at `limit` reads, since each asks the whole history. Needs a history with steps.
pub fn find(history: &History, states: &States, entries: &[Entry], limit: usize) -> Vec<Incident> {
    let mut incidents: Vec<Incident> = entries.iter().filter_map(of_entry).collect();
    if !history.steps_kept {
        return incidents;
    }
    for step in cause::applied_twice(history) {
        let Some(key) = step.key else { continue };
        let hazard = Some("cached-counter-double-apply");
        let (kind, op) = (Kind::DoubleApplied, Some(step.op));
        incidents.push(Incident { kind, key, op, hazard, cause: None });
    }
    let ordinary = history.ops.iter().filter(|op| op.id.client().is_ordinary());
    let mut reads = 0;
    for op in ordinary {
        match op.kind {
            OpKind::Read if op.outcome == Outcome::Ok && reads < limit => {
                let found = of_read(history, states, op);
                reads += usize::from(found.is_some());
                incidents.extend(found);
            }
            OpKind::Read => {}
            _ => incidents.extend(of_write(states, op)),
        }
    }
    incidents.extend(torn(history, states, limit));
    incidents
}

fn of_entry(entry: &Entry) -> Option<Incident> {
    entry.class.is_bad().then(|| Incident {
        kind: Kind::Entry(entry.class),
        key: entry.key,
        op: None,
        hazard: entry.cause.as_ref().map(|cause| cause.hazard),
        cause: entry.cause.clone(),
    })
}

fn of_read(history: &History, states: &States, op: &OpRecord) -> Option<Incident> {
    let kind = match reads::judge_one(op, states) {
        Judgement::Fresh => return None,
        Judgement::Stale { .. } => Kind::StaleRead,
        Judgement::Ahead => Kind::AheadRead,
        Judgement::Phantom => Kind::PhantomRead,
        Judgement::Wrong => Kind::WrongRead,
    };
    let (hazard, cause) = match cause::of_read(history, states, op) {
        Some((hazard, cause)) => (Some(hazard), cause),
        None => (None, None),
    };
    Some(Incident { kind, key: op.key, op: Some(op.id), hazard, cause })
}

fn of_write(states: &States, op: &OpRecord) -> Option<Incident> {
    let committed = op.effect == Effect::Committed;
    let lost = op.outcome == Outcome::Ok && op.reported == Reported::Ok && !committed;
    let (kind, hazard) = match () {
        () if op.reported == Reported::Error && committed => {
            (Kind::MisreportedFailure, "misreported-failure")
        }
        () if lost => (Kind::LostWrite, "write-behind-loss"),
        () if op.kind == OpKind::Modify && committed && overwrote_unseen(op, states) => {
            (Kind::LostUpdate, "rmw-lost-update")
        }
        () => return None,
    };
    Some(Incident { kind, key: op.key, op: Some(op.id), hazard: Some(hazard), cause: None })
}

/// Whether a committed read-modify-write was based on anything but the state right before
/// its own: a lost update. Of one whose caller was not told, nobody knows what it was based on.
pub fn overwrote_unseen(op: &OpRecord, states: &States) -> bool {
    if op.reported != Reported::Ok {
        return false;
    }
    let Some(own) = states.place(op.key, op.id) else { return false };
    let Some(before) = own.checked_sub(1) else { return false };
    let base = if op.found { states.place(op.key, op.value) } else { None };
    base != Some(before)
}

/// Reads of several rows; their records stand side by side.
fn torn(history: &History, states: &States, limit: usize) -> Vec<Incident> {
    let groups = history.ops.chunk_by(|one, other| one.id == other.id);
    let several = groups.filter(|parts| {
        parts.len() > 1 && parts[0].kind == OpKind::Read && parts[0].outcome == Outcome::Ok
    });
    let incident = |parts: &[OpRecord]| {
        let hazard = cause::of_torn_read(history, states, &parts.iter().collect::<Vec<_>>())?;
        let (key, op) = (parts[0].key, Some(parts[0].id));
        Some(Incident { kind: Kind::TornRead, key, op, hazard: Some(hazard), cause: None })
    };
    several.filter_map(incident).take(limit).collect()
}
