//! When the steps of a schedule can have happened, where that decides what happens.
//!
//! A step takes effect, and its answer arrives, between its sending and its timeout; a pause has
//! its length, and so has a replica's lag; an item of TTL n is gone at the tick of its node that
//! lies more than n - 1 and at most n seconds after it was stored. A schedule is *feasible* when
//! moments can be given to its choices so that all of that holds. The clock keeps the set of all
//! such moments, as a [`Zone`]; a choice for which none would be left is not offered. Expiry and
//! lag are outcomes of the steps that observe them: nothing here moves on by itself.

use super::zone::Zone;
use crate::step::{Key, NodeId};

/// A second, in the nanoseconds of a zone.
pub(super) const SECOND: i64 = 1_000_000_000;
/// Ticks at which an item could be gone, of a node whose ticks are known, at the most. Beyond
/// that its tick counts as unknown, which takes more schedules for feasible.
const TICKS_MAX: i64 = 16;

/// A moment of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Var {
    /// Of the last choice.
    Now,
    /// Of the choice that is being made.
    Next,
    /// Of an earlier choice, by its number; the start is 0.
    Moment(u32),
    /// At which a client was told something, by the number of that; what it sends next is sent
    /// then.
    Told(usize, u32),
    /// At which an item's TTL began.
    Stored(u32),
    /// At which a node's clock ticks.
    Tick(NodeId),
    /// Of a commit.
    Commit(u32),
}

/// When a step under way can take effect, and its answer arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    pub flight: usize,
    /// When what led to it was told.
    pub since: Var,
    /// The pause before it is sent.
    pub after: i64,
    /// How long its caller waits; `None` when nothing bounds it.
    pub timeout: Option<i64>,
}

impl Window {
    /// The latest moment, counted from `since`: before the timeout, or at once.
    fn latest(&self) -> Option<i64> {
        let timeout = self.timeout?;
        Some(self.after + if timeout == 0 { 0 } else { timeout - 1 })
    }
}

/// An item that will be gone by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    pub id: u32,
    pub node: NodeId,
    pub key: Key,
    pub seconds: i64,
    /// At which tick after the one that is known, where an observation has told.
    pub tick: Option<i64>,
}

impl Item {
    /// The first and the last moment at which it can go, counted from when its TTL began.
    fn span(&self) -> (i64, i64) {
        ((self.seconds - 1) * SECOND + 1, self.seconds * SECOND)
    }
}

/// A commit that a lagging replica may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Commit {
    pub id: u32,
    pub row: crate::step::RowId,
}

/// The only step that the next choice may be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Only {
    pub flight: usize,
    /// Its moment is that of the last choice.
    pub now: bool,
}

/// What a step may find of an item that it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// It cannot be gone.
    Alive,
    /// It cannot be there.
    Expired,
    /// Either, by these ticks of the node: whether it is gone, and the tick.
    Either(Vec<(bool, i64)>),
}

/// All moments that a schedule can have had.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Clock {
    pub zone: Zone<Var>,
    /// By client: how often it was told something, and for how long it has paused since.
    pub told: Vec<(u32, i64)>,
    pub windows: Vec<Window>,
    pub items: Vec<Item>,
    pub commits: Vec<Commit>,
    pub only: Option<Only>,
    /// Whether items are followed.
    pub expires: bool,
    /// All moments are kept, to be told in the end.
    pub solves: bool,
    pub ids: u32,
    pub moments: u32,
}

impl Clock {
    /// All clients begin together.
    pub fn new(clients: usize, expires: bool, solves: bool) -> Clock {
        let mut zone = Zone::of(Var::Now);
        if solves {
            zone.add_equal(Var::Moment(0), Var::Now);
        }
        (0..clients).for_each(|client| zone.add_equal(Var::Told(client, 0), Var::Now));
        Clock {
            zone,
            told: vec![(0, 0); clients],
            windows: Vec::new(),
            items: Vec::new(),
            commits: Vec::new(),
            only: None,
            expires,
            solves,
            ids: 0,
            moments: 0,
        }
    }

    pub fn window(&self, flight: usize) -> Option<&Window> {
        self.windows.iter().find(|window| window.flight == flight)
    }

    /// The moments of a choice: after the last one, and in the window of the step that it is
    /// about; with `in_time` before any other step is overdue. `None` when there are none.
    pub fn next(&self, flight: Option<usize>, in_time: bool) -> Option<Zone<Var>> {
        let mut zone = self.zone.clone();
        zone.add(Var::Next);
        if self.only.is_some_and(|only| only.now) {
            let same = zone.bound(Var::Now, Var::Next, 0) && zone.bound(Var::Next, Var::Now, 0);
            return same.then_some(zone);
        }
        // No two choices of a solution have one moment: which comes first is told from them.
        let mut any = zone.bound(Var::Now, Var::Next, -i64::from(self.solves));
        if let Some(own) = flight.and_then(|flight| self.window(flight)) {
            any = any && zone.bound(own.since, Var::Next, -own.after);
            any = any && own.latest().is_none_or(|most| zone.bound(Var::Next, own.since, most));
        }
        let others = self.windows.iter().filter(|other| in_time && Some(other.flight) != flight);
        for other in others {
            any = any && other.latest().is_none_or(|most| zone.bound(Var::Next, other.since, most));
        }
        any.then_some(zone)
    }

    /// Only moments at which these clients have been told what they were told.
    pub fn told_before(&self, mut zone: Zone<Var>, clients: Vec<usize>) -> Option<Zone<Var>> {
        let told = clients.into_iter().map(|client| Var::Told(client, self.told[client].0));
        let mut told = told.filter(|told| self.zone.has(*told));
        told.all(|told| zone.bound(told, Var::Next, 0)).then_some(zone)
    }

    /// Only moments before a client's pause is over.
    pub fn before_begin(&self, mut zone: Zone<Var>, client: usize) -> Option<Zone<Var>> {
        let (count, pause) = self.told[client];
        zone.bound(Var::Next, Var::Told(client, count), pause - 1).then_some(zone)
    }

    /// Only moments after a client's pause is over.
    pub fn at_begin(&self, mut zone: Zone<Var>, client: usize) -> Option<Zone<Var>> {
        let (count, pause) = self.told[client];
        zone.bound(Var::Told(client, count), Var::Next, -pause).then_some(zone)
    }

    /// The choice was made at one of these moments.
    pub fn move_to(&mut self, zone: Zone<Var>) {
        self.zone = zone;
        match self.solves {
            true => self.zone.rename(Var::Now, Var::Moment(self.moments)),
            false => self.zone.remove(Var::Now),
        }
        self.zone.rename(Var::Next, Var::Now);
        self.moments += 1;
    }

    /// The same moment as the last choice.
    pub fn stay(&mut self) {
        let mut zone = self.zone.clone();
        zone.add_equal(Var::Next, Var::Now);
        self.move_to(zone);
    }

    /// An item that a step at `Var::Next` is about.
    pub fn expiry(&self, zone: &Zone<Var>, item: &Item) -> Expiry {
        let stored = Var::Stored(item.id);
        let (first, last) = item.span();
        if zone.most(Var::Next, stored).is_some_and(|most| most < first) {
            return Expiry::Alive;
        }
        if zone.least(Var::Next, stored).is_some_and(|least| least >= last) {
            return Expiry::Expired;
        }
        let either =
            self.ticks(zone, item).into_iter().flat_map(|tick| [(false, tick), (true, tick)]);
        let possible =
            |(gone, tick): &(bool, i64)| self.observe(zone.clone(), item, *gone, *tick).is_some();
        Expiry::Either(either.filter(possible).collect())
    }

    /// At which ticks of its node an item may be gone, counted from the one that is known.
    fn ticks(&self, zone: &Zone<Var>, item: &Item) -> Vec<i64> {
        let tick = Var::Tick(item.node);
        if let Some(known) = item.tick {
            return vec![known];
        }
        if !zone.has(tick) {
            return vec![0];
        }
        let stored = Var::Stored(item.id);
        let (first, last) = item.span();
        let span = zone.most(tick, stored).zip(zone.most(stored, tick));
        let ticks = span.map(|(later, earlier)| {
            (first - later).div_euclid(SECOND)..=(last + earlier).div_euclid(SECOND)
        });
        match ticks {
            Some(ticks) if ticks.end() - ticks.start() < TICKS_MAX => ticks.collect(),
            _ => vec![UNKNOWN],
        }
    }

    /// Only moments at which a step at `Var::Next` finds an item gone, or there, when the item
    /// goes at this tick.
    pub fn observe(
        &self,
        mut zone: Zone<Var>,
        item: &Item,
        gone: bool,
        tick: i64,
    ) -> Option<Zone<Var>> {
        let stored = Var::Stored(item.id);
        let (first, last) = item.span();
        let any = if tick == UNKNOWN {
            match gone {
                false => zone.bound(Var::Next, stored, last - 1),
                true => zone.bound(stored, Var::Next, -first),
            }
        } else {
            let known = Var::Tick(item.node);
            if !zone.has(known) {
                zone.add(known);
            }
            let offset = tick * SECOND;
            zone.bound(known, stored, last - offset)
                && zone.bound(stored, known, offset - first)
                && match gone {
                    false => zone.bound(Var::Next, known, offset - 1),
                    true => zone.bound(known, Var::Next, -offset),
                }
        };
        any.then_some(zone)
    }

    /// Only moments at which a read at `Var::Next` finds the first `seen` of these commits on a
    /// replica that is so far behind.
    pub fn see(
        &self,
        mut zone: Zone<Var>,
        commits: &[u32],
        seen: usize,
        lag: i64,
    ) -> Option<Zone<Var>> {
        let (old, new) = commits.split_at(seen);
        let any = old.last().is_none_or(|id| zone.bound(Var::Commit(*id), Var::Next, -lag))
            && new.first().is_none_or(|id| zone.bound(Var::Next, Var::Commit(*id), lag - 1));
        any.then_some(zone)
    }

    /// A client is told something: the answer of a step, or that none came in time.
    pub fn tell(&mut self, client: usize, flight: usize, answered: bool) {
        let window = self.window(flight).copied();
        let (before, told) = self.new_told(client);
        let mut any = self.zone.bound(Var::Now, told, 0);
        if self.zone.has(before) {
            any = any && self.zone.bound(before, told, 0);
        }
        if let Some((window, latest)) = window.and_then(|window| Some((window, window.latest()?))) {
            // Whoever waits in vain does so until the timeout.
            let waited = i64::from(!answered && window.timeout != Some(0));
            any = any && self.zone.bound(told, window.since, latest + waited);
        }
        debug_assert!(any, "an answer can come when its step took effect");
    }

    /// A client begins anew now.
    pub fn tell_now(&mut self, client: usize) {
        let (_, told) = self.new_told(client);
        let any = self.zone.bound(Var::Now, told, 0) && self.zone.bound(told, Var::Now, 0);
        debug_assert!(any, "of a new variable nothing else is known");
    }

    fn new_told(&mut self, client: usize) -> (Var, Var) {
        let (count, pause) = &mut self.told[client];
        let before = Var::Told(client, *count);
        *count += 1;
        *pause = 0;
        let told = Var::Told(client, *count);
        self.zone.add(told);
        (before, told)
    }

    /// A step sets out; `late` is by how much it takes effect after its caller gave up.
    pub fn send(&mut self, client: usize, flight: usize, timeout: Option<i64>, late: i64) {
        let (count, pause) = self.told[client];
        let since = Var::Told(client, count);
        self.windows.retain(|window| window.flight != flight);
        self.windows.push(Window { flight, since, after: pause + late, timeout });
    }

    /// Nothing bounds when a step takes effect any more.
    pub fn lift(&mut self, flight: usize) {
        for window in self.windows.iter_mut().filter(|window| window.flight == flight) {
            window.timeout = None;
        }
    }

    /// An item's TTL begins now.
    pub fn store(&mut self, node: NodeId, key: &Key, seconds: i64) {
        self.forget(node, key);
        self.ids += 1;
        let (id, key) = (self.ids, key.clone());
        self.zone.add_equal(Var::Stored(id), Var::Now);
        self.items.push(Item { id, node, key, seconds, tick: None });
    }

    pub fn item(&self, node: NodeId, key: &Key) -> Option<&Item> {
        self.items.iter().find(|item| item.node == node && item.key == *key)
    }

    /// An item is gone, or will not go by itself any more.
    pub fn forget(&mut self, node: NodeId, key: &Key) {
        if let Some(place) = self.items.iter().position(|i| i.node == node && i.key == *key) {
            let item = self.items.remove(place);
            self.leave_out(Var::Stored(item.id));
        }
    }

    /// The clocks of some nodes begin anew, and what the nodes held is gone.
    pub fn restart(&mut self, is_restarted: impl Fn(NodeId) -> bool) {
        let restarted = |var: &Var| matches!(var, Var::Tick(node) if is_restarted(*node));
        let ticks: Vec<Var> = self.zone.vars().iter().copied().filter(restarted).collect();
        ticks.into_iter().for_each(|tick| self.leave_out(tick));
    }

    fn leave_out(&mut self, var: Var) {
        match (self.solves, var) {
            (false, _) => self.zone.remove(var),
            // The ticks of its next life are others.
            (true, Var::Tick(_)) => self.zone.rename(var, Var::Tick(NodeId(u16::MAX))),
            (true, _) => {}
        }
    }

    /// A row was committed now.
    pub fn commit(&mut self, row: crate::step::RowId) {
        self.ids += 1;
        self.zone.add_equal(Var::Commit(self.ids), Var::Now);
        self.commits.push(Commit { id: self.ids, row });
    }

    /// Forgets what no later step can ask about: of commits what the replica has for sure, of
    /// what was told that from which no window counts. `busy` says whether a client's next
    /// answer has to come after the last.
    pub fn tidy(&mut self, lag: Option<i64>, busy: impl Fn(usize) -> bool) {
        if let Some(lag) = lag {
            let zone = &self.zone;
            let open = |commit: &Commit| {
                zone.least(Var::Now, Var::Commit(commit.id)).is_none_or(|since| since < lag)
            };
            let seen: Vec<Commit> = self.commits.iter().copied().filter(|c| !open(c)).collect();
            self.commits.retain(|commit| !seen.contains(commit));
            seen.iter().for_each(|commit| self.leave_out(Var::Commit(commit.id)));
        }
        let counts = |client: usize, count: u32| {
            let var = Var::Told(client, count);
            (self.told[client].0 == count && busy(client))
                || self.windows.iter().any(|window| window.since == var)
        };
        let told = self.zone.vars().iter().copied();
        let over: Vec<Var> = told
            .filter(|var| matches!(var, Var::Told(client, count) if !counts(*client, *count)))
            .collect();
        over.into_iter().for_each(|var| self.leave_out(var));
    }

    /// Items that cannot be there any more.
    pub fn over(&self) -> Vec<(NodeId, Key)> {
        let is_over = |item: &&Item| {
            let since = self.zone.least(Var::Now, Var::Stored(item.id));
            since.is_some_and(|since| since >= item.span().1)
        };
        self.items.iter().filter(is_over).map(|item| (item.node, item.key.clone())).collect()
    }

    /// All variables, those of clients in the order of these places.
    pub fn in_order(&self, place_of: impl Fn(usize) -> usize) -> Vec<Var> {
        let item = |id: u32| self.items.iter().find(|item| item.id == id);
        let commit = |id: u32| self.commits.iter().position(|commit| commit.id == id);
        let mut vars = self.zone.vars().to_vec();
        vars.sort_by_cached_key(|var| match *var {
            Var::Now | Var::Next | Var::Moment(_) => (0, 0, 0, None),
            Var::Told(client, count) => (1, place_of(client), count, None),
            Var::Stored(id) => (2, 0, 0, item(id).map(|item| (item.node, item.key.clone()))),
            Var::Tick(node) => (3, usize::from(node.0), 0, None),
            Var::Commit(id) => (4, commit(id).unwrap_or(usize::MAX), id, None),
        });
        vars
    }

    /// What may still be there at the end is there.
    fn hold_items(&mut self) {
        for place in 0..self.items.len() {
            let item = self.items[place].clone();
            let mut zone = self.zone.clone();
            zone.add_equal(Var::Next, Var::Now);
            let Expiry::Either(either) = self.expiry(&zone, &item) else { continue };
            let there = either.into_iter().find(|(gone, _)| !gone);
            if let Some((_, tick)) = there
                && let Some(mut held) = self.observe(zone, &item, false, tick)
            {
                held.remove(Var::Next);
                self.zone = held;
                self.items[place].tick = Some(tick);
            }
        }
    }

    /// The earliest moments of all choices, and by node how far its clock was into its second at
    /// the start: one solution of all that bounds them.
    pub fn solution(&self, nodes: usize) -> (Vec<u64>, Vec<u64>) {
        let mut clock = self.clone();
        clock.hold_items();
        clock.earliest(nodes)
    }

    fn earliest(&self, nodes: usize) -> (Vec<u64>, Vec<u64>) {
        let after = |var| self.zone.least(var, Var::Moment(0)).unwrap_or(0);
        let moment = |number| match number == self.moments {
            true => after(Var::Now),
            false => after(Var::Moment(number)),
        };
        let phase = |node: usize| {
            let tick = Var::Tick(NodeId(node as u16));
            self.zone.has(tick).then(|| (-after(tick)).rem_euclid(SECOND) as u64)
        };
        let unknown = SECOND as u64 / 2;
        let phases = (0..nodes).map(|node| phase(node).unwrap_or(unknown)).collect();
        ((1..=self.moments).map(|number| moment(number) as u64).collect(), phases)
    }
}

/// A tick whose place among the others is not known.
pub(super) const UNKNOWN: i64 = i64::MAX;
