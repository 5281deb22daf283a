//! One client: a thread that polls the pattern's futures and carries out their steps.

mod record;
mod statements;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::backend::Database;
use crate::entity::Entity;
use crate::history::record::StepKind;
use crate::operation::{Action, ClientId, Op, OpId, OpKind, Reply};
use crate::pattern::{AnyPattern, App, Cx, Entry, Failure, Opened, Port, Settings, Tick};
use crate::plan::Plan;
use crate::schedule::{Memory, Target, bit};
use crate::seed::Seed;
use crate::step::{
    Answer, CacheCommand, CacheReply, Command, NodeId, Row, RowId, SqlError, Table, Ttl,
};
use crate::time::Time;

use super::chaos::Rings;
use super::database_link::DatabaseLink;
use super::harms::Harms;
use super::link::CacheLink;
use super::log::Log;
use super::proxy::Orders;
use super::rules::Rules;
use super::scribe::Pen;
use super::tally::{Live, Tally, Timed, note};
use super::versions::Versions;
use super::{LoadError, Phase, Shared};

/// Where a client sits: all that its thread is given.
pub(super) struct Seat {
    pub id: ClientId,
    pub shared: Arc<Shared>,
    pub live: Arc<Live>,
    pub versions: Arc<Versions>,
    pub memory: Arc<Mutex<Memory>>,
    pub plan: Arc<Plan>,
    pub entity: Arc<dyn Entity>,
    pub entry: Entry,
    pub settings: Settings,
    pub rings: Arc<Rings>,
    /// What waits for a statement to strike.
    pub harms: Arc<Harms>,
    /// What is to be done to requests, and who is told, by node.
    pub rules: Option<Arc<Rules>>,
    pub orders: Vec<Arc<Orders>>,
    pub nodes: Vec<std::net::SocketAddr>,
    pub ttl: Ttl,
    pub cache_timeout: Duration,
    pub database_timeout: Duration,
    pub retries: (u32, u32),
    /// Background work is looked for so often; only background clients do.
    pub tick_every: Duration,
    /// Where plain selects go.
    pub replica: Option<Box<dyn Database + Send>>,
    /// Operations per second, where they do not wait for each other.
    pub rate: Option<f64>,
    pub seed: Seed,
    /// The database's log of commits, where the pattern reads it.
    pub log: Option<Arc<Log>>,
    /// Writes the history down, where it is kept.
    pub pen: Option<Pen>,
}

/// What a thread leaves.
pub(super) struct Finished {
    pub tally: Tally,
    /// What ended it before its time; what was measured until then counts.
    pub problem: Option<LoadError>,
}

pub(super) struct Client {
    seat: Seat,
    port: Rc<Port>,
    cx: Rc<Cx>,
    pattern: Rc<dyn AnyPattern>,
    cache: Vec<CacheLink>,
    database: DatabaseLink,
    tally: Tally,
    measured: bool,
    /// Writes of the open transaction.
    pending: Vec<(u64, u64)>,
    /// By row: the highest version that this client has read, and that it has written.
    known: Vec<(u64, u64)>,
    current: Current,
    /// What the clock said last: when the operation began, or its latest step ended. Looked at once
    /// for all uses, since each look counts in the rate.
    now: u64,
}

/// What is known of the operation under way.
#[derive(Debug, Default)]
struct Current {
    asked_cache: bool,
    selected: bool,
    /// Steps that may have changed what others see.
    effects: u32,
    kind: Option<OpKind>,
    /// Steps so far, and their kinds as bits, for the rules.
    number: u32,
    executed: u64,
    /// Whether it is done again.
    again: bool,
    /// Its latest commit of a row.
    written: Option<(u64, u64)>,
}

/// Rounds of background work after the load before it counts as never resting.
const DRAIN_ROUNDS_MAX: u32 = 1_000_000;
/// How often an operation is done again whose transaction was rolled back for another's sake.
const RETRIES_MAX: u32 = 3;

impl Client {
    pub fn new(mut seat: Seat, database: Box<dyn Database + Send>) -> Result<Client, LoadError> {
        let pattern = seat.entry.start(&seat.settings).map_err(|problem| {
            LoadError::Input(format!("pattern `{}`: {problem}", seat.entry.name))
        })?;
        let rows = seat.plan.rows();
        let app = App {
            entity: Arc::clone(&seat.entity),
            ttl: seat.ttl,
            cache_retries: seat.retries.0,
            database_retries: seat.retries.1,
            keys: rows.iter().map(|(_, row)| seat.entity.key(Table(0), row.id)).collect(),
            opened: Opened::with_places(),
            named: Default::default(),
        };
        let known = vec![(0, 0); rows.len()];
        let port = Rc::new(Port::new(seat.seed));
        let cx = Rc::new(Cx::new(Rc::clone(&port), Rc::new(app)));
        let cache =
            seat.nodes.iter().map(|node| CacheLink::new(*node, seat.cache_timeout)).collect();
        let replica = seat.replica.take();
        let database = DatabaseLink::new(database, replica, seat.database_timeout);
        Ok(Client {
            seat,
            port,
            cx,
            pattern,
            cache,
            database,
            tally: Tally::new(),
            measured: false,
            pending: Vec::new(),
            known,
            current: Current::default(),
            now: 0,
        })
    }

    /// Runs until the load is over.
    pub fn run(mut self) -> Finished {
        let ended = match self.seat.id.is_ordinary() {
            true => self.serve(),
            false => self.tick_along(),
        };
        Finished { tally: self.tally, problem: ended.err() }
    }

    fn nanos(&self) -> u64 {
        self.seat.shared.start.elapsed().as_nanos() as u64
    }

    fn look_at_clock(&mut self) -> u64 {
        self.now = self.nanos();
        self.now
    }

    fn serve(&mut self) -> Result<(), LoadError> {
        let mut number = 0u64;
        let mut arrival = 0;
        loop {
            let phase = self.seat.shared.phase();
            if phase >= Phase::Healing {
                return Ok(());
            }
            if let Some(rate) = self.seat.rate {
                arrival += self.gap(rate, number);
                if !self.await_arrival(arrival) {
                    return Ok(());
                }
            }
            let begun = self.look_at_clock();
            // An operation of an open loop counts from its arrival, however late its client got
            // round to it: else a slow server would hide the waiting that it causes.
            let start = if self.seat.rate.is_some() { arrival.min(begun) } else { begun };
            self.measured = phase == Phase::Measured;
            let op = self.seat.plan.op_again(self.seat.id, number, &*self.seat.entity);
            let Some(op) = op else { return Ok(()) };
            self.operation(op, number, start, begun)?;
            number += 1;
        }
    }

    /// Poisson arrivals: exponential gaps.
    fn gap(&self, rate: f64, number: u64) -> u64 {
        let purpose = crate::seed::Purpose::Arrivals;
        let draw = self.seat.seed.draw(purpose, u64::from(self.seat.id.0), number);
        let uniform = ((draw >> 11) as f64 + 0.5) / (1u64 << 53) as f64;
        (-uniform.ln() / rate * 1e9) as u64
    }

    /// Says whether the load still goes on then.
    fn await_arrival(&self, arrival: u64) -> bool {
        loop {
            let left = arrival.saturating_sub(self.nanos());
            if self.seat.shared.phase() >= Phase::Healing {
                return false;
            }
            if left == 0 {
                return true;
            }
            std::thread::sleep(Duration::from_nanos(left).min(Duration::from_millis(50)));
        }
    }

    /// What a transaction that lost a deadlock or a race asks for is done again, as its database's
    /// manual demands.
    fn attempts(
        &mut self,
        op: Op,
        number: u64,
    ) -> Result<Option<Result<Reply, Failure>>, LoadError> {
        let mut op = Some(op);
        for retries in 0.. {
            let Some(again) = op.take() else { break };
            self.port.begin(again.id);
            let task = Rc::clone(&self.pattern).start(Rc::clone(&self.cx), again);
            let result = self.drive(task)?;
            if self.database.in_transaction() {
                self.database.abandon()?;
            }
            self.pending.clear();
            let lost = matches!(
                result,
                Some(Err(Failure::Sql(SqlError::Deadlock | SqlError::Serialization)))
            );
            if lost && retries < RETRIES_MAX {
                self.tally.retried += u64::from(self.measured);
                self.current.again = true;
                op = self.seat.plan.op_again(self.seat.id, number, &*self.seat.entity);
                continue;
            }
            return Ok(result);
        }
        unreachable!("the plan repeats an operation that it had")
    }

    fn operation(&mut self, op: Op, number: u64, start: u64, begun: u64) -> Result<(), LoadError> {
        let kind = op.action.kind();
        let row = row_of(&op.action);
        let latest = row.and_then(|row| self.seat.versions.latest(row));
        self.current = Current { kind: Some(kind), ..Current::default() };
        let asked = self.seat.pen.is_some().then(|| op.clone());
        let result = self.attempts(op, number)?;
        let end = self.nanos();
        if let Some(op) = asked {
            self.write_down(
                &op,
                result.as_ref().and_then(|result| result.as_ref().ok()),
                begun,
                end,
            );
        }
        let mut stale = false;
        if self.measured {
            self.tally.operations += 1;
        }
        match &result {
            Some(Ok(Reply::Row(Some(found)))) => {
                let asked = row.expect("a read of one row names it");
                stale = self.judge(asked, found, latest, begun);
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None if self.measured => {
                let unknown = kind.writes() && self.current.effects > 0;
                self.tally.unknown += u64::from(unknown);
                self.tally.failed += u64::from(!unknown);
                self.tally.panics += u64::from(result.is_none());
            }
            _ => {}
        }
        let ok = matches!(result, Some(Ok(_)));
        if let (Some((row, version)), true) = (self.current.written, ok)
            && let Some((_, written)) = self.known.get_mut(row as usize)
        {
            *written = version.max(*written);
        }
        let hit = ok && !kind.writes() && self.current.asked_cache && !self.current.selected;
        if ok && self.measured {
            self.count(kind.writes(), hit, end.saturating_sub(start));
        }
        self.seat.live.operation(!kind.writes(), hit, stale, !ok);
        Ok(())
    }

    fn count(&mut self, write: bool, hit: bool, nanos: u64) {
        let current = &self.current;
        if write {
            self.tally.writes += 1;
            return self.tally.time(Timed::Write, nanos);
        }
        self.tally.reads += 1;
        let timed = match (current.asked_cache, current.selected) {
            (true, false) => Timed::Hit,
            (true, true) => Timed::Miss,
            (false, _) => Timed::Direct,
        };
        self.tally.hits += u64::from(hit);
        self.tally.misses += u64::from(timed == Timed::Miss);
        self.tally.time(timed, nanos);
    }

    /// Says whether the read was stale for certain.
    fn judge(&mut self, asked: u64, found: &Row, latest: Option<u64>, begun: u64) -> bool {
        if found.id.0 != asked {
            self.tally.wrong += u64::from(self.measured);
            return false;
        }
        // A value that its writer cached before the database gave it a version has none.
        let (Some(latest), true) = (latest, found.version > 0) else { return false };
        let hit = self.current.asked_cache && !self.current.selected;
        let stale = found.version < latest;
        if let Some((read, written)) = self.known.get_mut(asked as usize) {
            if self.measured {
                self.tally.went_back += u64::from(found.version < *read);
                self.tally.missed_own += u64::from(found.version < *written);
            }
            *read = found.version.max(*read);
        }
        if !self.measured {
            return stale;
        }
        self.tally.judged += 1;
        if stale {
            self.tally.stale += 1;
            self.tally.stale_hits += u64::from(hit);
            self.tally.versions_behind = self.tally.versions_behind.max(latest - found.version);
            if let Some(age) = self.seat.versions.age(asked, found.version, begun) {
                note(&mut self.tally.least, age.least);
                note(&mut self.tally.most, age.most);
            }
        }
        stale
    }

    /// Polls a future to its end, carrying out its steps; `None` when it panicked.
    fn drive<T>(
        &mut self,
        mut task: std::pin::Pin<Box<dyn Future<Output = Result<T, Failure>>>>,
    ) -> Result<Option<Result<T, Failure>>, LoadError> {
        let mut context = Context::from_waker(Waker::noop());
        loop {
            self.port.set_now(Time(self.now));
            let polled = catch_unwind(AssertUnwindSafe(|| task.as_mut().poll(&mut context)));
            match polled {
                Err(_) => {
                    self.port.clear();
                    return Ok(None);
                }
                Ok(Poll::Ready(result)) => {
                    while self.port.take_mark().is_some() {}
                    return Ok(Some(result));
                }
                Ok(Poll::Pending) => {}
            }
            let mut sent = false;
            while let Some((ticket, command)) = self.port.take_sent() {
                sent = true;
                let answer = self.step(&command)?;
                self.port.answer(ticket, answer);
            }
            if !sent {
                return Err(LoadError::Input(format!(
                    "pattern `{}` waits for something outside staleproof: use only what `Cx` \
                     offers",
                    self.seat.entry.name
                )));
            }
        }
    }

    fn step(&mut self, command: &Command) -> Result<Answer, LoadError> {
        let answer = match command {
            Command::Cache(command) => return Ok(self.cache_step(command)),
            Command::Database(command) => return self.database_step(command),
            Command::Apart(command) => {
                self.database.change_connection();
                let answer = self.database_step(command);
                self.database.change_connection();
                return answer;
            }
            Command::Local(command) => {
                let mut memory = self.seat.memory.lock().unwrap_or_else(PoisonError::into_inner);
                Answer::Local(memory.execute(command))
            }
            Command::ReadLog { after, limit } => {
                let log = self.seat.log.as_ref().expect("a pattern that reads the log says so");
                Answer::Log(log.read(*after, *limit)?)
            }
            Command::Sleep(nanos) => {
                std::thread::sleep(Duration::from_nanos(*nanos));
                Answer::Slept
            }
        };
        self.look_at_clock();
        Ok(answer)
    }

    /// Lets the proxy know what is to be done to the next request.
    fn strike(&mut self, kind: StepKind, node: NodeId) {
        let Some(rules) = &self.seat.rules else { return };
        let now = Time(self.nanos());
        let current = &mut self.current;
        current.number += 1;
        let target = Target {
            now,
            kind,
            commits: false,
            client: self.seat.id,
            node: Some(node),
            op: self.port.op(),
            op_kind: current.kind,
            number: current.number,
            executed: current.executed,
        };
        if let Some(order) = rules.judge(&target) {
            self.seat.orders[usize::from(node.0)].give(order);
        }
        self.current.executed |= bit(kind);
    }

    fn cache_step(&mut self, command: &CacheCommand) -> Answer {
        let node = command.key().map_or(NodeId(0), |key| self.seat.rings.node(key));
        if self.seat.rules.is_some() {
            self.strike(StepKind::of(&Command::Cache(command.clone())), node);
        }
        let begun = self.nanos();
        let answer = self.cache[usize::from(node.0)].execute(command);
        let nanos = self.look_at_clock() - begun;
        if self.measured {
            self.tally.time(Timed::CacheStep, nanos);
        }
        let current = &mut self.current;
        match &answer {
            Answer::Cache(CacheReply::Found(_) | CacheReply::Miss) => current.asked_cache = true,
            Answer::Cache(CacheReply::Stored | CacheReply::Number(_)) => current.effects += 1,
            Answer::Error(error) if command.has_effect() && !error.is_definite() => {
                current.effects += 1;
            }
            _ => {}
        }
        answer
    }

    /// Background work: rounds until the load is over and a round finds nothing.
    fn tick_along(&mut self) -> Result<(), LoadError> {
        let mut number = 0u32;
        let mut rounds = 0;
        loop {
            let healing = self.seat.shared.phase() == Phase::Draining;
            number = number.wrapping_add(1);
            self.current = Current::default();
            self.look_at_clock();
            self.port.begin(OpId::new(self.seat.id, number));
            let task = Rc::clone(&self.pattern).start_tick(Rc::clone(&self.cx));
            let worked = matches!(self.drive(task)?, Some(Ok(Tick::Worked)));
            rounds += u32::from(healing);
            if healing && (!worked || rounds > DRAIN_ROUNDS_MAX) {
                return Ok(());
            }
            if !worked {
                std::thread::sleep(self.seat.tick_every);
            }
        }
    }
}

fn row_of(action: &Action) -> Option<u64> {
    match action {
        Action::Read(RowId(row))
        | Action::Update(RowId(row), _)
        | Action::Modify(RowId(row), _)
        | Action::Insert(RowId(row), _)
        | Action::Delete(RowId(row)) => Some(*row),
        Action::ReadMany(_) => None,
    }
}
