//! A client's statements: what goes wrong with them, and what became durable.

use super::super::LoadError;
use super::super::database_link::Struck;
use super::super::tally::Timed;
use super::Client;
use crate::backend::harm::Harm;
use crate::history::record::StepKind;
use crate::schedule::{COMMITTED, bit};
use crate::step::{Answer, Command, DbCommand, DbReply};

impl Client {
    pub(super) fn database_step(&mut self, command: &DbCommand) -> Result<Answer, LoadError> {
        let sent = self.nanos();
        // Who was struck is spared when it tries again: one fault after the other would make it
        // give up.
        let harm = match self.current.again {
            true => None,
            false => self.seat.harms.take(command, self.database.in_transaction()),
        };
        let (answer, truth) = match harm {
            None => (self.database.execute(command)?, None),
            Some(harm) => self.harmed_step(command, harm)?,
        };
        let answered = self.look_at_clock();
        if self.seat.rules.is_some() {
            self.current.number += 1;
            self.current.executed |= bit(StepKind::of(&Command::Database(command.clone())));
        }
        if let DbCommand::Select { .. } = command {
            self.current.selected = true;
            if self.measured {
                self.tally.time(Timed::Select, answered - sent);
            }
        }
        self.note_write(command, truth.as_ref().unwrap_or(&answer), sent, answered);
        if truth.is_some() {
            self.current.effects += 1;
        }
        Ok(answer)
    }

    /// What the client is told of a statement that something happens to, and what is true.
    fn harmed_step(
        &mut self,
        command: &DbCommand,
        harm: (usize, Harm),
    ) -> Result<(Answer, Option<Answer>), LoadError> {
        let struck = self.database.execute_harmed(command, harm.1);
        let witness = struck.as_ref().ok().and_then(|struck| struck.witness.clone());
        self.seat.harms.done(harm, witness);
        let Struck { answer, truth, .. } = struck?;
        let differs = answer != truth;
        Ok((answer, differs.then_some(truth)))
    }

    /// Notes what became durable.
    fn note_write(&mut self, command: &DbCommand, answer: &Answer, sent: u64, answered: u64) {
        match (command, answer) {
            (_, Answer::Database(DbReply::Written(written))) if written.affected > 0 => {
                self.current.effects += 1;
                let row = command.row().expect("a write names its row").1.0;
                let Some(version) = written.version else { return };
                match self.database.in_transaction() {
                    true => self.pending.push((row, version)),
                    false => self.committed(row, version, sent, answered),
                }
            }
            (DbCommand::Commit, Answer::Database(DbReply::Done)) => {
                for (row, version) in std::mem::take(&mut self.pending) {
                    self.committed(row, version, sent, answered);
                }
            }
            (DbCommand::Commit | DbCommand::Rollback, _) => self.pending.clear(),
            (_, Answer::Error(_)) if command.writes() => self.current.effects += 1,
            _ => {}
        }
    }

    fn committed(&mut self, row: u64, version: u64, sent: u64, answered: u64) {
        self.seat.versions.commit(row, version, sent, answered);
        self.current.executed |= COMMITTED;
        self.current.written = Some((row, version));
    }
}
