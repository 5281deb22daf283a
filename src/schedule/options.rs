//! What can happen next in a world that is told everything, and what makes its states one.

use std::hash::{Hash, Hasher};

use super::choice::Choice;
use super::identity::Fold128;
use super::stepper::{Sleeper, Stepper};
use super::story;
use super::symmetry::Places;
use crate::backend::memcached_model::CasNames;
use crate::fault::What;
use crate::operation::ProcessId;

impl Stepper<'_> {
    /// Everything that can happen next, in an order that depends on nothing but the state:
    /// first what costs nothing, then the clock, then faults.
    pub fn options(&self) -> Vec<Choice> {
        let mut options = self.free_options();
        options.sort_unstable();
        let forced = options.is_empty() && !self.is_quiescent();
        if forced || (self.time_can_pass() && !self.is_quiescent()) {
            options.push(Choice::Advance);
        }
        if self.bounds.faults > 0 {
            let mut faults = self.fault_options();
            faults.sort_unstable();
            options.append(&mut faults);
        }
        options
    }

    /// Whether the clock may move on although something else could happen.
    pub(super) fn time_can_pass(&self) -> bool {
        self.next_deadline().is_some() && self.bounds.advances > 0
    }

    /// Whether nothing but the clock is left.
    pub(super) fn is_forced(&self) -> bool {
        self.free_options().is_empty()
    }

    /// What costs nothing, in no particular order.
    pub(super) fn free_options(&self) -> Vec<Choice> {
        let mut options = Vec::with_capacity(self.flying.len() + 4);
        for flight in &self.flying {
            if !self.is_first(*flight) {
                continue;
            }
            let pending = self.world.pending(*flight);
            if self.waits_for_its_twin(&pending) {
                continue;
            }
            options.push(match self.kept_out_by(*flight) {
                Some(rule) => Choice::Strike(rule, pending.op, pending.number),
                None => Choice::Step(pending.op, pending.number),
            });
        }
        let moment = self.next_moment();
        for (at, sleeper) in &self.sleeping {
            if *at > moment {
                continue;
            }
            options.push(match sleeper {
                Sleeper::Step(flight) => {
                    let pending = self.world.pending(*flight);
                    Choice::Wake(pending.op, pending.number)
                }
                Sleeper::Client(client) => Choice::Begin(self.world.client_id(*client)),
            });
        }
        options.extend(self.hanging.iter().map(|connection| Choice::Disconnect(*connection)));
        for (client, work) in self.background.iter().enumerate() {
            if work.as_ref().is_some_and(|work| work.waiting && work.dirty) {
                let process = self.world.process_of(client) as u32;
                options.push(Choice::Tick(ProcessId(process)));
            }
        }
        let lasting = self.lasting.iter().enumerate().filter(|(_, lasts)| **lasts);
        options.extend(lasting.map(|(rule, _)| Choice::Until(rule as u16)));
        options
    }

    /// Of clients that ask the same, the first that has not begun begins: every other schedule
    /// is one of these under other names.
    pub(super) fn waits_for_its_twin(&self, pending: &super::manual::Pending) -> bool {
        if !pending.current || self.invoked[pending.client] || self.world.begun(pending.client) > 1
        {
            return false;
        }
        let Some(twin) = self.twins[pending.client] else { return false };
        self.world.begun(twin) == 1 && !self.invoked[twin] && self.world.is_busy(twin)
    }

    /// A connection delivers in order.
    fn is_first(&self, flight: usize) -> bool {
        let own = self.world.flight(flight);
        !self.flying.iter().any(|other| {
            let other = self.world.flight(*other);
            other.connection == own.connection && other.step < own.step
        })
    }

    fn kept_out_by(&self, flight: usize) -> Option<u16> {
        let lasting = self.lasting.iter().enumerate().filter(|(_, lasts)| **lasts);
        lasting.map(|(rule, _)| rule as u16).find(|rule| self.world.keeps_out(*rule, flight))
    }

    /// Whether a strike is that of a lasting fault, which was paid for when it began.
    pub(super) fn is_kept_out(&self, choice: Choice) -> bool {
        matches!(choice, Choice::Strike(rule, ..) if self.lasting[usize::from(rule)])
    }

    /// Faults that can strike now, in no particular order.
    pub(super) fn fault_options(&self) -> Vec<Choice> {
        let mut options = Vec::new();
        for rule in 0..self.lasting.len() as u16 {
            let fault = self.world.fault(rule);
            match fault.what {
                What::Crash | What::Cancel => self.endings(rule, &mut options),
                what if what.strikes_steps() => self.strikes(rule, &mut options),
                what if what.lasts() => {
                    if !self.lasting[usize::from(rule)] && !self.is_quiescent() {
                        options.push(Choice::From(rule));
                    }
                }
                what if what == What::Evict || what.bypasses() => match fault.row() {
                    Some(row) => options.push(Choice::WorldRow(rule, row)),
                    None => {
                        options.extend(self.rows.iter().map(|row| Choice::WorldRow(rule, *row)));
                    }
                },
                _ => options.push(Choice::World(rule)),
            }
        }
        options
    }

    fn strikes(&self, rule: u16, options: &mut Vec<Choice>) {
        for flight in self.flying.iter().filter(|flight| self.is_first(**flight)) {
            let pending = self.world.pending(*flight);
            // What nobody waits for any more has nobody who could notice.
            if pending.current && self.world.rule_matches(rule, *flight) {
                options.push(Choice::Strike(rule, pending.op, pending.number));
            }
        }
    }

    /// Ways in which an operation, or its process, can end before its time. An operation that
    /// has not taken a step is as good as not begun.
    fn endings(&self, rule: u16, options: &mut Vec<Choice>) {
        let crash = self.world.fault(rule).what == What::Crash;
        for flight in self.flying.iter().filter(|flight| self.is_first(**flight)) {
            let pending = self.world.pending(*flight);
            if !pending.current || !self.world.rule_matches(rule, *flight) {
                continue;
            }
            let invoked = self.invoked[pending.client];
            if !crash && invoked {
                let client = self.world.client_id(pending.client);
                options.push(Choice::StrikeClient(rule, client));
            }
            // A reply that nobody waits for matters where its connection is used again.
            let leaves_something = pending.kind.writes() || self.world.reuses(pending.connection);
            if leaves_something && self.kept_out_by(*flight).is_none() {
                options.push(Choice::StrikeAfter(rule, pending.op, pending.number));
                if invoked {
                    options.push(Choice::StrikeFlying(rule, pending.op, pending.number));
                }
            }
        }
        if crash {
            self.crashes(rule, options);
        }
        options.sort_unstable();
        options.dedup();
    }

    /// A process can die whenever it has something to lose.
    fn crashes(&self, rule: u16, options: &mut Vec<Choice>) {
        let mut seen = Vec::new();
        for client in 0..self.invoked.len() {
            let process = self.world.process_of(client);
            if seen.contains(&process) {
                continue;
            }
            seen.push(process);
            let members = (0..self.invoked.len()).filter(|m| self.world.process_of(*m) == process);
            let mut at_work = members.filter(|m| self.world.is_busy(*m) && self.invoked[*m]);
            let admitted = self.world.crash_admits(rule, process);
            if admitted && (at_work.next().is_some() || self.world.remembers(process)) {
                options.push(Choice::StrikeClient(rule, self.world.client_id(client)));
            }
        }
    }

    /// The client whose step a choice is.
    pub fn actor_of(&self, choice: Choice) -> Option<usize> {
        let client = match choice {
            Choice::Step(op, _)
            | Choice::Wake(op, _)
            | Choice::Strike(_, op, _)
            | Choice::StrikeAfter(_, op, _)
            | Choice::StrikeFlying(_, op, _) => op.client(),
            Choice::Begin(client) | Choice::StrikeClient(_, client) => client,
            Choice::Tick(process) => crate::operation::ClientId::background(process),
            _ => return None,
        };
        Some(self.world.place_of_client(client))
    }

    /// A fingerprint of what servers hold and operations returned.
    pub fn end(&self) -> u128 {
        let mut hasher = Fold128::default();
        self.world.fingerprint_of_servers(&mut CasNames::new(), &mut hasher);
        self.monitor.returned().hash(&mut hasher);
        hasher.finish128()
    }

    /// Feeds the state to a hasher, and says which client stands in which place of it; `None`
    /// when a server's state cannot be seen.
    pub fn fingerprint(&self, into: &mut Fold128) -> Option<Places> {
        let mut names = self.world.cas_names();
        if !self.world.fingerprint_of_servers(&mut names, into) {
            return None;
        }
        let places = self.places(&names, into);
        self.world.fingerprint_of_clients(&places, &mut names, into);
        let moment = self.next_moment();
        let mut flying: Vec<_> = self
            .flying
            .iter()
            .map(|flight| {
                let pending = self.world.pending(*flight);
                let alone = (!pending.current).then(|| self.world.command_hash(*flight));
                (self.renamed(pending.op, &places), pending.number, alone)
            })
            .collect();
        flying.sort_unstable();
        flying.hash(into);
        for flight in &self.locked {
            let pending = self.world.pending(*flight);
            (self.renamed(pending.op, &places), pending.number).hash(into);
        }
        let mut sleeping: Vec<_> = self
            .sleeping
            .iter()
            .map(|(at, sleeper)| {
                // Rounded up to what clients see of the time.
                let left = at.0.saturating_sub(moment.0).div_ceil(1_000);
                match sleeper {
                    Sleeper::Step(flight) => {
                        let pending = self.world.pending(*flight);
                        (left, self.renamed(pending.op, &places).0, pending.number)
                    }
                    Sleeper::Client(client) => (left, places.place_of(*client) as u64, u32::MAX),
                }
            })
            .collect();
        sleeping.sort_unstable();
        sleeping.hash(into);
        for work in self.background.iter().flatten() {
            (work.waiting, work.dirty).hash(into);
            for (location, _) in work.looked_at.iter().flat_map(|f| f.entries()) {
                location.hash(into);
            }
        }
        for place in 0..self.invoked.len() {
            self.invoked[places.client_at(place)].hash(into);
        }
        self.lasting.hash(into);
        (self.bounds.faults, self.bounds.advances, self.hanging.len()).hash(into);
        let open: Vec<_> = (0..self.invoked.len())
            .filter(|client| self.invoked[*client] && self.world.is_busy(*client))
            .map(|client| self.world.op_of(client))
            .collect();
        let history = self.world.history();
        self.monitor.fingerprint(history, &open, &places, into);
        if self.monitor.names_hazards() {
            let keeps_some_out = |rule: u16| {
                let fault = self.world.fault(rule);
                fault.what.lasts() && fault.clients.is_some()
            };
            for fault in history.faults.iter().filter(|fault| keeps_some_out(fault.rule)) {
                story::reached(history, fault.at, into);
            }
        }
        into.write_u8(u8::from(self.deadlocks > 0));
        Some(places)
    }
}
