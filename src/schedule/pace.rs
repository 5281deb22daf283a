//! What a [`Stepper`] keeps of time: which moments its choices can have had, where that decides
//! what happens, and how long everything takes at the most, which says whether it decides.

use std::time::Duration;

use super::choice::Choice;
use super::clock::{Clock, Commit, Expiry, Item, Only, Var, Window};
use super::error::RunError;
use super::expiry::Stored;
use super::identity::Fold128;
use super::stepper::Stepper;
use super::symmetry::Places;
use super::terms::feed;
use super::zone::Zone;
use crate::fault::What;
use crate::history::record::StepKind;
use crate::operation::{ClientId, OpId};
use crate::step::{CacheCommand, Command, Key, NodeId};
use crate::time::Time;

/// How much of time a search looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timing {
    /// Only the order of choices: no pause is so long, and no TTL so short, that some order could
    /// not happen.
    #[default]
    Order,
    /// Pauses, timeouts and lags have their lengths; nothing expires.
    Pauses,
    /// Items expire too.
    Expiry,
}

/// How long things take at the most: from it follows how much of time has to be looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// By client and operation, the longest that it waits for answers, and the longest that it
    /// sleeps.
    operations: Vec<Vec<(u64, u64)>>,
    /// The shortest TTL of anything that was stored, in seconds.
    pub ttl: Option<i64>,
    /// Whether a pattern has asked for the time.
    pub asks_time: bool,
}

impl Extent {
    /// Of all that two searches saw.
    pub fn join(&mut self, other: &Extent) {
        for (client, operations) in other.operations.iter().enumerate() {
            for (number, longest) in operations.iter().enumerate() {
                self.note(OpId::new(ClientId(client as u32), number as u32 + 1), *longest);
            }
        }
        self.ttl = self.ttl.into_iter().chain(other.ttl).min();
        self.asks_time |= other.asks_time;
    }

    /// The longest that an operation waits for answers, and the longest that it sleeps.
    pub fn of(&self, op: OpId) -> (u64, u64) {
        let operations = self.operations.get(op.client().0 as usize);
        let own = operations.and_then(|of| of.get((op.number() as usize).checked_sub(1)?));
        own.copied().unwrap_or_default()
    }

    fn note(&mut self, op: OpId, (waits, sleeps): (u64, u64)) {
        let (client, number) = (op.client().0 as usize, op.number() as usize);
        if self.operations.len() <= client {
            self.operations.resize(client + 1, Vec::new());
        }
        let operations = &mut self.operations[client];
        if operations.len() < number {
            operations.resize(number, (0, 0));
        }
        if let Some(known) = number.checked_sub(1).map(|place| &mut operations[place]) {
            *known = (known.0.max(waits), known.1.max(sleeps));
        }
    }
}

/// What the times of a program are bounded by.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paces {
    pub timing: Timing,
    pub cache_timeout: Duration,
    pub database_timeout: Duration,
    pub lag: Option<Duration>,
    /// The moments of all choices are kept, to be told in the end.
    pub solves: bool,
}

/// Time for some steps in the memory of a process, one after the other.
const LOCAL_NANOS: i64 = 1_000;

pub(super) fn nanos(duration: Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 4)
}

impl Stepper<'_> {
    /// How long the caller of a step waits for its answer; steps in the memory of its own process
    /// take next to no time.
    fn timeout_of(&self, kind: StepKind) -> i64 {
        match kind {
            StepKind::Local => LOCAL_NANOS,
            kind if kind.is_cache() => nanos(self.paces.cache_timeout),
            _ => nanos(self.paces.database_timeout),
        }
    }

    /// Whether a rule delays a step so little that its caller still waits when it takes effect:
    /// that is a matter of when the step is chosen.
    pub(super) fn is_held_up(&self, rule: u16, flight: usize) -> bool {
        self.world.fault(rule).what == What::Delay && self.late_by(rule, flight).is_zero()
    }

    /// How long after its caller gave up a rule lets a step take effect.
    pub(super) fn late_by(&self, rule: u16, flight: usize) -> Duration {
        let fault = self.world.fault(rule);
        let delay = fault.delay.unwrap_or_default();
        match fault.what {
            What::Delay => {
                let timeout = self.timeout_of(self.world.pending(flight).kind);
                delay.saturating_sub(Duration::from_nanos(timeout as u64))
            }
            _ => delay,
        }
    }

    /// A choice as it can happen in time: itself, or what has to be said about time before it.
    pub(super) fn in_time(&self, choice: Choice, into: &mut Vec<Choice>) {
        let Some(clock) = &self.progress.clock else { return into.push(choice) };
        let flight = self.flight_of(choice);
        if clock.only.is_some_and(|only| Some(only.flight) != flight) {
            return;
        }
        let told = clock.only.is_some_and(|only| only.now);
        let takes_effect = flight.filter(|_| self.takes_effect(choice));
        if told && takes_effect.is_none() {
            return;
        }
        if let Some(zone) = self.moments_of(choice, flight) {
            match takes_effect.filter(|_| !told) {
                Some(flight) => self.outcomes(choice, flight, &zone, into),
                None => into.push(choice),
            }
        }
        if let (Some(flight), Choice::Step(op, step), None) = (flight, choice, clock.only)
            && self.progress.bounds.advances > 0
            && clock.window(flight).is_some_and(|window| window.timeout.is_some_and(|t| t > 0))
            && self.world.pending(flight).current
        {
            into.push(Choice::Late(op, step));
        }
    }

    /// What a step may find that depends on time, each as a choice of its own; the step itself
    /// where nothing does.
    fn outcomes(&self, choice: Choice, flight: usize, zone: &Zone<Var>, into: &mut Vec<Choice>) {
        let clock = self.progress.clock.as_ref().expect("there is one");
        let pending = self.world.pending(flight);
        let (op, step) = (pending.op, pending.number);
        if let Some((node, key)) = self.looks_at(flight)
            && let Some(item) = clock.item(node, key)
        {
            return match clock.expiry(zone, item) {
                Expiry::Alive => into.push(choice),
                Expiry::Expired => into.push(Choice::Expired(op, step, 0)),
                Expiry::Either(list) => into.extend(list.iter().map(|(gone, tick)| match gone {
                    true => Choice::Expired(op, step, *tick),
                    false => Choice::Alive(op, step, *tick),
                })),
            };
        }
        match self.lagging(flight) {
            Some((commits, lag)) if !commits.is_empty() => {
                let possible =
                    |seen: &usize| clock.see(zone.clone(), &commits, *seen, lag).is_some();
                let seen = (0..=commits.len()).filter(possible);
                into.extend(seen.map(|seen| Choice::Sees(op, step, seen as u32)));
            }
            _ => into.push(choice),
        }
    }

    /// Whether a choice lets the step that it is about take effect.
    fn takes_effect(&self, choice: Choice) -> bool {
        match choice {
            Choice::Step(..) | Choice::StrikeAfter(..) => true,
            Choice::Strike(rule, ..) => self.world.fault(rule).what == What::LoseReply,
            _ => false,
        }
    }

    /// The item of which a step can tell whether it has expired: a plain store cannot.
    fn looks_at(&self, flight: usize) -> Option<(NodeId, &Key)> {
        let flight = self.world.flight(flight);
        let Command::Cache(command) = &flight.command else { return None };
        let overwrites =
            matches!(command, CacheCommand::Store { verb: crate::step::Verb::Set, .. });
        command.key().filter(|_| !overwrites).map(|key| (flight.node, key))
    }

    /// Of a step that reads the lagging replica: the commits of its row that this may not have.
    fn lagging(&self, flight: usize) -> Option<(Vec<u32>, i64)> {
        let row = self.world.reads_replica(flight)?;
        let clock = self.progress.clock.as_ref()?;
        let of_row = clock.commits.iter().filter(|commit| commit.row == row);
        Some((of_row.map(|commit| commit.id).collect(), nanos(self.paces.lag?)))
    }

    /// The moments at which a choice can be made.
    fn moments_of(&self, choice: Choice, flight: Option<usize>) -> Option<Zone<Var>> {
        let clock = self.progress.clock.as_ref().expect("there is one");
        let zone = clock.next(flight, self.progress.bounds.advances == 0)?;
        let zone = self
            .outlive(choice)
            .into_iter()
            .try_fold(zone, |zone, client| clock.before_begin(zone, client))?;
        match choice {
            Choice::Begin(client) => clock.at_begin(zone, self.world.place_of_client(client)),
            _ => clock.told_before(zone, self.ended_by(choice, |client| !self.is_to_begin(client))),
        }
    }

    /// The step that a choice is about, where it is still under way.
    pub(super) fn flight_of(&self, choice: Choice) -> Option<usize> {
        match choice {
            Choice::Step(op, step)
            | Choice::Wake(op, step)
            | Choice::Strike(_, op, step)
            | Choice::StrikeAfter(_, op, step)
            | Choice::StrikeFlying(_, op, step)
            | Choice::Alive(op, step, _)
            | Choice::Expired(op, step, _)
            | Choice::Sees(op, step, _)
            | Choice::Late(op, step) => {
                let all = self.progress.flying.iter().chain(&self.progress.sleeping);
                all.copied().find(|flight| self.is_step(*flight, op, step))
            }
            _ => None,
        }
    }

    /// A choice is made: time comes to it. Says whether it was about time alone.
    pub(super) fn spend_time(&mut self, choice: Choice) -> Result<bool, RunError> {
        let place = self.progress.choices.len() - 1;
        let now = match self.moments.get(place) {
            Some(moment) => (*moment).max(self.world.now()),
            None => Time(self.world.now().0 + 1),
        };
        self.world.advance(now);
        let flight = self.flight_of(choice);
        if choice.is_about_time() {
            if let Some(flight) = flight {
                self.tell_time(choice, flight)?;
            }
            return Ok(true);
        }
        if self.progress.clock.is_some() {
            let zone = self.moments_of(choice, flight).ok_or_else(|| self.nothing_left())?;
            if let Some(clock) = &mut self.progress.clock {
                clock.move_to(zone);
                clock.only = None;
            }
        }
        Ok(false)
    }

    /// Takes something about time for true that the next choice depends on.
    fn tell_time(&mut self, choice: Choice, flight: usize) -> Result<(), RunError> {
        if let Choice::Late(..) = choice {
            self.progress.bounds.advances = self.progress.bounds.advances.saturating_sub(1);
            if let Some(clock) = &mut self.progress.clock {
                clock.stay();
                clock.lift(flight);
                clock.only = Some(Only { flight, now: false });
            }
            return Ok(());
        }
        let Some(clock) = &self.progress.clock else { return Ok(()) };
        let zone = self.moments_of(choice, Some(flight)).ok_or_else(|| self.nothing_left())?;
        let looked_at = self.looks_at(flight).map(|(node, key)| (node, key.clone()));
        let item = looked_at.as_ref().and_then(|(node, key)| clock.item(*node, key));
        let (mut told, mut seen) = (None, None);
        let zone = match choice {
            Choice::Alive(_, _, tick) | Choice::Expired(_, _, tick) => {
                let gone = matches!(choice, Choice::Expired(..));
                let item = item.ok_or_else(|| self.nothing_left())?;
                match clock.expiry(&zone, item) {
                    Expiry::Either(_) => {
                        told = Some(tick);
                        clock.observe(zone, item, gone, tick)
                    }
                    _ => Some(zone),
                }
            }
            Choice::Sees(_, _, count) => {
                let (commits, lag) = self.lagging(flight).ok_or_else(|| self.nothing_left())?;
                seen = Some(commits.len() - count as usize);
                clock.see(zone, &commits, count as usize, lag)
            }
            _ => unreachable!("the others are not about time"),
        };
        let zone = zone.ok_or_else(|| self.nothing_left())?;
        let clock = self.progress.clock.as_mut().expect("there is one");
        clock.move_to(zone);
        clock.only = Some(Only { flight, now: true });
        if let Some((node, key)) = looked_at {
            if let Some(item) = clock.items.iter_mut().find(|i| i.node == node && i.key == key) {
                item.tick = told.or(item.tick);
            }
            if matches!(choice, Choice::Expired(..)) {
                clock.forget(node, &key);
                self.world.expire_item(node, &key)?;
            }
        }
        if let Some(unseen) = seen {
            self.world.hide_commits(unseen);
        }
        Ok(())
    }

    /// A client is told how a step of its ended.
    pub(super) fn hear(&mut self, flight: usize, answered: bool) {
        let pending = self.world.pending(flight);
        if let Some(clock) = self.progress.clock.as_mut().filter(|_| pending.current) {
            clock.tell(pending.client, flight, answered);
        }
    }

    /// A step sets out.
    pub(super) fn send(&mut self, flight: usize, late: Option<Duration>) {
        let pending = self.world.pending(flight);
        let timeout = self.timeout_of(pending.kind);
        self.note_wait(pending.client, timeout as u64, 0);
        let Some(clock) = &mut self.progress.clock else { return };
        let bound = match late {
            None => Some(timeout),
            Some(delay) => (!delay.is_zero()).then_some(0),
        };
        clock.send(pending.client, flight, bound, late.map_or(0, nanos));
    }

    /// A client pauses before it sends what comes next.
    pub(super) fn pause(&mut self, client: usize, pause: Duration) {
        if let Some(clock) = &mut self.progress.clock {
            clock.told[client].1 += nanos(pause);
        }
    }

    /// An operation waits, or sleeps, for so long at the most.
    pub(super) fn note_wait(&mut self, client: usize, waits: u64, sleeps: u64) {
        let spent = &mut self.progress.spent[client];
        *spent = (spent.0.saturating_add(waits), spent.1.saturating_add(sleeps));
        if self.world.is_ordinary(client) {
            self.extent.note(self.world.op_of(client), *spent);
        }
    }

    /// Clients of this kind whose operations a choice ends: one that is cancelled, or all of a
    /// process that dies. Whose step the choice is about is left out.
    fn ended_by(&self, choice: Choice, is_meant: impl Fn(usize) -> bool) -> Vec<usize> {
        let (rule, victim, own) = match choice {
            Choice::StrikeClient(rule, client) => (rule, client, None),
            Choice::StrikeAfter(rule, op, _) | Choice::StrikeFlying(rule, op, _) => {
                (rule, op.client(), Some(op.client()))
            }
            _ => return Vec::new(),
        };
        let place = |client| self.world.place_of_client(client);
        let (victim, own) = (place(victim), own.map(place));
        let process = self.world.process_of(victim);
        let dies = self.world.fault(rule).what == What::Crash;
        let ends = |client: &usize| match dies {
            true => self.world.process_of(*client) == process,
            false => *client == victim,
        };
        let clients = (0..self.world.client_count()).filter(ends);
        clients.filter(|client| Some(*client) != own && is_meant(*client)).collect()
    }

    /// Clients whose next operations a choice lets outlive their process.
    fn outlive(&self, choice: Choice) -> Vec<usize> {
        self.ended_by(choice, |client| self.is_to_begin(client))
    }

    /// Of a process that dies, operations that have not begun: their clients begin them when they
    /// would have. Says whose these are.
    pub(super) fn put_back(&mut self, choice: Choice) -> Vec<usize> {
        let kept = self.outlive(choice);
        for client in &kept {
            self.world.put_back(*client);
            if let Some(clock) = &mut self.progress.clock {
                clock.told[*client].1 = 0;
            }
        }
        kept
    }

    /// What steps did that matters for time: what began to expire, what is gone, what was
    /// committed.
    pub(super) fn note_time(&mut self, executed: Option<&Stored>, commits: usize) {
        self.extent.asks_time |= self.world.has_asked_time();
        if let Some(stored) = executed {
            let known = self.extent.ttl.into_iter();
            self.extent.ttl = known.chain([stored.seconds]).min();
        }
        if self.progress.clock.is_none() {
            return;
        }
        self.follow_items(executed);
        let rows: Vec<_> = match self.paces.lag {
            Some(_) => {
                let history = self.world.history();
                let new = history.commits[commits..].iter();
                new.filter_map(|commit| history.rows.get(commit.key.0 as usize).copied().flatten())
                    .collect()
            }
            None => Vec::new(),
        };
        let lag = self.paces.lag.map(nanos);
        let Stepper { world, progress, .. } = self;
        let clock = progress.clock.as_mut().expect("there is one");
        rows.into_iter().for_each(|row| clock.commit(row));
        let (flying, sleeping) = (&progress.flying, &progress.sleeping);
        clock.windows.retain(|w| flying.contains(&w.flight) || sleeping.contains(&w.flight));
        let windows = clock.windows.clone();
        let outstanding = |client| windows.iter().any(|w| world.pending(w.flight).client == client);
        clock.tidy(lag, outstanding);
        for row in self.rows.iter().filter(|_| lag.is_some()) {
            let open = clock.commits.iter().filter(|commit| commit.row == *row).count();
            world.forget_commits(*row, open);
        }
    }

    /// The earliest moments of all choices so far, and by node how far its clock was into its
    /// second at the start.
    pub(crate) fn solution(&self, nodes: usize) -> Option<(Vec<u64>, Vec<u64>)> {
        self.progress.clock.as_ref().map(|clock| clock.solution(nodes))
    }

    /// Feeds all moments that a state can have come at, as differences, to a hasher.
    pub(super) fn fingerprint_clock(&self, places: &Places, into: &mut Fold128) {
        let Some(clock) = &self.progress.clock else { return };
        let Clock {
            zone,
            told,
            windows,
            items,
            commits,
            only,
            // The same for a whole search.
            expires: _,
            solves: _,
            // Numbers without a meaning: they give variables their names.
            ids: _,
            moments: _,
        } = clock;
        let order = clock.in_order(|client| places.place_of(client));
        for a in &order {
            let row: Vec<Option<i64>> = order.iter().map(|b| zone.most(*a, *b)).collect();
            feed("Clock.zone", &row, into);
        }
        let window = |Window { flight, since, after, timeout }: &Window| {
            let (op, number, _) = self.name(*flight, places);
            (op, number, *after, *timeout, order.iter().position(|var| var == since))
        };
        let mut windows: Vec<_> = windows.iter().map(window).collect();
        windows.sort_unstable();
        feed("Clock.windows", &windows, into);
        let item =
            |Item { id: _, node, key, seconds, tick }: &Item| (*node, key.clone(), *seconds, *tick);
        let mut items: Vec<_> = items.iter().map(item).collect();
        items.sort_unstable();
        feed("Clock.items", &items, into);
        let rows: Vec<_> = commits.iter().map(|Commit { id: _, row }| *row).collect();
        feed("Clock.commits", &rows, into);
        let only = only.map(|Only { flight, now }| (self.name(flight, places), now));
        feed("Clock.only", &only, into);
        // How often each was told something is a name too.
        let pauses: Vec<i64> = (0..told.len()).map(|at| told[places.client_at(at)].1).collect();
        feed("Clock.told", &pauses, into);
    }
}
