//! A reply that says that a write was done, of a server that has not done it.

use super::world::World;
use crate::step::{
    Answer, CacheCommand, CacheReply, Command, DbCommand, DbReply, Direction, RowId, Table, Written,
};

impl World<'_> {
    /// What the server would have answered had it done what the step asks. `None` for a commit,
    /// which becomes a rollback: a transaction that its client takes for ended holds no locks.
    pub(super) fn answer_without_doing(&mut self, flight: usize) -> Option<Answer> {
        let answer = match &self.flight(flight).command {
            Command::Cache(command) => Answer::Cache(done(command)),
            Command::Database(DbCommand::Commit) | Command::Apart(DbCommand::Commit) => {
                let command = &mut self.flight_mut(flight).command;
                *command = match command {
                    Command::Apart(_) => Command::Apart(DbCommand::Rollback),
                    _ => Command::Database(DbCommand::Rollback),
                };
                return None;
            }
            Command::Database(command) | Command::Apart(command) => match command.row() {
                Some((table, row)) => {
                    let version = Some(self.last_version(table, row) + 1);
                    Answer::Database(DbReply::Written(Written { affected: 1, version }))
                }
                None => Answer::Database(DbReply::Done),
            },
            _ => Answer::Database(DbReply::Done),
        };
        let step = self.flight(flight).step;
        self.state.recorder.pretended(step);
        Some(answer)
    }

    /// The version that a row got last, as far as anybody here committed it.
    fn last_version(&mut self, table: Table, row: RowId) -> u64 {
        if table != Table(0) {
            return 0;
        }
        let key = self.row_key(row);
        let history = self.history();
        let committed = history.commits.iter().rev().find(|commit| commit.key == key);
        let initial = history.initial.iter().find(|(initial, _)| *initial == key);
        committed.map(|commit| commit.version).or(initial.map(|(_, version)| *version)).unwrap_or(0)
    }
}

fn done(command: &CacheCommand) -> CacheReply {
    match command {
        CacheCommand::Delete { .. } | CacheCommand::MetaDelete(_) => CacheReply::Deleted,
        CacheCommand::Touch { .. } => CacheReply::Touched,
        CacheCommand::FlushAll { .. } => CacheReply::Ok,
        // As if the counter had stood at 0.
        CacheCommand::Arithmetic { direction: Direction::Increment, delta, .. } => {
            CacheReply::Number(*delta)
        }
        CacheCommand::Arithmetic { .. } => CacheReply::Number(0),
        CacheCommand::MetaArithmetic(count) => CacheReply::Number(count.delta),
        _ => CacheReply::Stored,
    }
}
