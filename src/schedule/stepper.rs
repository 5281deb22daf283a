//! A world whose every choice is made from outside, one [`Choice`] at a time.
//!
//! The oracles (exhaustive search, random walks, priorities, replay) share this: it says what can
//! happen next ([`options`](Stepper::options)) and makes it happen ([`take`](Stepper::take)).
//! What offers no real choice happens at once:
//! - an answer reaches its caller right after its step took effect, and the operation returns
//!   right after its last answer: a later return would only take order away;
//! - an operation counts as invoked right before its first step takes effect, for the same
//!   reason;
//! - a caller that gets no answer learns so at once, as when its connection breaks.
//!
//! Time stands still but for a nanosecond per choice, until [`Choice::Advance`].

use std::time::Duration;

use super::choice::Choice;
use super::effects::Effects;
use super::error::RunError;
use super::monitor::{Monitor, Track};
use super::progress::{Background, Progress, Sleeper};
use super::world::{Enabled, World};
use crate::backend::{Cache, Database};
use crate::fault::What;
use crate::history::record::{History, Phases};
use crate::operation::{ClientId, OpId, OpKind, ProcessId};
use crate::step::{Access, Footprint, Location, RowId, Table};
use crate::time::Time;

/// How much of what costs may happen in one schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Faults that strike.
    pub faults: u32,
    /// Times that the clock moves on while something else could have happened: a client that
    /// is so slow. When nothing else can happen it moves on for free.
    pub advances: u32,
}

/// How much had been recorded before a choice.
#[derive(Clone, Copy)]
struct Before {
    ops: usize,
    commits: usize,
}

/// Pauses of a plan below this are left out: the order is free anyway.
const PAUSE_THAT_MATTERS: Duration = Duration::from_secs(1);

/// A world that is told what happens next.
pub(crate) struct Stepper<'a> {
    pub(super) world: World<'a>,
    /// Rows that faults may be about.
    pub(super) rows: Vec<RowId>,
    /// By client: the client before it that asks exactly the same.
    pub(super) twins: Vec<Option<usize>>,
    pub(super) progress: Progress,
}

impl<'a> Stepper<'a> {
    /// Takes over a fresh world. `rules` is how many rules of faults there are, `rows` what
    /// faults may be about.
    pub fn new(
        mut world: World<'a>,
        bounds: Bounds,
        track: Track,
        twins: Vec<Option<usize>>,
        rules: usize,
        rows: Vec<RowId>,
    ) -> Result<Stepper<'a>, RunError> {
        world.choose_manually(track != Track::default());
        let clients = world.client_count();
        let background = |client| (!world.is_ordinary(client)).then(Background::default);
        let progress = Progress {
            bounds,
            flying: Vec::new(),
            sleeping: Vec::new(),
            locked: Vec::new(),
            hanging: Vec::new(),
            background: (0..clients).map(background).collect(),
            invoked: vec![false; clients],
            lasting: vec![false; rules],
            monitor: Monitor::new(track, clients),
            deadlocks: 0,
            choices: Vec::new(),
        };
        let mut stepper = Stepper { world, rows, twins, progress };
        stepper.settle()?;
        Ok(stepper)
    }

    /// Times at which the clock moved on although nothing but waiting for a lock was left.
    pub fn deadlocks(&self) -> u32 {
        self.progress.deadlocks
    }

    /// The choices so far.
    pub fn choices(&self) -> &[Choice] {
        &self.progress.choices
    }

    /// What has happened and what the servers hold, now that all is done.
    pub fn at_rest(&mut self) -> (&History, &mut dyn Cache, &mut dyn Database) {
        let now = self.world.now();
        let history = self.world.history_mut();
        history.phases = Phases { faults_end: now, quiescent: now, audit: now };
        super::seeded::settle(history);
        self.world.servers()
    }

    /// Which statements wait for a lock, in words.
    pub fn waiting_for_locks(&self) -> Vec<String> {
        let blocked = self.progress.locked.iter().filter(|flight| self.world.is_blocked(**flight));
        let flights = blocked.map(|flight| self.world.flight(*flight));
        flights.map(|f| format!("{} waits for a lock in {}", f.op, f.kind.name())).collect()
    }

    /// What has happened; leaves nothing of it.
    pub fn take_history(&mut self) -> History {
        std::mem::take(self.world.history_mut())
    }

    /// Whether all that was asked is done and nothing is under way.
    pub fn is_quiescent(&self) -> bool {
        self.progress.flying.is_empty()
            && self.progress.locked.is_empty()
            && self.progress.hanging.is_empty()
            && self.progress.sleeping.is_empty()
            && !(0..self.progress.invoked.len()).any(|client| self.world.is_busy(client))
            && !self.progress.background.iter().flatten().any(|work| work.dirty)
    }

    /// Makes a choice of [`options`](Stepper::options) happen; says what it touched.
    pub fn take(&mut self, choice: Choice) -> Result<Effects, RunError> {
        self.progress.choices.push(choice);
        let deadline = self.spend_time(choice);
        self.world.advance(deadline.unwrap_or_else(|| self.next_moment()));
        self.world.footprint.clear();
        let history = self.world.history();
        let before = Before { ops: history.ops.len(), commits: history.commits.len() };
        let mut effects = Effects { fault: choice.is_fault(), ..Effects::default() };
        if effects.fault && !self.is_kept_out(choice) {
            self.progress.bounds.faults -= 1;
        }
        self.carry_out(choice, deadline, &mut effects)?;
        self.settle()?;
        self.note_returns(before, &mut effects);
        self.note_background(&effects);
        effects.footprint.append(&self.world.footprint);
        Ok(effects)
    }

    /// Where the clock moves on to, if the choice is that it does.
    fn spend_time(&mut self, choice: Choice) -> Option<Time> {
        if choice != Choice::Advance {
            return None;
        }
        if !self.is_forced() {
            self.progress.bounds.advances -= 1;
        }
        self.next_deadline()
    }

    fn carry_out(
        &mut self,
        choice: Choice,
        deadline: Option<Time>,
        effects: &mut Effects,
    ) -> Result<(), RunError> {
        match choice {
            Choice::Step(op, step) => {
                let flight = self.launch(op, step, effects)?;
                self.world.execute(flight)
            }
            Choice::Strike(rule, op, step) => {
                let flight = self.launch(op, step, effects)?;
                self.world.strike_step(flight, rule)
            }
            Choice::StrikeAfter(..) | Choice::StrikeFlying(..) | Choice::StrikeClient(..) => {
                effects.everything = true;
                self.end_abruptly(choice, effects)
            }
            Choice::Wake(op, step) => {
                let place = self.place_of_sleeper(op, step);
                let (_, Sleeper::Step(flight)) = self.progress.sleeping.remove(place) else {
                    unreachable!("a step was looked for");
                };
                effects.client = Some(self.world.pending(flight).client);
                self.world.wake(flight)
            }
            Choice::Begin(client) => {
                let client = self.world.place_of_client(client);
                self.progress.sleeping.retain(|(_, sleeper)| *sleeper != Sleeper::Client(client));
                effects.client = Some(client);
                self.begin(client)
            }
            Choice::Tick(process) => self.tick(process, effects),
            Choice::Disconnect(connection) => {
                self.progress.hanging.retain(|hanging| *hanging != connection);
                self.world.disconnect(connection)
            }
            Choice::World(rule) => {
                effects.everything = self.world.fault(rule).what == What::JumpClock;
                self.world.world_fault_now(rule, None)
            }
            Choice::WorldRow(rule, row) => self.world.world_fault_now(rule, Some(row)),
            Choice::From(rule) | Choice::Until(rule) => {
                effects.everything = true;
                self.progress.lasting[usize::from(rule)] = matches!(choice, Choice::From(_));
                if matches!(choice, Choice::From(_)) {
                    self.world.note_lasting(rule);
                }
                Ok(())
            }
            Choice::Advance => {
                effects.everything = true;
                self.let_time_pass(deadline)
            }
        }
    }

    /// Takes a step from those under way; its operation counts as invoked from now on.
    fn launch(&mut self, op: OpId, step: u32, effects: &mut Effects) -> Result<usize, RunError> {
        let Some(place) = self.place_of(op, step) else {
            return Err(self.world.not_deterministic(op, step));
        };
        let flight = self.progress.flying.remove(place);
        let pending = self.world.pending(flight);
        effects.client = Some(pending.client);
        effects.late = !pending.current;
        if pending.current && !self.progress.invoked[pending.client] {
            self.progress.invoked[pending.client] = true;
            effects.invoked = true;
            self.world.stamp_start(pending.client);
            let key = self.world.first_key_of(pending.client);
            self.progress.monitor.invoked(pending.client, key, self.world.history());
            for row in self.world.rows_of(pending.client).to_vec() {
                effects.footprint.note(Location::Row(Table(0), row), Access::Read);
            }
        }
        Ok(flight)
    }

    /// The place of a step among those under way.
    pub(super) fn place_of(&self, op: OpId, step: u32) -> Option<usize> {
        self.progress.flying.iter().position(|flight| {
            let flight = self.world.flight(*flight);
            flight.op == op && flight.number == step
        })
    }

    fn place_of_sleeper(&self, op: OpId, step: u32) -> usize {
        let found = self.progress.sleeping.iter().position(|(_, sleeper)| match sleeper {
            Sleeper::Step(flight) => {
                let pending = self.world.pending(*flight);
                pending.op == op && pending.number == step
            }
            Sleeper::Client(_) => false,
        });
        found.expect("only what is offered is chosen")
    }

    /// An operation is cancelled, or a process dies. Steps that had not left it never take
    /// effect; the one that the choice names does, or did.
    fn end_abruptly(&mut self, choice: Choice, effects: &mut Effects) -> Result<(), RunError> {
        let waited_for = |flight: &usize| self.world.pending(*flight).current;
        let mine: Vec<usize> = self.progress.flying.iter().copied().filter(waited_for).collect();
        let mut spared = None;
        match choice {
            Choice::StrikeAfter(rule, op, step) => {
                let flight = self.launch(op, step, effects)?;
                spared = Some(flight);
                self.world.strike_after_step(flight, rule)?;
            }
            Choice::StrikeFlying(rule, op, step) => {
                spared = self.place_of(op, step).map(|place| self.progress.flying[place]);
                let client = self.world.place_of_client(op.client());
                self.world.strike_client(client, rule)?;
            }
            Choice::StrikeClient(rule, client) => {
                let client = self.world.place_of_client(client);
                self.world.strike_client(client, rule)?;
            }
            _ => unreachable!("only what ends an operation comes here"),
        }
        for flight in mine {
            if Some(flight) != spared && !self.world.pending(flight).current {
                self.progress.flying.retain(|flying| *flying != flight);
                self.world.drop_step(flight);
            }
        }
        Ok(())
    }

    fn tick(&mut self, process: ProcessId, effects: &mut Effects) -> Result<(), RunError> {
        let client = self.world.place_of_client(ClientId::background(process));
        effects.client = Some(client);
        let work = self.progress.background[client].as_mut().expect("it is background work");
        work.waiting = false;
        work.dirty = false;
        work.round.clear();
        work.late.clear();
        self.progress.invoked[client] = true;
        self.world.tick_now(client)
    }

    /// The clock has moved on to the next thing that waits for it; when nothing does, the first
    /// statement that waits for a lock gives up.
    fn let_time_pass(&mut self, deadline: Option<Time>) -> Result<(), RunError> {
        if deadline.is_none() {
            if self.progress.locked.is_empty() {
                return Err(self.nothing_left());
            }
            self.progress.deadlocks += 1;
            let flight = self.progress.locked.remove(0);
            self.world.expire(flight)?;
        }
        for work in self.progress.background.iter_mut().flatten() {
            work.dirty |= work.waiting;
        }
        Ok(())
    }

    /// Why there is nothing left that could happen.
    fn nothing_left(&self) -> RunError {
        let waits = |client: &usize| self.world.is_busy(*client);
        let waiting: Vec<String> = (0..self.progress.invoked.len())
            .filter(waits)
            .map(|client| self.world.op_of(client).to_string())
            .collect();
        RunError::NothingLeft { waiting: waiting.join(", ") }
    }

    /// When the next choice happens.
    pub(super) fn next_moment(&self) -> Time {
        Time(self.world.now().0 + 1)
    }

    /// The next point in time at which something that waits for it may happen.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let moment = self.next_moment();
        let sleepers = self.progress.sleeping.iter().map(|(at, _)| *at).filter(|at| *at > moment);
        sleepers.chain(self.world.next_by_itself(moment)).min()
    }

    fn begin(&mut self, client: usize) -> Result<(), RunError> {
        self.progress.invoked[client] = false;
        self.world.begin_now(client)
    }

    /// Lets everything happen that offers no choice.
    fn settle(&mut self) -> Result<(), RunError> {
        loop {
            let enabled = self.world.drain_enabled();
            if enabled.is_empty() {
                // Whoever waited for a lock has it, or is gone: its timeout means nothing.
                let free =
                    self.progress.locked.iter().position(|flight| !self.world.is_blocked(*flight));
                match free {
                    Some(place) => {
                        let flight = self.progress.locked.remove(place);
                        self.world.expire(flight)?;
                    }
                    None => return Ok(()),
                }
            }
            for enabled in enabled {
                self.sort_in(enabled)?;
            }
        }
    }

    fn sort_in(&mut self, enabled: Enabled) -> Result<(), RunError> {
        let now = self.world.now();
        match enabled {
            Enabled::Begin { client, after } => {
                let pause = Duration::from_nanos(self.world.pause_before(client).unwrap_or(0));
                if pause < PAUSE_THAT_MATTERS && after < PAUSE_THAT_MATTERS {
                    return self.begin(client);
                }
                self.progress.sleeping.push((now + pause.max(after), Sleeper::Client(client)));
            }
            Enabled::Execute { flight, .. } => self.progress.flying.push(flight),
            Enabled::Deliver { flight } => self.world.deliver(flight)?,
            Enabled::Expire { flight } if self.world.is_blocked(flight) => {
                self.progress.locked.push(flight)
            }
            Enabled::Expire { flight } => self.world.expire(flight)?,
            Enabled::Wake { flight, after } => {
                self.progress.invoked[self.world.pending(flight).client] = true;
                self.progress.sleeping.push((now + after, Sleeper::Step(flight)));
            }
            Enabled::Disconnect { connection } => match self.world.matters(connection) {
                true => self.progress.hanging.push(connection),
                false => self.world.disconnect(connection)?,
            },
            Enabled::Tick { client, idle } => self.end_round(client, idle),
        }
        Ok(())
    }

    fn end_round(&mut self, client: usize, idle: bool) {
        let begun = self.world.begun(client) > 0;
        let work = self.progress.background[client].as_mut().expect("it is background work");
        work.waiting = true;
        work.dirty = !idle;
        work.late.clear();
        if idle && begun {
            let mut looked_at = Footprint::on();
            for (location, _) in work.round.drain(..) {
                looked_at.read(|| location);
            }
            work.looked_at = Some(looked_at);
        }
    }

    /// Operations that returned have looked at the order of their rows' commits.
    fn note_returns(&mut self, before: Before, effects: &mut Effects) {
        let history = self.world.history();
        if self.progress.monitor.watches_views() && history.commits.len() > before.commits {
            effects.footprint.note(Location::CommitClock, Access::Write);
        }
        let before = before.ops;
        let mut returned = history.ops[before..].iter();
        if self.progress.monitor.watches_views() && returned.any(|op| op.kind == OpKind::Read) {
            effects.footprint.note(Location::CommitClock, Access::Read);
        }
        let client_of = |op: OpId| self.world.place_of_client(op.client());
        self.progress.monitor.ended(before, history, client_of);
        for op in &history.ops[before..] {
            effects.returned = true;
            if op.kind == OpKind::Read
                && let Some(Some(row)) = history.rows.get(op.key.0 as usize)
            {
                effects.footprint.note(Location::Row(Table(0), *row), Access::Read);
            }
        }
    }

    /// Background work is to be looked at again when what it looks at has changed.
    fn note_background(&mut self, effects: &Effects) {
        let touched = &self.world.footprint;
        let writes = touched.entries().iter().any(|(_, access)| *access != Access::Read);
        for (client, work) in self.progress.background.iter_mut().enumerate() {
            let Some(work) = work else { continue };
            if effects.everything {
                work.dirty |= work.waiting;
            } else if effects.client == Some(client) && work.waiting {
                // A round that was idle ended with this step, which belongs to what it looked at.
                if let Some(looked_at) = work.looked_at.as_mut().filter(|_| !work.dirty) {
                    for (location, _) in touched.entries() {
                        looked_at.read(|| location.clone());
                    }
                }
            } else if effects.client == Some(client) {
                work.round.extend(touched.entries().iter().cloned());
                if effects.late {
                    work.late.extend(touched.entries().iter().cloned());
                }
            } else {
                work.dirty |= work.waiting
                    && match &work.looked_at {
                        None => writes || effects.everything,
                        Some(looked_at) => !looked_at.independent_of(touched),
                    };
            }
        }
    }
}
