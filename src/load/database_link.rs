//! One client's connection to the database.
//!
//! A connection that breaks is made anew for the next statement, as a pool would; its client
//! learns that it was lost, or refused. Only a server that refuses all for [`DEAD_AFTER`] is dead.

use std::time::{Duration, Instant};

use crate::backend::harm::{Harm, Harmed, Loss};
use crate::backend::{BackendError, Database, Submitted};
use crate::step::{Answer, ConnectionId, DbCommand, DbReply, Footprint, RowLock, StepError};

/// A connection to the database.
pub(super) struct DatabaseLink {
    database: Box<dyn Database + Send>,
    /// Where plain selects outside of transactions go.
    replica: Option<Box<dyn Database + Send>>,
    timeout: Duration,
    connection: ConnectionId,
    in_transaction: bool,
    /// The connection that is not in use, and whether it is in a transaction.
    other: (ConnectionId, bool),
    refused_since: Option<Instant>,
}

/// What a harmed statement came to.
pub(super) struct Struck {
    /// What its client is told.
    pub answer: Answer,
    /// What the server did.
    pub truth: Answer,
    pub witness: Option<String>,
}

/// Between two looks at a lock that is not ours yet.
const LOOK_AGAIN: Duration = Duration::from_micros(50);
/// A client that was refused waits for so long.
const REFUSED_PAUSE: Duration = Duration::from_millis(5);
/// A server that accepts nobody for so long does not come back: after a crash it reads its log
/// before it does.
const DEAD_AFTER: Duration = Duration::from_secs(30);

impl DatabaseLink {
    pub fn new(
        database: Box<dyn Database + Send>,
        replica: Option<Box<dyn Database + Send>>,
        timeout: Duration,
    ) -> DatabaseLink {
        let connection = ConnectionId(0);
        let (in_transaction, refused_since) = (false, None);
        let other = (ConnectionId(1 << 31), false);
        DatabaseLink {
            database,
            replica,
            timeout,
            connection,
            in_transaction,
            other,
            refused_since,
        }
    }

    /// The client's other connection is the one in use from now on.
    pub fn change_connection(&mut self) {
        let own = (self.connection, self.in_transaction);
        (self.connection, self.in_transaction) = std::mem::replace(&mut self.other, own);
    }

    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Sends a statement and waits for its reply, for its locks too.
    pub fn execute(&mut self, command: &DbCommand) -> Result<Answer, BackendError> {
        if let (Some(replica), false) = (&mut self.replica, self.in_transaction)
            && matches!(command, DbCommand::Select { lock: RowLock::None, .. })
            && let Submitted::Done(reply) =
                replica.submit(ConnectionId(0), command, &mut Footprint::off())?
        {
            return Ok(Answer::Database(reply));
        }
        let submitted = self.database.submit(self.connection, command, &mut Footprint::off());
        let answer = submitted.and_then(|submitted| self.await_reply(submitted));
        self.settle(command, answer)
    }

    /// The same while this goes wrong with it.
    pub fn execute_harmed(
        &mut self,
        command: &DbCommand,
        harm: Harm,
    ) -> Result<Struck, BackendError> {
        let harmed = self.database.harm(self.connection, command, harm, self.in_transaction);
        let Harmed { submitted, lost, witness } = match harmed {
            Ok(harmed) => harmed,
            Err(error) => {
                let answer = self.settle(command, Err(error))?;
                return Ok(Struck { truth: answer.clone(), answer, witness: None });
            }
        };
        let truth = match submitted {
            Some(submitted) => self.await_reply(submitted),
            None => Ok(Answer::Error(StepError::ConnectionLost)),
        };
        let truth = self.settle(command, truth)?;
        if !lost {
            return Ok(Struck { answer: truth.clone(), truth, witness });
        }
        self.forget();
        Ok(Struck { answer: Answer::Error(StepError::ConnectionLost), truth, witness })
    }

    /// What the client is told, and what that makes of the connection.
    fn settle(
        &mut self,
        command: &DbCommand,
        answer: Result<Answer, BackendError>,
    ) -> Result<Answer, BackendError> {
        match answer {
            Ok(answer) => {
                self.refused_since = None;
                match (command, &answer) {
                    (DbCommand::Begin(_), Answer::Database(DbReply::Done)) => {
                        self.in_transaction = true;
                    }
                    (DbCommand::Commit | DbCommand::Rollback, Answer::Database(_)) => {
                        self.in_transaction = false;
                    }
                    _ => {}
                }
                Ok(answer)
            }
            Err(error) => self.lost(error),
        }
    }

    /// An error is the client's where another connection may do better.
    fn lost(&mut self, error: BackendError) -> Result<Answer, BackendError> {
        let loss = self.database.take_loss();
        if loss.is_some() {
            // Whatever is left of the connection; that it cannot be closed in order is known.
            let _ = self.database.close(self.connection, &mut Footprint::off());
            let _ = self.database.take_loss();
            self.forget();
        }
        match loss {
            None => Err(error),
            Some(Loss::Cut) => Ok(Answer::Error(StepError::ConnectionLost)),
            Some(Loss::Refused) => {
                let since = *self.refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() > DEAD_AFTER {
                    return Err(error);
                }
                std::thread::sleep(REFUSED_PAUSE);
                Ok(Answer::Error(StepError::Refused))
            }
        }
    }

    fn await_reply(&mut self, submitted: Submitted) -> Result<Answer, BackendError> {
        if let Submitted::Done(reply) = submitted {
            return Ok(Answer::Database(reply));
        }
        let deadline = Instant::now() + self.timeout;
        loop {
            let mut woken = self.database.woken(&mut Footprint::off())?;
            if let Some((_, reply)) = woken.pop() {
                return Ok(Answer::Database(reply));
            }
            if Instant::now() >= deadline {
                self.abandon()?;
                return Ok(Answer::Error(StepError::Timeout));
            }
            std::thread::sleep(LOOK_AGAIN);
        }
    }

    /// The connection is not used again; its transaction is rolled back.
    pub fn abandon(&mut self) -> Result<(), BackendError> {
        let closed = self.database.close(self.connection, &mut Footprint::off());
        self.forget();
        match closed {
            // What cannot be rolled back for want of a server is gone with it.
            Err(_) if self.database.take_loss().is_some() => Ok(()),
            result => result,
        }
    }

    fn forget(&mut self) {
        self.connection = ConnectionId(self.connection.0 + 1);
        self.in_transaction = false;
    }
}
