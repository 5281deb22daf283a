//! The end of an operation: what is recorded of it.

use std::slice::from_ref;
use std::time::Duration;

use super::actor::Task;
use super::error::RunError;
use super::world::{Enabled, World};
use crate::history::record::{Effect, KeyId, OpRecord, Reported, Source};
use crate::operation::{OpId, Outcome, Reply};
use crate::pattern::{Failure, Tick};
use crate::step::{Row, RowId};
use crate::time::Time;

impl World<'_> {
    /// A round of background work returned.
    pub(super) fn finish_tick(
        &mut self,
        client: usize,
        result: Result<Tick, Failure>,
    ) -> Result<(), RunError> {
        self.actors[client].task = Task::Idle;
        self.abandon_transaction(client);
        let idle = matches!(result, Ok(Tick::Idle));
        self.enabled.push(Enabled::Tick { client, idle });
        Ok(())
    }

    /// An operation returned, or its pattern panicked (`None`).
    pub(super) fn finish(
        &mut self,
        client: usize,
        result: Option<Result<Reply, Failure>>,
    ) -> Result<(), RunError> {
        if matches!(self.actors[client].task, Task::Tick(_)) {
            self.actors[client].task = Task::Idle;
            self.enabled.push(Enabled::Tick { client, idle: true });
            return Ok(());
        }
        self.actors[client].task = Task::Idle;
        let (reported, rows) = match &result {
            None => (Reported::Panic, &[][..]),
            Some(Err(_)) => (Reported::Error, &[][..]),
            Some(Ok(reply)) => reported(reply),
        };
        self.record_op(client, reported, rows);
        self.abandon_transaction(client);
        self.enabled.push(Enabled::Begin { client, after: Duration::ZERO });
        Ok(())
    }

    /// Records the operation that a client was carrying out.
    pub(super) fn record_op(&mut self, client: usize, reported: Reported, rows: &[Option<Row>]) {
        let places = self.state.clients[client].current.rows.len();
        for place in 0..places {
            let row = self.state.clients[client].current.rows[place];
            let key = self.row_key(row);
            let record = self.op_record(client, key, reported, rows.get(place), row);
            self.state.recorder.op(record);
        }
        self.state.clients[client].current.kind = None;
    }

    fn op_record(
        &self,
        client: usize,
        key: KeyId,
        reported: Reported,
        value: Option<&Option<Row>>,
        asked: RowId,
    ) -> OpRecord {
        let current = &self.state.clients[client].current;
        let kind = current.kind.expect("an operation is under way");
        let ok = matches!(reported, Reported::Ok | Reported::Unchanged);
        let outcome = match ok {
            true => Outcome::Ok,
            false if kind.writes() && current.effects > 0 => Outcome::Unknown,
            false => Outcome::Failed,
        };
        let row = value.and_then(Option::as_ref);
        let seen = current.seen.iter().rev().find(|(seen, _)| *seen == key);
        OpRecord {
            id: current.id,
            start: current.start,
            end: if outcome == Outcome::Unknown { Time::NEVER } else { self.state.now },
            value: row.map_or(OpId::NONE, |row| row.writer),
            key,
            steps: u16::try_from(current.steps).unwrap_or(u16::MAX),
            kind,
            reported,
            outcome,
            // Settled when the run is over, from the commits.
            effect: Effect::None,
            source: seen.map_or(Source::None, |(_, source)| *source),
            found: row.is_some(),
            wrong: row.is_some_and(|row| row.id != asked),
        }
    }
}

/// What the caller was told, and the rows that it was given.
fn reported(reply: &Reply) -> (Reported, &[Option<Row>]) {
    match reply {
        Reply::Row(row) => (Reported::Ok, from_ref(row)),
        Reply::Rows(rows) => (Reported::Ok, rows),
        Reply::Modified { base, changed: true } => (Reported::Ok, from_ref(base)),
        Reply::Modified { base, changed: false } => (Reported::Unchanged, from_ref(base)),
        Reply::Written => (Reported::Ok, &[]),
        Reply::Unchanged => (Reported::Unchanged, &[]),
    }
}
