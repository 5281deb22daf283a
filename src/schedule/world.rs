//! The world of a run: clients, connections, servers, and all that is under way.
//!
//! It knows what *can* happen and makes it happen when told; the scheduler decides when.
//! Each method that makes something happen leaves what it made possible in `enabled`.
//! Sending is in `send.rs`, taking effect in `execute.rs`, returning in `finish.rs`, faults of
//! the world in `world_fault.rs`, deaths in `calamity.rs`; what changes and can be copied is in
//! `state.rs`.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use super::actor::{Actor, Task};
use super::change_log::ChangeLog;
use super::client::{Client, Current};
use super::error::RunError;
use super::followers::Followers;
use super::identity::Event;
use super::injector::Injector;
use super::memory::Memory;
use super::recorder::Recorder;
use super::replica::Replica;
use super::ring::Ring;
use super::state::{Process, State};
use crate::backend::{Cache, Database};
use crate::history::record::{History, KeyId, StepKind};
use crate::operation::{Action, ClientId, Op, OpId, ProcessId, Reply};
use crate::pattern::{AnyPattern, App, Entry, Failure, Settings, Tick, outbox_table};
use crate::plan::{Plan, PlannedOp};
use crate::scenario::OnTimeout;
use crate::seed::Seed;
use crate::step::{ConnectionId, Footprint, RowId};
use crate::time::Time;

/// What the world needs to know besides plan and servers.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Plain selects outside transactions see the database as it was so long ago.
    pub replica_lag: Option<Duration>,
    /// How long a crashed process stays away.
    pub restart_after: Duration,
    /// What becomes of a cache connection whose caller stopped waiting.
    pub on_timeout: OnTimeout,
}

/// Something that has become possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Enabled {
    /// A client may begin its next operation; `after` is the pause that a restart takes.
    Begin { client: usize, after: Duration },
    /// A step may take effect; `late` counts from now.
    Execute { flight: usize, late: Option<Duration> },
    /// A step's answer may reach its caller.
    Deliver { flight: usize },
    /// The caller may give up waiting: no answer will come in time.
    Expire { flight: usize },
    /// A sleep may end.
    Wake { flight: usize, after: Duration },
    /// A database may notice that a connection is gone.
    Disconnect { connection: ConnectionId },
    /// A process may do background work; `idle` says that the last round found none.
    Tick { client: usize, idle: bool },
}

/// A world: what never changes, what can be copied, and what can be neither.
pub(crate) struct World<'a> {
    pub(super) fixed: Fixed<'a>,
    pub(super) state: State,
    pub(super) cache: &'a mut dyn Cache,
    pub(super) database: &'a mut dyn Database,
    /// The running side of each client.
    pub(super) actors: Vec<Actor>,
    /// Its counts are not copied: a scheduler that goes back makes faults happen by itself.
    pub(super) injector: Injector,
    /// What has become possible and was not taken yet: empty between two choices.
    pub(super) enabled: Vec<Enabled>,
    /// What the steps since it was last cleared read and wrote; off unless a scheduler wants it.
    pub(super) footprint: Footprint,
    /// How often a future has moved on, or gone, in all schedules together.
    moves: u64,
}

/// What never changes while a world lives.
pub(super) struct Fixed<'a> {
    pub plan: &'a Plan,
    pub entry: &'a Entry,
    pub settings: &'a Settings,
    pub seed: Seed,
    pub app: Rc<App>,
    pub rules: &'a Rules,
    pub ring: Option<Ring>,
    pub nodes: usize,
    /// Whether a scheduler chooses everything itself, faults included.
    pub manual: bool,
    /// Whether it also compares states, or goes back to them.
    pub keeps_trails: bool,
}

/// What the world is made of.
pub(crate) struct Parts<'a> {
    pub plan: &'a Plan,
    pub entry: &'a Entry,
    pub settings: &'a Settings,
    pub seed: Seed,
    pub app: App,
    pub rules: &'a Rules,
    pub cache: &'a mut dyn Cache,
    pub database: &'a mut dyn Database,
    pub node_names: &'a [String],
    pub injector: Injector,
    pub recorder: Recorder,
}

impl<'a> World<'a> {
    pub fn new(parts: Parts<'a>) -> Result<World<'a>, RunError> {
        let nodes = parts.node_names.len().max(1);
        let followers = Followers {
            replica: parts.rules.replica_lag.map(|_| Replica::default()),
            log: parts.entry.traits.reads_log.then(ChangeLog::default),
        };
        let mut world = World {
            fixed: Fixed {
                plan: parts.plan,
                entry: parts.entry,
                settings: parts.settings,
                seed: parts.seed,
                app: Rc::new(parts.app),
                rules: parts.rules,
                ring: (nodes > 1).then(|| Ring::new(parts.node_names)),
                nodes,
                manual: false,
                keeps_trails: false,
            },
            state: State::new(parts.recorder, followers, parts.plan.clients().len()),
            cache: parts.cache,
            database: parts.database,
            actors: Vec::new(),
            injector: parts.injector,
            enabled: Vec::new(),
            footprint: Footprint::off(),
            moves: 0,
        };
        world.state.recorder.history.readers_validate = world.fixed.entry.traits.validates;
        world.create_rows()?;
        world.create_processes()?;
        Ok(world)
    }

    fn create_rows(&mut self) -> Result<(), RunError> {
        let entity = Rc::clone(&self.fixed.app);
        let mut tables = entity.entity.tables();
        if self.fixed.entry.traits.outbox {
            tables.push(outbox_table());
        }
        self.database.create(&tables, self.fixed.plan.rows())?;
        for (_, row) in self.fixed.plan.rows() {
            let key = self.row_key(row.id);
            self.state.recorder.history.initial.push((key, row.version));
            if let Some(replica) = &mut self.state.followers.replica {
                replica.load(row);
            }
        }
        Ok(())
    }

    fn create_processes(&mut self) -> Result<(), RunError> {
        for number in 0..self.fixed.plan.processes() {
            let pattern = self.start_pattern()?;
            self.state.processes.push(Process { memory: Memory::default(), pattern });
            if self.fixed.entry.traits.background {
                let client = self.state.clients.len();
                self.add_client(ClientId::background(ProcessId(number)), number as usize);
                self.enabled.push(Enabled::Tick { client, idle: true });
            }
        }
        for planned in self.fixed.plan.clients() {
            let client = self.state.clients.len();
            self.add_client(planned.id, planned.process.0 as usize);
            self.enabled.push(Enabled::Begin { client, after: Duration::ZERO });
        }
        Ok(())
    }

    pub(super) fn start_pattern(&self) -> Result<Rc<dyn AnyPattern>, RunError> {
        self.fixed.entry.start(self.fixed.settings).map_err(|problem| RunError::Settings {
            pattern: self.fixed.entry.name.clone(),
            problem,
        })
    }

    fn add_client(&mut self, id: ClientId, process: usize) {
        self.state.clients.push(Client::new(id, process, self.fixed.nodes));
        self.actors.push(Actor::new(self.fixed.seed, &self.fixed.app));
    }

    /// The time now.
    pub fn now(&self) -> Time {
        self.state.now
    }

    /// When the next entry expires by itself, where that is known.
    pub fn next_expiry(&self) -> Option<Time> {
        self.cache.next_expiry(self.state.now)
    }

    /// Time passes; it never goes back.
    pub fn advance(&mut self, to: Time) {
        debug_assert!(
            to >= self.state.now,
            "virtual time went back from {} to {to}",
            self.state.now
        );
        self.state.now = to;
    }

    /// Takes what has become possible since the last call.
    pub fn take_enabled(&mut self, into: &mut Vec<Enabled>) {
        take_all(&mut self.enabled, into);
    }

    pub(super) fn row_key(&mut self, row: RowId) -> KeyId {
        let app = &self.fixed.app;
        self.state.recorder.row_key(row, || match app.keys.get(row.0 as usize) {
            Some(key) => key.clone(),
            None => app.entity.key(crate::step::Table(0), row),
        })
    }

    /// A client begins its next operation, if it has one.
    pub fn begin(&mut self, client: usize) -> Result<(), RunError> {
        let number = self.state.clients[client].begun;
        let id = self.state.clients[client].id;
        let Some(op) = self.fixed.plan.op(id, number, &*self.fixed.app.entity) else {
            self.state.active -= 1;
            return Ok(());
        };
        self.state.clients[client].begun += 1;
        self.start_op(client, op);
        if let Some(arrival) = self.arrival(client, number) {
            self.state.clients[client].current.start = arrival;
        }
        self.poll(client)
    }

    /// In an open loop an operation's time counts from its arrival, however late its client
    /// got round to it: else a slow server would hide the waiting that it causes.
    fn arrival(&self, client: usize, number: usize) -> Option<Time> {
        let planned = self.planned(client, number)?;
        self.fixed.plan.open_loop().then_some(Time(planned.wait))
    }

    pub(super) fn planned(&self, client: usize, number: usize) -> Option<&PlannedOp> {
        let id = self.state.clients[client].id;
        self.fixed.plan.clients().get(id.0 as usize)?.ops.get(number)
    }

    /// When a client's next operation begins.
    pub fn next_begin(&self, client: usize) -> Time {
        match self.planned(client, self.state.clients[client].begun) {
            None => self.state.now,
            Some(planned) if self.fixed.plan.open_loop() => self.state.now.max(Time(planned.wait)),
            Some(planned) => self.state.now + Duration::from_nanos(planned.wait),
        }
    }

    /// Clients that still have something to do.
    pub fn active(&self) -> usize {
        self.state.active
    }

    /// Background clients.
    pub fn background(&self) -> usize {
        self.state.clients.iter().filter(|client| !client.id.is_ordinary()).count()
    }

    /// No fault strikes from now on.
    pub fn disarm(&mut self) {
        self.injector.disarm();
    }

    /// The history so far, and the end of the recording.
    pub fn into_history(self) -> History {
        self.state.recorder.history
    }

    fn start_op(&mut self, client: usize, op: Op) {
        let now = self.state.now;
        let pattern = Rc::clone(&self.state.processes[self.state.clients[client].process].pattern);
        let current = &mut self.state.clients[client].current;
        current.id = op.id;
        current.kind = Some(op.action.kind());
        current.start = now;
        current.steps = 0;
        current.executed = 0;
        current.effects = 0;
        current.transaction_effects = 0;
        current.seen.clear();
        current.rows.clear();
        match &op.action {
            Action::ReadMany(ids) => current.rows.extend(ids),
            Action::Read(id)
            | Action::Update(id, _)
            | Action::Modify(id, _)
            | Action::Insert(id, _)
            | Action::Delete(id) => current.rows.push(*id),
        }
        let actor = &mut self.actors[client];
        actor.port.begin(op.id);
        actor.task = Task::Op(pattern.start(Rc::clone(&actor.cx), op));
    }

    /// A process does one round of background work.
    pub fn tick(&mut self, client: usize) -> Result<(), RunError> {
        if !self.actors[client].is_idle() {
            return Ok(());
        }
        let now = self.state.now;
        let pattern = Rc::clone(&self.state.processes[self.state.clients[client].process].pattern);
        let client_state = &mut self.state.clients[client];
        client_state.begun += 1;
        let id = OpId::new(client_state.id, client_state.begun as u32);
        client_state.current = Current { id, start: now, ..Current::default() };
        let actor = &mut self.actors[client];
        actor.port.begin(id);
        actor.task = Task::Tick(pattern.start_tick(Rc::clone(&actor.cx)));
        self.poll(client)
    }

    /// Lets a client run until it waits for steps or is done.
    pub(super) fn poll(&mut self, client: usize) -> Result<(), RunError> {
        let mut context = Context::from_waker(Waker::noop());
        let shown = self.shown_time();
        self.note_move(client);
        let actor = &mut self.actors[client];
        actor.port.set_now(shown);
        if self.fixed.keeps_trails {
            self.state.clients[client].trail.keep(Event::Polled(shown));
        }
        // A panic of the pattern is a finding about the pattern, not the end of the run. Its
        // future is dropped and never polled again, so no broken state of it is observed.
        let polled = catch_unwind(AssertUnwindSafe(|| match &mut actor.task {
            Task::Idle => Poll::Pending,
            Task::Op(op) => op.as_mut().poll(&mut context).map(Finished::Op),
            Task::Tick(tick) => tick.as_mut().poll(&mut context).map(Finished::Tick),
        }));
        let epoch = self.state.clients[client].epoch;
        self.send_all(client)?;
        self.take_marks(client);
        if self.state.clients[client].epoch != epoch {
            // A fault at what was sent last has ended the operation before it returned.
            return Ok(());
        }
        match polled {
            Ok(Poll::Pending) => self.check_not_stuck(client),
            Ok(Poll::Ready(Finished::Op(result))) => self.finish(client, Some(result)),
            Ok(Poll::Ready(Finished::Tick(result))) => self.finish_tick(client, result),
            Err(_) => self.finish(client, None),
        }
    }

    /// A client's future moves on, or is dropped.
    pub(super) fn note_move(&mut self, client: usize) {
        self.moves += 1;
        self.actors[client].moved = self.moves;
    }

    pub(super) fn send_all(&mut self, client: usize) -> Result<(), RunError> {
        // A fault that strikes a command may end the operation, and with it what else was
        // sent: then the port is empty, or another.
        while let Some((ticket, command)) = self.actors[client].port.take_sent() {
            if self.fixed.keeps_trails {
                self.state.clients[client].trail.keep(Event::Sent(StepKind::of(&command)));
            }
            self.send(client, ticket, command)?;
        }
        Ok(())
    }

    fn take_marks(&mut self, client: usize) {
        while let Some(mark) = self.actors[client].port.take_mark() {
            self.state.recorder.mark(mark);
        }
    }

    fn check_not_stuck(&self, client: usize) -> Result<(), RunError> {
        let (client, actor) = (&self.state.clients[client], &self.actors[client]);
        if client.waiting > 0 || actor.is_idle() {
            return Ok(());
        }
        Err(RunError::Stuck {
            pattern: self.fixed.entry.name.clone(),
            op: client.current.id,
            step: client.current.steps,
        })
    }
}

/// Moves everything to the end of `into`; when that is empty only the buffers change hands.
pub(crate) fn take_all<T>(from: &mut Vec<T>, into: &mut Vec<T>) {
    match into.is_empty() {
        true => std::mem::swap(from, into),
        false => into.append(from),
    }
}

enum Finished {
    Op(Result<Reply, Failure>),
    Tick(Result<Tick, Failure>),
}
