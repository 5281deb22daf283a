//! A database server with a session per connection, each on a thread of its own.
//!
//! A statement that waits for a row lock holds its thread, not the scheduler: after each
//! submit every statement under way is either answered or *known to the server* to wait.
//! Never a guess by time: as long as a statement is neither, it is looked at again, and after
//! [`PATIENCE`] the environment has failed. What a server and its sessions must be able to do
//! is in [`Server`] and [`Session`]; `postgres.rs` and `mariadb.rs` are the two.

mod harm;
#[cfg(test)]
mod tests;

use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

pub(super) use self::harm::Means;
use super::deadline::PATIENCE;
use super::feed::Feed;
use super::harm::{Harm, Harmed, Loss};
pub(super) use super::transaction::Open;
use super::{BackendError, Database, Submitted};
use crate::step::{
    ConnectionId, DbCommand, DbReply, Footprint, Location, Row, RowId, Table, TableSpec,
};

/// A statement that waits for nobody is mostly answered within this time.
const PROMPT: Duration = Duration::from_millis(2);
/// How long sessions may take to end.
const FAREWELL: Duration = Duration::from_secs(10);
/// Between two looks at the server's locks.
const PAUSE: Duration = Duration::from_micros(300);

/// The session's own name at the server: a process or thread id.
pub(super) type SessionId = u64;

/// What became of a statement at the server.
pub(super) enum Reaction {
    /// It was answered.
    Reply(DbReply),
    /// It was cancelled by [`Server::cancel`].
    Cancelled,
    /// The connection is gone.
    Lost(String),
    /// The server failed.
    Broken(String),
}

/// One session of a server. It moves to a thread.
pub(super) trait Session: Send + 'static {
    /// Executes a statement; this may wait for locks without limit.
    fn execute(&mut self, command: &DbCommand) -> Reaction;

    /// Rolls back whatever is open.
    fn roll_back(&mut self) -> Result<(), String>;

    /// Executes statements that are no pattern's, until one fails. The errors that can be
    /// provoked are told apart, any other is a failed statement.
    fn raw(&mut self, statements: &[String]) -> Reaction;

    /// The server's code for its latest error.
    fn take_code(&mut self) -> Option<String>;
}

/// A server that sessions are opened on.
pub(super) trait Server: Send + Sized + 'static {
    /// Its sessions.
    type Session: Session;

    /// Name and version, for reports.
    fn describe(&self) -> String;

    /// Where it is, passwords masked.
    fn place(&self) -> String;

    /// Creates our tables, or empties them when they are ours already, and fills them.
    fn create(&mut self, tables: &[TableSpec], rows: &[(Table, Row)]) -> Result<(), String>;

    /// Another client of the same tables, which are not its own to drop.
    fn beside(&self) -> Result<Self, String>;

    /// Opens a session.
    fn open(&mut self) -> Result<(SessionId, Self::Session), String>;

    /// Whether each of these certainly waits for a lock, in one consistent view.
    fn all_wait(&mut self, sessions: &[SessionId]) -> Result<bool, String>;

    /// Ends the statement under way of a session.
    fn cancel(&mut self, session: SessionId) -> Result<(), String>;

    /// All committed rows of a table, by primary key.
    fn rows(&mut self, table: Table) -> Result<Vec<Row>, String>;

    /// Ends a session; it has ended when this returns.
    fn terminate(&mut self, session: SessionId) -> Result<(), String>;

    /// How it is made to harm.
    fn means(&self) -> Means;

    /// Whether a transaction goes on after a statement of it has failed.
    fn keeps_transactions(&self) -> bool;

    /// The name of a table.
    fn table(&self, table: Table) -> String;

    /// Writes a row without changing it, as others see it.
    fn touch(&self, table: &str, id: RowId) -> Vec<String>;

    /// Kills the server and starts it again with its data; how one knows.
    fn restart(&mut self) -> Result<String, String>;

    /// A replica that follows so much later.
    fn standby(&mut self, lag: Duration) -> Result<Self, String>;

    /// The log of commits of the first table, from now on.
    fn feed(&mut self) -> Result<Box<dyn Feed + Send>, String>;

    /// How one knows that it is one, and how far behind it is.
    fn lag_witness(&mut self) -> Option<String>;
}

/// A server as a [`Database`].
pub(super) struct Sessions<S: Server> {
    server: S,
    open: FxHashMap<ConnectionId, Worker>,
    /// Sessions of closed connections, rolled back.
    spare: Vec<Worker>,
    /// Connections whose statement waits, in the order in which they began to.
    waiting: Vec<ConnectionId>,
    /// The session of whoever helps to do harm.
    helper: Option<Worker>,
    /// Whether the latest error was that a connection is gone.
    loss: Option<Loss>,
}

/// A session on its thread.
struct Worker {
    id: SessionId,
    /// Its end is the thread's.
    orders: Option<Sender<Order>>,
    reactions: Receiver<(Reaction, Option<String>)>,
    reaction: Option<Reaction>,
    /// The server's code for the error that the reaction is.
    code: Option<String>,
    /// Whether an order has no reaction yet.
    busy: bool,
}

enum Order {
    Execute(DbCommand),
    Raw(Vec<String>),
    RollBack,
}

impl Order {
    fn raw(statements: &[&str]) -> Order {
        Order::Raw(statements.iter().map(|statement| (*statement).to_owned()).collect())
    }
}

impl Worker {
    fn start(id: SessionId, mut session: impl Session) -> std::io::Result<Worker> {
        let (orders, to_do) = channel();
        let (react, reactions) = channel();
        thread::Builder::new().name(format!("session {id}")).spawn(move || {
            while let Ok(order) = to_do.recv() {
                let reaction = match order {
                    Order::Execute(command) => session.execute(&command),
                    Order::Raw(statements) => session.raw(&statements),
                    Order::RollBack => match session.roll_back() {
                        Ok(()) => Reaction::Reply(DbReply::Done),
                        // What is not answered is gone, and its transaction with it.
                        Err(problem) => Reaction::Lost(problem),
                    },
                };
                if react.send((reaction, session.take_code())).is_err() {
                    break;
                }
            }
            // The connection is closed before anybody can see that the thread is over.
            drop(session);
            drop(react);
        })?;
        let orders = Some(orders);
        Ok(Worker { id, orders, reactions, reaction: None, code: None, busy: false })
    }

    fn order(&mut self, order: Order) {
        self.busy = true;
        if let Some(orders) = &self.orders {
            // A thread that is gone shows when its reaction is asked for.
            let _ = orders.send(order);
        }
    }

    /// Whether it owes no reaction. Whoever is given the session of another that does is told
    /// what the other asked for.
    fn is_quiet(&self) -> bool {
        !self.busy && self.reaction.is_none()
    }

    /// Looks whether there is a reaction, for at most so long.
    fn look(&mut self, limit: Duration) -> bool {
        if self.reaction.is_none() {
            let received = match limit {
                Duration::ZERO => self.reactions.try_recv(),
                limit => self.reactions.recv_timeout(limit).map_err(|error| match error {
                    std::sync::mpsc::RecvTimeoutError::Timeout => TryRecvError::Empty,
                    std::sync::mpsc::RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
                }),
            };
            self.reaction = match received {
                Ok((reaction, code)) => {
                    self.code = code;
                    Some(reaction)
                }
                Err(TryRecvError::Empty) => None,
                Err(TryRecvError::Disconnected) => {
                    Some(Reaction::Broken("the session's thread ended".to_owned()))
                }
            };
        }
        self.busy &= self.reaction.is_none();
        self.reaction.is_some()
    }

    /// Waits until the thread, which gets no more orders, has closed its connection, but not for
    /// longer than this.
    fn await_end(&self, deadline: Instant) {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.reactions.recv_timeout(left).is_err() {
                return;
            }
        }
    }
}

impl<S: Server> Sessions<S> {
    pub(super) fn new(server: S) -> Sessions<S> {
        let open = FxHashMap::default();
        let (spare, waiting) = (Vec::new(), Vec::new());
        Sessions { server, open, spare, waiting, helper: None, loss: None }
    }

    fn broken(&self, problem: impl Into<String>) -> BackendError {
        BackendError { server: self.server.place(), problem: problem.into() }
    }

    /// Whoever cannot ask the server does not know what became of the statement either.
    fn cut(&mut self, problem: impl Into<String>) -> BackendError {
        self.loss = Some(Loss::Cut);
        self.broken(problem)
    }

    /// The session of a connection, for its next order.
    fn worker(&mut self, connection: ConnectionId) -> Result<&mut Worker, BackendError> {
        if self.open.get(&connection).is_some_and(|worker| !worker.is_quiet()) {
            return Err(self.cut("nobody knows what became of the connection's last statement"));
        }
        if !self.open.contains_key(&connection) {
            let worker = match self.spare.pop() {
                Some(worker) => worker,
                None => {
                    let opened = self.server.open();
                    self.loss = opened.is_err().then_some(Loss::Refused);
                    let (id, session) = opened.map_err(|problem| self.broken(problem))?;
                    Worker::start(id, session).map_err(|error| self.broken(error.to_string()))?
                }
            };
            self.open.insert(connection, worker);
        }
        Ok(self.open.get_mut(&connection).expect("it was put there"))
    }

    /// Waits until each of these statements is answered or certainly waits for a lock.
    fn settle(&mut self, connections: &[ConnectionId]) -> Result<(), BackendError> {
        let started = Instant::now();
        loop {
            let mut under_way = Vec::new();
            for connection in connections {
                let worker = self.open.get_mut(connection).expect("an open connection");
                if !worker.look(Duration::ZERO) {
                    under_way.push(worker.id);
                }
            }
            if under_way.is_empty() {
                return Ok(());
            }
            match self.server.all_wait(&under_way) {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(problem) => return Err(self.cut(problem)),
            }
            if started.elapsed() > PATIENCE {
                return Err(self.broken(
                    "a statement was not answered and waits for no lock; is the server overloaded?",
                ));
            }
            thread::sleep(PAUSE);
        }
    }

    fn take(&mut self, connection: ConnectionId) -> Result<Option<DbReply>, BackendError> {
        let worker = self.open.get_mut(&connection).expect("an open connection");
        match worker.reaction.take() {
            None => Ok(None),
            Some(Reaction::Reply(reply)) => Ok(Some(reply)),
            Some(Reaction::Cancelled) => {
                Err(self.broken("somebody else cancelled a statement of ours"))
            }
            Some(Reaction::Lost(problem)) => {
                self.open.remove(&connection);
                self.waiting.retain(|waiting| *waiting != connection);
                Err(self.cut(problem))
            }
            Some(Reaction::Broken(problem)) => Err(self.broken(problem)),
        }
    }
}

impl<S: Server> Drop for Sessions<S> {
    /// Ends all sessions before the server drops our tables: a transaction that was left open,
    /// or a statement that still waits, would keep it waiting for ever.
    fn drop(&mut self) {
        let mut workers: Vec<Worker> = self.open.drain().map(|(_, worker)| worker).collect();
        workers.append(&mut self.spare);
        workers.extend(self.helper.take());
        let mut busy = workers.iter().filter(|worker| worker.busy);
        // A server that is gone has nothing to cancel.
        let _ = busy.try_for_each(|worker| self.server.cancel(worker.id));
        for worker in &mut workers {
            worker.orders = None;
        }
        let deadline = Instant::now() + FAREWELL;
        workers.iter().for_each(|worker| worker.await_end(deadline));
    }
}

impl<S: Server> Database for Sessions<S> {
    fn describe(&self) -> String {
        self.server.describe()
    }

    fn create(&mut self, tables: &[TableSpec], rows: &[(Table, Row)]) -> Result<(), BackendError> {
        self.server.create(tables, rows).map_err(|problem| self.broken(problem))
    }

    fn submit(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        footprint: &mut Footprint,
    ) -> Result<Submitted, BackendError> {
        super::touch_all(command, footprint);
        let worker = self.worker(connection)?;
        worker.order(Order::Execute(command.clone()));
        if !worker.look(PROMPT) {
            let mut under_way = self.waiting.clone();
            under_way.push(connection);
            self.settle(&under_way)?;
        }
        Ok(match self.take(connection)? {
            Some(reply) => Submitted::Done(reply),
            None => {
                self.waiting.push(connection);
                Submitted::Blocked
            }
        })
    }

    fn woken(
        &mut self,
        footprint: &mut Footprint,
    ) -> Result<Vec<(ConnectionId, DbReply)>, BackendError> {
        if self.waiting.is_empty() {
            return Ok(Vec::new());
        }
        footprint.write(|| Location::CommitClock);
        let waiting = self.waiting.clone();
        self.settle(&waiting)?;
        let mut done = Vec::new();
        for connection in waiting {
            if let Some(reply) = self.take(connection)? {
                self.waiting.retain(|waiting| *waiting != connection);
                done.push((connection, reply));
            }
        }
        Ok(done)
    }

    fn close(
        &mut self,
        connection: ConnectionId,
        footprint: &mut Footprint,
    ) -> Result<(), BackendError> {
        footprint.write(|| Location::CommitClock);
        let waits = self.waiting.contains(&connection);
        self.waiting.retain(|waiting| *waiting != connection);
        let Some(mut worker) = self.open.remove(&connection) else { return Ok(()) };
        if waits {
            self.server.cancel(worker.id).map_err(|problem| self.cut(problem))?;
            if !worker.look(PATIENCE) {
                return Err(self.broken("a cancelled statement goes on waiting"));
            }
            match worker.reaction.take() {
                Some(Reaction::Broken(problem)) => return Err(self.broken(problem)),
                // Then its transaction is gone too.
                Some(Reaction::Lost(_)) => return Ok(()),
                _ => {}
            }
        } else if !worker.is_quiet() {
            // The server could not be asked what the statement waits for. Without orders its
            // thread ends the session, and the server its transaction.
            return Ok(());
        }
        // The session serves the next connection: what is gone is its transaction, and that
        // has ended when this returns.
        worker.order(Order::RollBack);
        worker.look(PATIENCE);
        match worker.reaction.take() {
            Some(Reaction::Broken(problem)) => return Err(self.broken(problem)),
            Some(Reaction::Lost(_)) => {}
            Some(_) => self.spare.push(worker),
            None => return Err(self.broken("a rollback was not answered")),
        }
        Ok(())
    }

    fn another(&self) -> Result<Box<dyn Database + Send>, BackendError> {
        let server = self.server.beside().map_err(|problem| self.broken(problem))?;
        Ok(Box::new(Sessions::new(server)))
    }

    fn rows(&mut self, table: Table) -> Result<Vec<Row>, BackendError> {
        self.server.rows(table).map_err(|problem| self.broken(problem))
    }

    fn take_loss(&mut self) -> Option<Loss> {
        self.loss.take()
    }

    fn can_be_harmed(&self) -> bool {
        true
    }

    fn harm(
        &mut self,
        connection: ConnectionId,
        command: &DbCommand,
        harm: Harm,
        in_transaction: bool,
    ) -> Result<Harmed, BackendError> {
        self.inflict(connection, command, harm, in_transaction)
    }

    fn standby(&mut self, lag: Duration) -> Result<Box<dyn Database + Send>, BackendError> {
        let standby = self.server.standby(lag).map_err(|problem| self.broken(problem))?;
        Ok(Box::new(Sessions::new(standby)))
    }

    fn feed(&mut self) -> Result<Box<dyn Feed + Send>, BackendError> {
        self.server.feed().map_err(|problem| self.broken(problem))
    }

    fn lag_witness(&mut self) -> Option<String> {
        self.server.lag_witness()
    }

    fn restart(&mut self) -> Result<String, BackendError> {
        self.server.restart().map_err(|problem| self.broken(problem))
    }
}
