//! A world whose every choice is made from outside, one [`Choice`] at a time.
//!
//! The oracles (exhaustive search, random walks, priorities, replay) share this: it says what can
//! happen next ([`options`](Stepper::options)) and makes it happen ([`take`](Stepper::take)).
//! What offers no real choice happens at once:
//! - an answer reaches its caller right after its step took effect, and the operation returns
//!   right after its last answer: a later return would only take order away;
//! - an operation counts as invoked right before its first step takes effect, for the same
//!   reason;
//! - a caller that gets no answer learns so at once, as when its connection breaks;
//! - a client that pauses, or sleeps, goes on: the clock says when its next step can take effect.
//!
//! The servers' time stands still but for a nanosecond per choice; what time decides is in
//! `pace.rs` and `clock.rs`.

use std::time::Duration;

use super::choice::Choice;
use super::clock::Clock;
use super::effects::Effects;
use super::error::RunError;
use super::monitor::{Monitor, Track};
use super::pace::{Extent, Paces, Timing};
use super::progress::{Background, Progress};
use super::world::{Enabled, World};
use crate::backend::{Cache, Database};
use crate::fault::What;
use crate::history::record::{History, Phases};
use crate::operation::{OpId, OpKind};
use crate::step::{Access, Location, RowId, Table};
use crate::time::Time;

/// How much of what costs may happen in one schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Faults that strike.
    pub faults: u32,
    /// Steps that take longer than their timeouts: a client that is so slow.
    pub advances: u32,
}

/// How much had been recorded before a choice.
#[derive(Clone, Copy)]
struct Before {
    ops: usize,
    commits: usize,
}

/// Sleeps of an operation one after the other, with no step between them, at the most.
const SLEEPS_MAX: u32 = 10_000;

/// A world that is told what happens next.
pub(crate) struct Stepper<'a> {
    pub(super) world: World<'a>,
    /// Rows that faults may be about.
    pub(super) rows: Vec<RowId>,
    /// By client: the client before it that asks exactly the same.
    pub(super) twins: Vec<Option<usize>>,
    pub(super) progress: Progress,
    pub(super) paces: Paces,
    /// How long everything took at the most, in all schedules together.
    pub(super) extent: Extent,
    /// The moments of choices, where they are given: the servers' time follows them.
    pub(super) moments: Vec<Time>,
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
        paces: Paces,
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
            begun: vec![false; clients],
            lasting: vec![false; rules],
            monitor: Monitor::new(
                track,
                clients,
                (0..clients).any(|client| !world.is_ordinary(client)),
            ),
            deadlocks: 0,
            clock: (paces.timing > Timing::Order)
                .then(|| Clock::new(clients, paces.timing == Timing::Expiry, paces.solves)),
            spent: vec![(0, 0); clients],
            choices: Vec::new(),
        };
        if progress.clock.is_some() {
            world.replicas_follow_choices();
        }
        let (extent, moments) = (Extent::default(), Vec::new());
        let mut stepper = Stepper { world, rows, twins, progress, paces, extent, moments };
        stepper.settle()?;
        Ok(stepper)
    }

    /// Statements that gave up waiting for a lock since nothing else was left.
    pub fn deadlocks(&self) -> u32 {
        self.progress.deadlocks
    }

    /// Whether one client stands for another, though the pattern may treat them differently.
    pub fn tells_clients_apart(&self) -> bool {
        self.twins.iter().any(Option::is_some) && self.world.asked_for_names()
    }

    /// The choices so far.
    pub fn choices(&self) -> &[Choice] {
        &self.progress.choices
    }

    /// What has happened and what the servers hold, now that all is done.
    pub fn at_rest(&mut self) -> Result<(&History, &mut dyn Cache, &mut dyn Database), RunError> {
        self.expire_what_is_over()?;
        let now = self.world.now();
        let history = self.world.history_mut();
        history.phases = Phases { faults_end: now, quiescent: now, audit: now, first_expiry: None };
        super::seeded::settle(history);
        Ok(self.world.servers())
    }

    /// What has happened so far.
    pub fn history(&self) -> &History {
        self.world.history()
    }

    /// How long everything took at the most.
    pub fn extent(&self) -> &Extent {
        &self.extent
    }

    /// Which statements wait for a lock, in words.
    pub fn waiting_for_locks(&self) -> Vec<String> {
        let blocked = self.progress.locked.iter().filter(|flight| self.world.is_blocked(**flight));
        let flights = blocked.map(|flight| self.world.flight(*flight));
        flights.map(|f| format!("{} waits for a lock in {}", f.op, f.kind.name())).collect()
    }

    /// The servers' time follows these moments of choices from now on.
    pub fn follow(&mut self, nanos: &[u64]) {
        self.moments = nanos.iter().map(|nanos| Time(*nanos)).collect();
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
        let stores = self.stores(choice);
        self.world.footprint.clear();
        if self.spend_time(choice)? {
            let everything = true;
            return Ok(Effects { client: self.actor_of(choice), everything, ..Effects::default() });
        }
        let history = self.world.history();
        let before = Before { ops: history.ops.len(), commits: history.commits.len() };
        let mut effects = Effects { fault: choice.is_fault(), ..Effects::default() };
        if effects.fault && !self.is_kept_out(choice) {
            self.progress.bounds.faults -= 1;
        }
        self.carry_out(choice, &mut effects)?;
        self.settle()?;
        let stored = stores.filter(|(step, _)| self.has_stored(*step)).map(|(_, stored)| stored);
        self.note_time(stored.as_ref(), before.commits);
        self.note_returns(before, &mut effects);
        self.note_background(&effects);
        effects.footprint.append(&self.world.footprint);
        Ok(effects)
    }

    fn carry_out(&mut self, choice: Choice, effects: &mut Effects) -> Result<(), RunError> {
        match choice {
            Choice::Step(op, step) => {
                let flight = self.launch(op, step, effects)?;
                self.world.execute(flight)
            }
            Choice::Strike(rule, op, step) => self.strike(rule, (op, step), effects),
            Choice::StrikeAfter(..) | Choice::StrikeFlying(..) | Choice::StrikeClient(..) => {
                effects.everything = true;
                self.end_abruptly(choice, effects)
            }
            Choice::Wake(op, step) => {
                let mut sleeping = self.progress.sleeping.iter();
                let place = sleeping.position(|flight| self.is_step(*flight, op, step));
                let place = place.expect("only what is offered is chosen");
                let flight = self.progress.sleeping.remove(place);
                let client = self.world.pending(flight).client;
                effects.client = Some(client);
                self.goes_on_now(client);
                self.world.wake(flight)
            }
            Choice::Begin(client) => {
                let client = self.world.place_of_client(client);
                effects.client = Some(client);
                self.progress.begun[client] = true;
                Ok(())
            }
            Choice::Tick(process) => self.tick(process, effects),
            Choice::Disconnect(connection) => {
                self.progress.hanging.retain(|hanging| *hanging != connection);
                self.world.disconnect(connection)
            }
            Choice::World(rule) | Choice::WorldNode(rule, _) | Choice::WorldRow(rule, _) => {
                effects.everything = self.world.fault(rule).what == What::JumpClock;
                self.strike_the_world(rule, choice)
            }
            Choice::From(rule) | Choice::Until(rule) => {
                effects.everything = true;
                self.progress.lasting[usize::from(rule)] = matches!(choice, Choice::From(_));
                if matches!(choice, Choice::From(_)) {
                    self.world.note_lasting(rule);
                }
                Ok(())
            }
            Choice::GiveUp => {
                effects.everything = true;
                self.give_up_a_lock()
            }
            Choice::Alive(..) | Choice::Expired(..) | Choice::Sees(..) | Choice::Late(..) => {
                unreachable!("time was spent before")
            }
        }
    }

    /// A fault strikes a step under way.
    fn strike(
        &mut self,
        rule: u16,
        (op, step): (OpId, u32),
        effects: &mut Effects,
    ) -> Result<(), RunError> {
        if let Some(flight) = self.place_of(op, step).map(|place| self.progress.flying[place])
            && self.is_held_up(rule, flight)
        {
            effects.client = Some(self.world.pending(flight).client);
            self.world.hold_up(flight, rule);
            return Ok(());
        }
        let flight = self.launch(op, step, effects)?;
        match self.world.fault(rule).what {
            What::LoseReply => {}
            What::LoseRequest | What::DeliverLate | What::Delay => self.hear(flight, false),
            _ => self.hear(flight, true),
        }
        let late = self.late_by(rule, flight);
        self.world.strike_step(flight, rule, late)
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
        if pending.current {
            self.invoke(pending.client, effects);
        }
        // What it returns may be of before: names ask which commits it could have seen.
        let selected = self.world.selected(flight);
        if let Some(row) = selected.filter(|_| self.progress.monitor.names_hazards()) {
            effects.footprint.note(row, Access::Read);
        }
        Ok(flight)
    }

    /// A client's operation counts as invoked from now on.
    fn invoke(&mut self, client: usize, effects: &mut Effects) {
        if self.progress.invoked[client] {
            return;
        }
        self.progress.invoked[client] = true;
        effects.invoked = true;
        self.world.stamp_start(client);
        let key = self.world.first_key_of(client);
        self.progress.monitor.invoked(client, key, self.world.history());
        for row in self.world.rows_of(client).to_vec() {
            effects.footprint.note(Location::Row(Table(0), row), Access::Read);
        }
    }

    /// The place of a step among those under way.
    pub(super) fn place_of(&self, op: OpId, step: u32) -> Option<usize> {
        self.progress.flying.iter().position(|flight| self.is_step(*flight, op, step))
    }

    /// Whether a flight is this step.
    pub(super) fn is_step(&self, flight: usize, op: OpId, step: u32) -> bool {
        let flight = self.world.flight(flight);
        flight.op == op && flight.number == step
    }

    /// An operation is cancelled, or a process dies. Steps that had not left it never take
    /// effect; the one that the choice names does, or did.
    fn end_abruptly(&mut self, choice: Choice, effects: &mut Effects) -> Result<(), RunError> {
        let waited_for = |flight: &usize| self.world.pending(*flight).current;
        let mine: Vec<usize> = self.progress.flying.iter().copied().filter(waited_for).collect();
        let mut spared = None;
        let kept = self.put_back(choice);
        let epochs: Vec<u32> =
            (0..self.world.client_count()).map(|c| self.world.epoch(c)).collect();
        match choice {
            Choice::StrikeAfter(rule, op, step) => {
                let flight = self.launch(op, step, effects)?;
                spared = Some(flight);
                self.world.strike_after_step(flight, rule)?;
            }
            Choice::StrikeFlying(rule, op, step) => {
                spared = self.place_of(op, step).map(|place| self.progress.flying[place]);
                let client = self.world.place_of_client(op.client());
                self.invoke(client, effects);
                self.world.strike_client(client, rule)?;
            }
            Choice::StrikeClient(rule, client) => {
                let client = self.world.place_of_client(client);
                self.world.strike_client(client, rule)?;
            }
            _ => unreachable!("only what ends an operation comes here"),
        }
        for (client, epoch) in epochs.into_iter().enumerate() {
            if self.world.epoch(client) != epoch && !kept.contains(&client) {
                self.goes_on_now(client);
            }
        }
        for flight in mine {
            if Some(flight) != spared && !self.world.pending(flight).current {
                self.progress.flying.retain(|flying| *flying != flight);
                self.world.drop_step(flight);
            }
        }
        Ok(())
    }

    /// The first statement that waits for a lock gives up.
    fn give_up_a_lock(&mut self) -> Result<(), RunError> {
        if self.progress.locked.is_empty() {
            return Err(self.nothing_left());
        }
        self.progress.deadlocks += 1;
        let flight = self.progress.locked.remove(0);
        self.hear(flight, false);
        self.world.expire(flight)?;
        for work in self.progress.background.iter_mut().flatten() {
            work.dirty |= work.waiting;
        }
        Ok(())
    }

    /// Why there is nothing left that could happen.
    pub(super) fn nothing_left(&self) -> RunError {
        let waits = |client: &usize| self.world.is_busy(*client);
        let waiting: Vec<String> = (0..self.progress.invoked.len())
            .filter(waits)
            .map(|client| self.world.op_of(client).to_string())
            .collect();
        RunError::NothingLeft { waiting: waiting.join(", ") }
    }

    /// What a client does next it does from now on.
    pub(super) fn goes_on_now(&mut self, client: usize) {
        self.progress.spent[client] = (0, 0);
        if let Some(clock) = &mut self.progress.clock {
            clock.tell_now(client);
        }
    }

    fn begin(&mut self, client: usize) -> Result<(), RunError> {
        self.progress.invoked[client] = false;
        self.progress.spent[client] = (0, 0);
        self.world.begin_now(client)
    }

    /// A sleep of an operation ends, unless the operation waits for something else as well.
    fn sleep(&mut self, flight: usize, after: Duration) -> Result<(), RunError> {
        let client = self.world.pending(flight).client;
        self.progress.invoked[client] = true;
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        self.note_wait(client, 0, nanos);
        if self.world.waits_for_several(client) {
            self.progress.sleeping.push(flight);
            self.send(flight, Some(after));
            return Ok(());
        }
        self.pause(client, after);
        self.world.wake(flight)
    }

    /// Lets everything happen that offers no choice.
    fn settle(&mut self) -> Result<(), RunError> {
        let mut rounds = 0;
        loop {
            rounds += 1;
            if rounds > SLEEPS_MAX {
                return Err(self.nothing_left());
            }
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
        match enabled {
            Enabled::Begin { client, after } => {
                let pause = Duration::from_nanos(self.world.pause_before(client).unwrap_or(0));
                self.pause(client, pause.max(after));
                self.begin(client)?;
                self.progress.begun[client] = pause.max(after).is_zero();
            }
            Enabled::Execute { flight, late } => {
                self.progress.flying.push(flight);
                self.send(flight, late);
            }
            Enabled::Deliver { flight } => {
                self.hear(flight, true);
                self.world.deliver(flight)?;
            }
            Enabled::Expire { flight } if self.world.is_blocked(flight) => {
                self.progress.locked.push(flight)
            }
            Enabled::Expire { flight } => {
                self.hear(flight, false);
                self.world.expire(flight)?;
            }
            Enabled::Wake { flight, after } => self.sleep(flight, after)?,
            Enabled::Disconnect { connection } => match self.world.matters(connection) {
                true => self.progress.hanging.push(connection),
                false => self.world.disconnect(connection)?,
            },
            Enabled::Tick { client, idle } => self.end_round(client, idle),
        }
        Ok(())
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
}
