//! Harm done to a statement by the server itself, with the help of a second session.

use super::{Order, PATIENCE, Reaction, Server, Sessions, Worker};
use crate::backend::harm::{Harm, Harmed};
use crate::backend::{BackendError, Database, Submitted};
use crate::step::{ConnectionId, DbCommand, DbReply, Footprint, RowId, SqlError, Table};

/// The SQL by which a kind of server is made to harm, as statements to be sent one by one.
pub(in crate::backend) struct Means {
    /// Fails with an error of its own.
    pub fail: &'static str,
    /// Begins a transaction in which two sessions can meet.
    pub begin: &'static str,
    /// Makes the session wait for locks no longer than it must.
    pub impatient: &'static str,
    /// Makes it wait again.
    pub patient: &'static str,
    /// Takes the lock that two sessions can meet at.
    pub meet: String,
    /// Makes the helper's transaction the dearer one of a deadlock.
    pub weight: Vec<String>,
    /// Begins a transaction whose snapshot is taken now; the row is looked at after.
    pub snapshot: Vec<&'static str>,
}

/// A row as SQL names it.
struct Target {
    table: String,
    id: RowId,
}

impl<S: Server> Sessions<S> {
    /// Carries a statement out while this goes wrong with it.
    pub(super) fn inflict(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        harm: Harm,
        in_transaction: bool,
    ) -> Result<Harmed, BackendError> {
        let target = command.row().map(|(table, id)| self.target(table, id));
        match (harm, target) {
            (Harm::CutBefore, _) => self.cut_before(connection, command),
            (Harm::CutAfter, _) => self.cut_after(connection, command),
            (Harm::Error, _) => self.fail(connection),
            (Harm::LockTimeout, Some(target)) => {
                self.time_out(connection, command, &target, in_transaction)
            }
            (Harm::Deadlock, Some(target)) => {
                self.deadlock(connection, command, &target, in_transaction)
            }
            (Harm::Serialization, Some(target)) => {
                self.overtake(connection, command, &target, in_transaction)
            }
            (_, None) => self.spare_it(connection, command),
        }
    }

    fn target(&self, table: Table, id: RowId) -> Target {
        Target { table: self.server.table(table), id }
    }

    /// It did not come to that.
    fn spare_it(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
    ) -> Result<Harmed, BackendError> {
        self.submit(connection, command, &mut Footprint::off()).map(Harmed::unharmed)
    }

    fn cut_before(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
    ) -> Result<Harmed, BackendError> {
        let id = self.worker(connection)?.id;
        self.terminate(id)?;
        let order = Order::Execute(command.clone());
        match self.ask(connection, order)? {
            (Reaction::Lost(problem), code) => {
                self.open.remove(&connection);
                let told = code.unwrap_or(problem);
                let witness = format!("session {id} was ended before its commit ({told})");
                Ok(Harmed { submitted: None, lost: true, witness: Some(witness) })
            }
            (reaction, _) => self.unharmed(reaction),
        }
    }

    fn cut_after(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
    ) -> Result<Harmed, BackendError> {
        let id = self.worker(connection)?.id;
        let submitted = self.submit(connection, command, &mut Footprint::off())?;
        let Submitted::Done(DbReply::Done | DbReply::Written(_)) = submitted else {
            return Ok(Harmed::unharmed(submitted));
        };
        self.terminate(id)?;
        let (reaction, code) = self.ask(connection, Order::raw(&["SELECT 1"]))?;
        let Reaction::Lost(problem) = reaction else {
            return Ok(Harmed::unharmed(submitted));
        };
        self.open.remove(&connection);
        let told = code.unwrap_or(problem);
        let witness = format!("session {id} was ended after its commit ({told})");
        Ok(Harmed { submitted: Some(submitted), lost: true, witness: Some(witness) })
    }

    fn fail(&mut self, connection: ConnectionId) -> Result<Harmed, BackendError> {
        let id = self.worker(connection)?.id;
        let fail = Order::raw(&[self.server.means().fail]);
        let (reaction, code) = self.ask(connection, fail)?;
        self.answered(reaction, code, SqlError::Statement, |code| {
            format!("session {id} was told {code}")
        })
    }

    fn time_out(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        target: &Target,
        in_transaction: bool,
    ) -> Result<Harmed, BackendError> {
        let means = self.server.means();
        let Some(helper) = self.holder(&means, target, &[])? else {
            return self.spare_it(connection, command);
        };
        self.raw(connection, &[means.impatient])?;
        let (reaction, code) = self.ask(connection, Order::Execute(command.clone()))?;
        if !in_transaction || self.server.keeps_transactions() {
            self.raw(connection, &[means.patient])?;
        }
        let holder = helper.id;
        self.release(helper)?;
        let row = target.id.0;
        self.answered(reaction, code, SqlError::LockTimeout, |code| {
            format!("session {holder} held row {row}; the waiting one was told {code}")
        })
    }

    /// The client holds what the helper wants, and wants what the helper holds.
    fn deadlock(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        target: &Target,
        in_transaction: bool,
    ) -> Result<Harmed, BackendError> {
        let means = self.server.means();
        let weight: Vec<&str> = means.weight.iter().map(String::as_str).collect();
        let Some(mut helper) = self.holder(&means, target, &weight)? else {
            return self.spare_it(connection, command);
        };
        if !in_transaction {
            self.raw(connection, &[means.begin])?;
        }
        self.raw(connection, &[&means.meet])?;
        helper.order(Order::raw(&[&means.meet]));
        self.await_waiting(&mut helper)?;
        let (reaction, code) = self.ask(connection, Order::Execute(command.clone()))?;
        if !in_transaction {
            self.end_wrapped(connection, &reaction)?;
        }
        if !helper.look(PATIENCE) {
            return Err(self.broken("nobody was chosen as the victim of a deadlock"));
        }
        helper.reaction = None;
        let holder = helper.id;
        self.release(helper)?;
        self.answered(reaction, code, SqlError::Deadlock, |code| {
            format!("a deadlock with session {holder}; the victim was told {code}")
        })
    }

    /// The row is written by somebody else after the client's snapshot.
    fn overtake(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        target: &Target,
        in_transaction: bool,
    ) -> Result<Harmed, BackendError> {
        let means = self.server.means();
        if !in_transaction {
            self.raw(connection, &means.snapshot)?;
            let look = format!("SELECT id FROM {} WHERE id = {}", target.table, target.id.0);
            self.raw(connection, &[&look])?;
        }
        let mut helper = self.take_helper()?;
        let touch = self.server.touch(&target.table, target.id);
        let impatient = [means.impatient, means.begin];
        let touch: Vec<&str> =
            impatient.into_iter().chain(touch.iter().map(String::as_str)).collect();
        let touched = self.tell(&mut helper, &touch)?;
        if touched {
            self.tell(&mut helper, &["COMMIT"])?;
        }
        let overtaker = helper.id;
        self.release(helper)?;
        let (reaction, code) = self.ask(connection, Order::Execute(command.clone()))?;
        if !in_transaction {
            self.end_wrapped(connection, &reaction)?;
        }
        self.answered(reaction, code, SqlError::Serialization, |code| {
            format!("session {overtaker} wrote the row first; the later one was told {code}")
        })
    }

    /// Ends the transaction that a statement was put into, as it went.
    fn end_wrapped(
        &mut self,
        connection: ConnectionId,
        reaction: &Reaction,
    ) -> Result<(), BackendError> {
        let done = matches!(reaction, Reaction::Reply(DbReply::Written(_)));
        self.raw(connection, &[if done { "COMMIT" } else { "ROLLBACK" }])
    }

    /// A helper that holds the row's lock; `None` when somebody else does.
    fn holder(
        &mut self,
        means: &Means,
        target: &Target,
        weight: &[&str],
    ) -> Result<Option<Worker>, BackendError> {
        let mut helper = self.take_helper()?;
        let lock =
            format!("SELECT id FROM {} WHERE id = {} FOR UPDATE NOWAIT", target.table, target.id.0);
        let mut orders = vec![means.patient, means.begin];
        orders.extend(weight);
        orders.push(&lock);
        if self.tell(&mut helper, &orders)? {
            return Ok(Some(helper));
        }
        self.release(helper)?;
        Ok(None)
    }

    fn take_helper(&mut self) -> Result<Worker, BackendError> {
        if let Some(helper) = self.helper.take() {
            return Ok(helper);
        }
        let (id, session) = self.server.open().map_err(|problem| self.cut(problem))?;
        Worker::start(id, session).map_err(|error| self.broken(error.to_string()))
    }

    /// The helper's transaction is over, and it is there for the next harm.
    fn release(&mut self, mut helper: Worker) -> Result<(), BackendError> {
        self.tell(&mut helper, &["ROLLBACK"])?;
        self.helper = Some(helper);
        Ok(())
    }

    /// Whether all statements went well.
    fn tell(&mut self, helper: &mut Worker, statements: &[&str]) -> Result<bool, BackendError> {
        helper.order(Order::raw(statements));
        if !helper.look(PATIENCE) {
            return Err(self.broken("a helper's statement was not answered"));
        }
        match helper.reaction.take() {
            Some(Reaction::Reply(DbReply::Done)) => Ok(true),
            Some(Reaction::Reply(_)) => Ok(false),
            Some(Reaction::Broken(problem) | Reaction::Lost(problem)) => Err(self.cut(problem)),
            _ => Err(self.broken("a helper's statement was cancelled")),
        }
    }

    fn await_waiting(&mut self, helper: &mut Worker) -> Result<(), BackendError> {
        let begun = std::time::Instant::now();
        while !helper.look(super::PAUSE) {
            let waits = self.server.all_wait(&[helper.id]);
            if waits.map_err(|problem| self.cut(problem))? || begun.elapsed() > PATIENCE {
                break;
            }
        }
        Ok(())
    }

    fn raw(&mut self, connection: ConnectionId, statements: &[&str]) -> Result<(), BackendError> {
        match self.ask(connection, Order::raw(statements))?.0 {
            Reaction::Lost(problem) => {
                self.open.remove(&connection);
                Err(self.cut(problem))
            }
            Reaction::Broken(problem) => Err(self.broken(problem)),
            _ => Ok(()),
        }
    }

    /// Sends an order and waits for the reaction; what the server's code was.
    fn ask(
        &mut self,
        connection: ConnectionId,
        order: Order,
    ) -> Result<(Reaction, Option<String>), BackendError> {
        let worker = self.worker(connection)?;
        worker.order(order);
        worker.look(PATIENCE);
        let code = worker.code.take();
        match worker.reaction.take() {
            Some(reaction) => Ok((reaction, code)),
            None => Err(self.broken("a statement was not answered")),
        }
    }

    fn terminate(&mut self, session: super::SessionId) -> Result<(), BackendError> {
        self.server.terminate(session).map_err(|problem| self.cut(problem))
    }

    /// The error that was wanted, or whatever came instead.
    fn answered(
        &mut self,
        reaction: Reaction,
        code: Option<String>,
        wanted: SqlError,
        witness: impl FnOnce(&str) -> String,
    ) -> Result<Harmed, BackendError> {
        match reaction {
            Reaction::Reply(DbReply::Error(error)) if error == wanted => {
                let reply = Submitted::Done(DbReply::Error(error));
                let witness = witness(code.as_deref().unwrap_or(error.name()));
                Ok(Harmed { submitted: Some(reply), lost: false, witness: Some(witness) })
            }
            reaction => self.unharmed(reaction),
        }
    }

    fn unharmed(&mut self, reaction: Reaction) -> Result<Harmed, BackendError> {
        match reaction {
            Reaction::Reply(reply) => Ok(Harmed::unharmed(Submitted::Done(reply))),
            Reaction::Lost(problem) => Err(self.cut(problem)),
            Reaction::Broken(problem) => Err(self.broken(problem)),
            Reaction::Cancelled => Err(self.broken("somebody else cancelled a statement of ours")),
        }
    }
}
