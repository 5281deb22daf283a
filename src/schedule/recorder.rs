//! Writes the history while a run goes on.

use bytes::Bytes;
use rustc_hash::FxHashMap;

use super::terms::become_like;
use crate::entity::envelope;
use crate::history::record::{
    CommitRecord, FaultRecord, History, KeyId, OpRecord, StepKind, StepRecord, StepResult,
};
use crate::operation::OpId;
use crate::step::{
    Answer, CacheCommand, CacheReply, Command, DbReply, Item, Key, LocalReply, NodeId, RowId,
    StepError, StepId, Win,
};
use crate::time::Time;

/// Whether steps are kept, or only operations and commits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Everything: needed for causes and exposure.
    #[default]
    Steps,
    /// Operations, commits and faults: for runs of many millions of operations.
    Operations,
}

#[derive(Clone)]
pub(crate) struct Recorder {
    pub history: History,
    keep: Keep,
    next_step: u64,
    order: u64,
    row_keys: FxHashMap<RowId, KeyId>,
    /// The same for small row ids, without hashing.
    dense_row_keys: Vec<Option<KeyId>>,
    /// Values met lately and what their stamps say, by a part of their address: most are met
    /// several times, and reading a stamp took 2 % of a run. As the values are held here,
    /// none of them can give way to another at the same address. Short runs have none.
    stamps: Vec<Option<(Bytes, Seen)>>,
}

const STAMPS: usize = 128;

/// What is known of a step when it is sent.
pub(crate) struct Sent {
    pub op: OpId,
    pub at: Time,
    pub key: Option<KeyId>,
    pub kind: StepKind,
    pub node: NodeId,
    pub in_transaction: bool,
    pub fault: Option<u16>,
}

/// What a step's answer says about the value that was stored or found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub result: StepResult,
    pub value: OpId,
    pub version: u64,
    pub absent: bool,
}

const DENSE_ROWS: u64 = 1 << 20;

/// Room for the steps of a run is made at its start, up to this many: they need not be moved
/// then.
const STEPS_RESERVED_MAX: usize = 1 << 19;

/// Makes a history like another of the same run.
fn become_like(history: &mut History, other: &History) {
    if history.keys != other.keys {
        history.keys.clone_from(&other.keys);
    }
    become_like!(History: history, other;
        rows, ops, steps, commits, faults, marks, phases;
        same keys, steps_kept, readers_validate, initial);
}

impl Recorder {
    pub fn new(keep: Keep, operations: usize) -> Recorder {
        let mut history = History { steps_kept: keep == Keep::Steps, ..History::default() };
        history.ops.reserve_exact(operations);
        if keep == Keep::Steps {
            history.steps.reserve(operations.saturating_mul(2).min(STEPS_RESERVED_MAX));
        }
        Recorder {
            history,
            keep,
            next_step: 0,
            order: 0,
            row_keys: FxHashMap::default(),
            dense_row_keys: Vec::new(),
            stamps: vec![None; if operations < STAMPS { 0 } else { STAMPS }],
        }
    }

    /// Records what another has recorded in the same run.
    pub fn become_like(&mut self, other: &Recorder) {
        become_like!(Recorder: self, other;
            next_step, order, row_keys, dense_row_keys;
            same keep, history, stamps);
        become_like(&mut self.history, &other.history);
    }

    #[cfg(test)]
    pub fn has_recorded_the_same(&self, other: &Recorder) -> bool {
        let Recorder { history, keep, next_step, order, row_keys, dense_row_keys, stamps: _ } =
            self;
        (history, keep, next_step, order)
            == (&other.history, &other.keep, &other.next_step, &other.order)
            && (row_keys, dense_row_keys) == (&other.row_keys, &other.dense_row_keys)
    }

    /// What an answer says, together with the command that it answers.
    pub fn seen(&mut self, command: &Command, answer: &Answer) -> Seen {
        let value = match (answer, command) {
            (Answer::Cache(CacheReply::Found(Item { value, win: Win::None, .. })), _) => value,
            (
                Answer::Cache(CacheReply::Stored),
                Command::Cache(CacheCommand::Store { value, .. }),
            ) => value,
            _ => return seen(command, answer),
        };
        let result = match answer {
            Answer::Cache(CacheReply::Found(_)) => StepResult::Found,
            _ => StepResult::Done,
        };
        match self.stamps.get_mut(value.as_ptr() as usize / 32 % STAMPS) {
            None => stamped(result, value),
            Some(Some((known, seen)))
                if known.as_ptr() == value.as_ptr() && known.len() == value.len() =>
            {
                Seen { result, ..*seen }
            }
            Some(place) => {
                let seen = stamped(result, value);
                *place = Some((value.clone(), seen));
                seen
            }
        }
    }

    /// The number of a row's key.
    pub fn row_key(&mut self, row: RowId, key: impl FnOnce() -> Key) -> KeyId {
        if let Some(Some(id)) = self.dense_row_keys.get(row.0 as usize) {
            return *id;
        }
        if let Some(id) = self.row_keys.get(&row) {
            return *id;
        }
        let id = self.history.keys.intern(&key());
        self.note_row(row, id);
        id
    }

    fn note_row(&mut self, row: RowId, id: KeyId) {
        if row.0 < DENSE_ROWS {
            let place = row.0 as usize;
            if self.dense_row_keys.len() <= place {
                self.dense_row_keys.resize(place + 1, None);
            }
            self.dense_row_keys[place] = Some(id);
        } else {
            self.row_keys.insert(row, id);
        }
        let rows = &mut self.history.rows;
        if rows.len() <= id.0 as usize {
            rows.resize(id.0 as usize + 1, None);
        }
        rows[id.0 as usize] = Some(row);
    }

    /// The number of any key.
    pub fn key(&mut self, key: &Key) -> KeyId {
        self.history.keys.intern(key)
    }

    pub fn sent(&mut self, sent: Sent) -> StepId {
        let id = StepId(self.next_step);
        self.next_step += 1;
        if self.keep == Keep::Steps {
            self.history.steps.push(StepRecord {
                op: sent.op,
                sent: sent.at,
                executed: Time::NEVER,
                answered: Time::NEVER,
                value: OpId::NONE,
                version: 0,
                order: 0,
                expires: Time::NEVER,
                key: sent.key,
                fault: sent.fault,
                node: sent.node,
                kind: sent.kind,
                result: StepResult::Pending,
                error: None,
                in_transaction: sent.in_transaction,
                absent: false,
            });
        }
        id
    }

    fn step(&mut self, id: StepId) -> Option<&mut StepRecord> {
        self.history.steps.get_mut(id.0 as usize)
    }

    /// A step took effect; returns its place in the order of executions.
    pub fn executed(&mut self, id: StepId, at: Time, expires: Time, seen: &Seen) -> u64 {
        self.order += 1;
        let order = self.order;
        if let Some(step) = self.step(id) {
            step.executed = at;
            step.order = order;
            step.expires = expires;
            step.result = seen.result;
            step.value = seen.value;
            step.version = seen.version;
            step.absent = seen.absent;
        }
        order
    }

    /// The caller learnt how a step ended.
    pub fn answered(&mut self, id: StepId, at: Time, error: Option<StepError>) {
        if let Some(step) = self.step(id) {
            step.answered = at;
            step.error = error;
        }
    }

    /// An item has expired: what stored it last says so.
    pub fn expired(&mut self, node: NodeId, key: KeyId, at: Time) {
        let of_item = |step: &&mut StepRecord| {
            step.node == node && step.key == Some(key) && step.expires > at && step.order > 0
        };
        let stored = self.history.steps.iter_mut().rev().find(of_item);
        if let Some(step) = stored.filter(|step| step.expires != Time::NEVER) {
            step.expires = at;
        }
    }

    /// A rule strikes a step that was sent before.
    pub fn struck(&mut self, id: StepId, rule: u16) {
        if let Some(step) = self.step(id) {
            step.fault = Some(rule);
        }
    }

    /// A rule that was recorded last, at this step, changed nothing.
    pub fn did_not_strike(&mut self, rule: u16, step: Option<StepId>) {
        let faults = &mut self.history.faults;
        let last = faults.iter().rposition(|fault| (fault.rule, fault.step) == (rule, step));
        if let Some(place) = last {
            faults.remove(place);
        }
        if let Some(step) = step.and_then(|step| self.step(step)) {
            step.fault = None;
        }
    }

    /// A server will say that it has done a step, and has not.
    pub fn pretended(&mut self, id: StepId) {
        if let Some(step) = self.step(id) {
            step.result = StepResult::Pretended;
        }
    }

    /// Something that a node did by itself, or that a fault did to it.
    pub fn node_event(&mut self, kind: StepKind, node: NodeId, key: Option<KeyId>, at: Time) {
        let fault = None;
        let op = OpId::NONE;
        let id = self.sent(Sent { op, at, key, kind, node, in_transaction: false, fault });
        let seen = Seen { result: StepResult::Done, value: OpId::NONE, version: 0, absent: true };
        self.executed(id, at, Time::NEVER, &seen);
    }

    pub fn op(&mut self, op: OpRecord) {
        self.history.ops.push(op);
    }

    pub fn commit(&mut self, commit: CommitRecord) {
        self.history.commits.push(commit);
    }

    pub fn fault(&mut self, fault: FaultRecord) {
        self.history.faults.push(fault);
    }

    pub fn mark(&mut self, name: &'static str) {
        match self.history.marks.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => self.history.marks.push((name, 1)),
        }
    }
}

fn seen(command: &Command, answer: &Answer) -> Seen {
    match answer {
        Answer::Cache(reply) => seen_by_cache(command, reply),
        Answer::Database(reply) => seen_by_database(command, reply),
        // For a reader of the log the version is the position that it has come to.
        Answer::Log(records) => match records.last() {
            None => {
                Seen { result: StepResult::Missing, value: OpId::NONE, version: 0, absent: false }
            }
            Some(record) => Seen {
                result: StepResult::Found,
                value: record.writer,
                version: record.position,
                absent: record.row.is_none(),
            },
        },
        Answer::Local(LocalReply::Value(Some(value))) if envelope::stamp(value).is_some() => {
            stamped(StepResult::Found, value)
        }
        _ => Seen { result: StepResult::Done, value: OpId::NONE, version: 0, absent: false },
    }
}

fn stamped(result: StepResult, value: &[u8]) -> Seen {
    match envelope::stamp(value) {
        Some(stamp) => Seen { result, value: stamp.writer, version: stamp.version, absent: false },
        None => Seen { result, value: OpId::NONE, version: 0, absent: value == envelope::ABSENT },
    }
}

fn seen_by_cache(command: &Command, reply: &CacheReply) -> Seen {
    let plain = |result| Seen { result, value: OpId::NONE, version: 0, absent: false };
    match reply {
        CacheReply::Found(item) => match item.win {
            Win::None => stamped(StepResult::Found, &item.value),
            win => stamped(StepResult::Lease(win), &item.value),
        },
        CacheReply::Miss => plain(StepResult::Missing),
        CacheReply::Stored => match command {
            Command::Cache(CacheCommand::Store { value, .. }) => stamped(StepResult::Done, value),
            Command::Cache(CacheCommand::MetaSet(set)) => stamped(StepResult::Done, &set.value),
            _ => plain(StepResult::Done),
        },
        CacheReply::Deleted => match command {
            // It is still there, marked stale.
            Command::Cache(CacheCommand::MetaDelete(delete)) if delete.invalidate => {
                plain(StepResult::Done)
            }
            _ => Seen { absent: true, ..plain(StepResult::Done) },
        },
        CacheReply::Touched | CacheReply::Ok | CacheReply::Number(_) | CacheReply::Version(_) => {
            plain(StepResult::Done)
        }
        CacheReply::NotStored | CacheReply::NotFound => plain(StepResult::NotDone),
        CacheReply::Exists => plain(StepResult::Exists),
        CacheReply::Refusal(refusal) => plain(StepResult::CacheRefused(*refusal)),
    }
}

fn seen_by_database(command: &Command, reply: &DbReply) -> Seen {
    let plain = |result| Seen { result, value: OpId::NONE, version: 0, absent: false };
    match reply {
        DbReply::Done => plain(StepResult::Done),
        DbReply::Row(Some(row)) => Seen {
            result: StepResult::Found,
            value: row.writer,
            version: row.version,
            absent: false,
        },
        DbReply::Row(None) => Seen { absent: true, ..plain(StepResult::Missing) },
        DbReply::Rows(rows) if rows.is_empty() => plain(StepResult::Missing),
        DbReply::Rows(_) => plain(StepResult::Found),
        DbReply::Written(written) if written.affected == 0 => plain(StepResult::NotDone),
        DbReply::Written(written) => {
            let (value, absent) = match command {
                Command::Database(command) | Command::Apart(command) => {
                    (command.writer(), command.deletes())
                }
                _ => (OpId::NONE, false),
            };
            let version = written.version.unwrap_or(0);
            Seen { result: StepResult::Done, value, version, absent }
        }
        DbReply::Error(error) => plain(StepResult::SqlFailed(*error)),
    }
}
