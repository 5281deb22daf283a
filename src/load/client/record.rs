//! A client's operations as lines of the history.

use super::super::scribe::Noted;
use super::Client;
use crate::history::file::writer::{Did, Operation};
use crate::operation::{Action, Op, Outcome, Reply};
use crate::step::{Row, RowId};
use crate::time::Time;

impl Client {
    /// Writes down what became of an operation; `reply` is `None` when it failed.
    pub(super) fn write_down(&mut self, op: &Op, reply: Option<&Reply>, start: u64, end: u64) {
        let current = &self.current;
        let hit = current.asked_cache && !current.selected;
        let outcome = match reply {
            Some(Reply::Unchanged | Reply::Modified { changed: false, .. }) => Outcome::Failed,
            Some(_) => Outcome::Ok,
            None if current.effects > 0 => Outcome::Unknown,
            None => Outcome::Failed,
        };
        let written = current.written;
        let Some(pen) = &mut self.seat.pen else { return };
        let mut note = |row: RowId, did, outcome, version, several| {
            let done = Operation::of(op.id, did, (Time(start), Time(end)), outcome);
            pen.note(Noted::Op(row, Operation { version, several, ..done }));
        };
        let found = |asked: RowId, row: Option<&Row>| Did::Read {
            found: row.map(|row| row.writer),
            wrong: row.is_some_and(|row| row.id != asked),
            hit: Some(hit),
        };
        let version_of = |asked: RowId, row: Option<&Row>| {
            row.filter(|row| row.id == asked).map_or(0, |row| row.version)
        };
        let new = |asked: RowId| written.filter(|(row, _)| *row == asked.0).map_or(0, |(_, v)| v);
        match (&op.action, reply) {
            (Action::Read(id), Some(Reply::Row(row))) => {
                let row = row.as_ref();
                note(*id, found(*id, row), outcome, version_of(*id, row), false);
            }
            (Action::ReadMany(ids), Some(Reply::Rows(rows))) => {
                for (id, row) in ids.iter().zip(rows) {
                    let row = row.as_ref();
                    note(*id, found(*id, row), outcome, version_of(*id, row), true);
                }
            }
            // A read without an answer says nothing.
            (Action::Read(_) | Action::ReadMany(_), _) => {}
            (Action::Modify(id, _), reply) => {
                if let Some(Reply::Modified { base, .. }) = reply {
                    let base = base.as_ref();
                    note(*id, found(*id, base), Outcome::Ok, version_of(*id, base), true);
                }
                note(*id, Did::Write, outcome, new(*id), true);
            }
            (Action::Update(id, _) | Action::Insert(id, _), _) => {
                note(*id, Did::Write, outcome, new(*id), false);
            }
            (Action::Delete(id), _) => note(*id, Did::Delete, outcome, new(*id), false),
        }
    }
}
