//! What can happen next in a world that is told everything.

use super::choice::Choice;
use super::stepper::Stepper;
use crate::fault::What;
use crate::operation::ProcessId;

impl Stepper<'_> {
    /// Everything that can happen next, in an order that depends on nothing but the state:
    /// first what costs nothing, then faults.
    pub fn options(&self) -> Vec<Choice> {
        let mut options = self.free_options();
        if self.progress.bounds.faults > 0 {
            options.append(&mut self.faults_in_time());
        }
        options
    }

    /// What costs nothing, in order; empty where time has run out for something.
    pub(super) fn free_options(&self) -> Vec<Choice> {
        let mut options = self.untimed_options();
        if options.is_empty() && !self.is_quiescent() {
            options.push(Choice::GiveUp);
        }
        self.in_time_only(options)
    }

    /// Faults that can strike now, in order.
    pub(super) fn faults_in_time(&self) -> Vec<Choice> {
        self.in_time_only(self.fault_options())
    }

    fn in_time_only(&self, mut options: Vec<Choice>) -> Vec<Choice> {
        options.sort_unstable();
        if self.progress.clock.is_none() {
            return options;
        }
        let mut timely = Vec::with_capacity(options.len() + 2);
        for option in options {
            self.in_time(option, &mut timely);
        }
        timely.sort_unstable();
        timely.dedup();
        timely
    }

    /// What costs nothing, whatever the time, in no particular order.
    fn untimed_options(&self) -> Vec<Choice> {
        let mut options = Vec::with_capacity(self.progress.flying.len() + 4);
        for flight in &self.progress.flying {
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
        for flight in &self.progress.sleeping {
            let pending = self.world.pending(*flight);
            options.push(Choice::Wake(pending.op, pending.number));
        }
        options.extend(self.beginnings());
        options
            .extend(self.progress.hanging.iter().map(|connection| Choice::Disconnect(*connection)));
        for (client, work) in self.progress.background.iter().enumerate() {
            if work.as_ref().is_some_and(|work| work.waiting && work.dirty) {
                let process = self.world.process_of(client) as u32;
                options.push(Choice::Tick(ProcessId(process)));
            }
        }
        let lasting = self.progress.lasting.iter().enumerate().filter(|(_, lasts)| **lasts);
        options.extend(lasting.map(|(rule, _)| Choice::Until(rule as u16)));
        options
    }

    /// Of clients that ask the same, the first that has not begun begins: every other schedule
    /// is one of these under other names.
    pub(super) fn waits_for_its_twin(&self, pending: &super::manual::Pending) -> bool {
        if !pending.current
            || self.progress.invoked[pending.client]
            || self.world.begun(pending.client) > 1
        {
            return false;
        }
        let Some(twin) = self.twins[pending.client] else { return false };
        self.world.begun(twin) == 1 && !self.progress.invoked[twin] && self.world.is_busy(twin)
    }

    /// A connection delivers in order.
    fn is_first(&self, flight: usize) -> bool {
        let own = self.world.flight(flight);
        !self.progress.flying.iter().any(|other| {
            let other = self.world.flight(*other);
            other.connection == own.connection && other.step < own.step
        })
    }

    /// Operations whose pauses can end, where that matters: one that has not begun outlives its
    /// process.
    fn beginnings(&self) -> impl Iterator<Item = Choice> + '_ {
        let rules = 0..self.progress.lasting.len() as u16;
        let crashes = self.progress.bounds.faults > 0
            && rules.into_iter().any(|rule| self.world.fault(rule).what == What::Crash);
        let clients = 0..if crashes { self.world.client_count() } else { 0 };
        let waits = |client: &usize| self.is_to_begin(*client);
        clients.filter(waits).map(|client| Choice::Begin(self.world.client_id(client)))
    }

    /// Whether a client pauses before its next operation.
    pub(super) fn is_to_begin(&self, client: usize) -> bool {
        self.world.is_ordinary(client)
            && self.world.is_busy(client)
            && !self.progress.invoked[client]
            && !self.progress.begun[client]
    }

    fn kept_out_by(&self, flight: usize) -> Option<u16> {
        let lasting = self.progress.lasting.iter().enumerate().filter(|(_, lasts)| **lasts);
        lasting.map(|(rule, _)| rule as u16).find(|rule| self.world.keeps_out(*rule, flight))
    }

    /// Whether a strike is that of a lasting fault, which was paid for when it began.
    pub(super) fn is_kept_out(&self, choice: Choice) -> bool {
        matches!(choice, Choice::Strike(rule, ..) if self.progress.lasting[usize::from(rule)])
    }

    /// Faults that can strike now, in no particular order.
    fn fault_options(&self) -> Vec<Choice> {
        let mut options = Vec::new();
        for rule in 0..self.progress.lasting.len() as u16 {
            let fault = self.world.fault(rule);
            match fault.what {
                What::Crash | What::Cancel => self.endings(rule, &mut options),
                what if what.strikes_steps() => self.strikes(rule, &mut options),
                what if what.lasts() => {
                    if !self.progress.lasting[usize::from(rule)] && !self.is_quiescent() {
                        options.push(Choice::From(rule));
                    }
                }
                _ => self.world_faults(rule, &mut options),
            }
        }
        options
    }

    fn strikes(&self, rule: u16, options: &mut Vec<Choice>) {
        for flight in self.progress.flying.iter().filter(|flight| self.is_first(**flight)) {
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
        for flight in self.progress.flying.iter().filter(|flight| self.is_first(**flight)) {
            let pending = self.world.pending(*flight);
            if !pending.current || !self.world.rule_matches(rule, *flight) {
                continue;
            }
            let invoked = self.progress.invoked[pending.client];
            if !crash && invoked {
                let client = self.world.client_id(pending.client);
                options.push(Choice::StrikeClient(rule, client));
            }
            // A reply that nobody waits for matters where its connection is used again.
            let leaves_something = pending.kind.writes() || self.world.reuses(pending.connection);
            if leaves_something && self.kept_out_by(*flight).is_none() {
                options.push(Choice::StrikeAfter(rule, pending.op, pending.number));
                options.push(Choice::StrikeFlying(rule, pending.op, pending.number));
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
        for client in 0..self.progress.invoked.len() {
            let process = self.world.process_of(client);
            if seen.contains(&process) {
                continue;
            }
            seen.push(process);
            let members =
                (0..self.progress.invoked.len()).filter(|m| self.world.process_of(*m) == process);
            let mut at_work =
                members.filter(|m| self.world.is_busy(*m) && self.progress.invoked[*m]);
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
            | Choice::Alive(op, ..)
            | Choice::Expired(op, ..)
            | Choice::Sees(op, ..)
            | Choice::Late(op, _)
            | Choice::Strike(_, op, _)
            | Choice::StrikeAfter(_, op, _)
            | Choice::StrikeFlying(_, op, _) => op.client(),
            Choice::Begin(client) | Choice::StrikeClient(_, client) => client,
            Choice::Tick(process) => crate::operation::ClientId::background(process),
            _ => return None,
        };
        Some(self.world.place_of_client(client))
    }
}
