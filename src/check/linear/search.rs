//! A search with a limit, for values that were written several times (NP-complete in general:
//! Gibbons and Korach).
//!
//! Just-in-time linearization (Lowe, "Testing for linearizability", CPE 29(4)): a write is
//! placed only when an operation that returns requires it. A configuration is the value now
//! and, of the operations that are open, those already placed. What keeps it small is exact:
//!
//! - a read that is open is placed as soon as the value is right, which changes nothing;
//! - of the open writes of one value the one with the earliest deadline goes first, since two
//!   of them could be exchanged;
//! - a value that no later read returns is *dead*: its writes are placed just in front of
//!   whatever write comes next, where nobody sees them, and as the last resort when they
//!   return; dead values are one value; dead writes of unknown outcome are left out;
//! - a value that is written once and whose reads have not all begun cannot be overwritten.
//!
//! Where no operation is open only the value is left, so quiet moments cut the search.

use rustc_hash::FxHashSet;

use crate::history::log::{Kind, Op, Value};
use crate::operation::Outcome;
use crate::time::Time;

/// What the search found out.
pub(super) enum Found {
    /// This order explains everything.
    Order(Vec<usize>),
    /// No order does; this is how far the search came.
    Nothing(Time),
    /// The limit was reached.
    Limit(u64),
}

/// Configurations that are followed together; the rest wait.
const BATCH: usize = 512;
/// Stands for every value that no later read returns.
const DEAD: u32 = u32::MAX;
/// No operation was placed before.
const ROOT: u32 = u32::MAX;

/// Searches for an order, visiting at most `limit` configurations.
pub(super) fn search(ops: &[Op], initial: Value, limit: u64) -> Found {
    let events = Events::new(ops);
    match events.slots.div_ceil(64) {
        0..=1 => Search::<1>::new(ops, &events, limit).run(initial),
        2..=4 => Search::<4>::new(ops, &events, limit).run(initial),
        5..=32 => Search::<32>::new(ops, &events, limit).run(initial),
        _ => Found::Limit(0),
    }
}

/// The operations' openings and ends in time order, and what is the same for every order.
struct Events {
    /// Place of the operation, and whether it opens.
    list: Vec<(u32, bool)>,
    /// By place: the bit of the operation while it is open.
    slot: Vec<u16>,
    /// Bits needed.
    slots: usize,
    /// By value: the event at which the last read of it ends; 0 if there is none.
    last_read: Vec<u32>,
    /// By value: the event at which the last read of it begins.
    last_opening: Vec<u32>,
    /// By value: whether it is written at most once, the start not counted.
    once: Vec<bool>,
}

impl Events {
    fn new(ops: &[Op]) -> Events {
        let values = ops.iter().map(|op| op.value.0).max().unwrap_or(0) as usize + 1;
        let mut timed = Vec::with_capacity(2 * ops.len());
        for (place, op) in ops.iter().enumerate().filter(|(_, op)| op.has_read() || op.may_write())
        {
            timed.push((op.start, false, place as u32));
            if op.outcome == Outcome::Ok {
                timed.push((op.end, true, place as u32));
            }
        }
        timed.sort_unstable();
        let list: Vec<(u32, bool)> = timed.iter().map(|(_, ends, p)| (*p, !ends)).collect();
        let mut events = Events {
            slot: vec![0; ops.len()],
            slots: 0,
            last_read: vec![0; values],
            last_opening: vec![0; values],
            once: vec![true; values],
            list,
        };
        let mut written = vec![false; values];
        for (number, (place, opens)) in events.list.iter().enumerate() {
            let op = &ops[*place as usize];
            let value = op.value.0 as usize;
            match (op.kind, opens) {
                (Kind::Read, true) => events.last_opening[value] = number as u32,
                (Kind::Read, false) => events.last_read[value] = number as u32,
                (Kind::Write, true) => {
                    events.once[value] &= !written[value];
                    written[value] = true;
                }
                (Kind::Write, false) => {}
            }
        }
        events.assign_slots(ops);
        events
    }

    /// Whether an unknown write can be left out: nobody reads its value later.
    fn needless(&self, op: &Op, event: usize) -> bool {
        op.outcome == Outcome::Unknown && self.is_dead(op.value.0, event)
    }

    fn is_dead(&self, value: u32, event: usize) -> bool {
        (self.last_read[value as usize] as usize) < event.max(1)
    }

    fn assign_slots(&mut self, ops: &[Op]) {
        let mut free: Vec<u16> = Vec::new();
        for event in 0..self.list.len() {
            let (place, opens) = self.list[event];
            let op = &ops[place as usize];
            if opens && !self.needless(op, event) {
                self.slot[place as usize] = free.pop().unwrap_or_else(|| {
                    self.slots += 1;
                    u16::try_from(self.slots - 1).unwrap_or(u16::MAX)
                });
            } else if !opens {
                free.push(self.slot[place as usize]);
            }
        }
    }
}

/// The value now and the open operations that are placed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State<const W: usize> {
    value: u32,
    done: [u64; W],
}

impl<const W: usize> State<W> {
    fn has(&self, slot: u16) -> bool {
        self.done[usize::from(slot) / 64] >> (slot % 64) & 1 == 1
    }

    fn set(&mut self, slot: u16) {
        self.done[usize::from(slot) / 64] |= 1 << (slot % 64);
    }

    fn clear(&mut self, slot: u16) {
        self.done[usize::from(slot) / 64] &= !(1 << (slot % 64));
    }
}

/// A state and how it was reached.
#[derive(Clone, Copy)]
struct Config<const W: usize> {
    state: State<W>,
    path: u32,
}

struct Search<'a, const W: usize> {
    ops: &'a [Op],
    events: &'a Events,
    /// The operations open at the event `at`.
    open: Vec<u32>,
    at: usize,
    /// Writes placed: the one before, the write, the event.
    path: Vec<(u32, u32, u32)>,
    /// Configurations seen while others wait, so that none is followed twice.
    seen: FxHashSet<(u32, State<W>)>,
    visited: u64,
    limit: u64,
    furthest: usize,
}

impl<'a, const W: usize> Search<'a, W> {
    fn new(ops: &'a [Op], events: &'a Events, limit: u64) -> Self {
        Search {
            ops,
            events,
            open: Vec::new(),
            at: 0,
            path: Vec::new(),
            seen: FxHashSet::default(),
            visited: 0,
            limit,
            furthest: 0,
        }
    }

    fn run(mut self, initial: Value) -> Found {
        let state = State { value: self.canonical(initial.0, 0), done: [0; W] };
        let mut waiting = vec![(0, vec![Config { state, path: ROOT }])];
        while let Some((event, batch)) = waiting.pop() {
            self.go_to(event);
            let alone = waiting.is_empty();
            if alone {
                self.seen.clear();
            }
            let mut batch = batch;
            while self.at < self.events.list.len() && !batch.is_empty() {
                batch = self.step(batch);
                if self.visited > self.limit {
                    return Found::Limit(self.visited);
                }
                if batch.len() > BATCH {
                    let rest = batch.split_off(BATCH);
                    waiting.push((self.at, rest));
                }
                if !waiting.is_empty() {
                    let (at, seen) = (self.at as u32, &mut self.seen);
                    batch.retain(|config| seen.insert((at, config.state)));
                }
            }
            if let Some(config) = batch.first() {
                return Found::Order(self.order(initial, config.path));
            }
        }
        let last = self.events.list.get(self.furthest).map(|(place, _)| *place);
        Found::Nothing(last.map_or(Time::ZERO, |place| self.ops[place as usize].end))
    }

    /// The value, or that it is dead.
    fn canonical(&self, value: u32, event: usize) -> u32 {
        let known = (value as usize) < self.events.last_read.len();
        if known && !self.events.is_dead(value, event) { value } else { DEAD }
    }

    /// Makes `open` what is open before an event.
    fn go_to(&mut self, event: usize) {
        while self.at > event {
            self.at -= 1;
            let (place, opens) = self.events.list[self.at];
            match opens {
                true => self.open.retain(|other| *other != place),
                false => self.open.push(place),
            }
        }
    }

    /// Takes all configurations over one event.
    fn step(&mut self, batch: Vec<Config<W>>) -> Vec<Config<W>> {
        let event = self.at;
        let (place, opens) = self.events.list[event];
        let op = self.ops[place as usize];
        self.furthest = self.furthest.max(event);
        self.visited += batch.len() as u64;
        let mut batch = batch;
        if opens {
            self.open.push(place);
            if op.kind == Kind::Read {
                let slot = self.events.slot[place as usize];
                for config in batch.iter_mut().filter(|c| c.state.value == op.value.0) {
                    config.state.set(slot);
                }
            }
        } else {
            batch = self.returns(&batch, place, op);
            self.open.retain(|other| *other != place);
            if op.kind == Kind::Read && self.events.last_read[op.value.0 as usize] == event as u32 {
                self.dies(&mut batch, op.value);
            }
        }
        self.at += 1;
        batch
    }

    /// Nobody reads the value from here on: its states become one.
    fn dies(&self, batch: &mut Vec<Config<W>>, value: Value) {
        let slots: Vec<u16> = self
            .open
            .iter()
            .filter(|place| {
                let op = &self.ops[**place as usize];
                op.value == value && op.outcome == Outcome::Unknown
            })
            .map(|place| self.events.slot[*place as usize])
            .collect();
        let mut seen = FxHashSet::default();
        batch.retain_mut(|config| {
            if config.state.value == value.0 {
                config.state.value = DEAD;
            }
            slots.iter().for_each(|slot| config.state.clear(*slot));
            seen.insert(config.state)
        });
    }

    /// An operation returns: every configuration must have placed it, or place it now.
    fn returns(&mut self, batch: &[Config<W>], place: u32, op: Op) -> Vec<Config<W>> {
        let slot = self.events.slot[place as usize];
        let mut next = Vec::new();
        let mut known = FxHashSet::default();
        let mut on_the_way = FxHashSet::default();
        let mut todo: Vec<Config<W>> = batch.to_vec();
        while let Some(config) = todo.pop() {
            if config.state.has(slot) {
                let mut config = config;
                config.state.clear(slot);
                if known.insert(config.state) {
                    next.push(config);
                }
                continue;
            }
            if !on_the_way.insert(config.state) {
                continue;
            }
            self.visited += 1;
            if self.visited > self.limit {
                break;
            }
            self.fire_each(&config, place, op, &mut todo);
        }
        next
    }

    /// The configurations after each write that could be placed next.
    fn fire_each(&mut self, config: &Config<W>, due: u32, due_op: Op, out: &mut Vec<Config<W>>) {
        let mut candidates: Vec<(u32, Time, u32)> = Vec::new();
        for place in &self.open {
            let op = &self.ops[*place as usize];
            let dead = self.events.is_dead(op.value.0, self.at);
            let placed = config.state.has(self.events.slot[*place as usize]);
            if op.kind == Kind::Read || (dead && *place != due) || placed {
                continue;
            }
            if self.must_stay(op.value) && *place != due && op.value != due_op.value {
                continue;
            }
            candidates.push((op.value.0, op.deadline(), *place));
        }
        candidates.sort_unstable();
        candidates.dedup_by_key(|(value, ..)| *value);
        // The likeliest last, since it is taken up first: the one that returns soonest.
        candidates
            .sort_unstable_by_key(|(_, deadline, place)| std::cmp::Reverse((*deadline, *place)));
        for (_, _, place) in candidates {
            out.push(self.fire(config, place));
        }
    }

    /// Whether a value that is placed now must stay until a read that has not begun.
    fn must_stay(&self, value: Value) -> bool {
        let value = value.0 as usize;
        self.events.once[value] && self.events.last_opening[value] as usize > self.at
    }

    fn fire(&mut self, config: &Config<W>, write: u32) -> Config<W> {
        let value = self.ops[write as usize].value;
        let mut state = config.state;
        state.value = self.canonical(value.0, self.at);
        state.set(self.events.slot[write as usize]);
        for place in &self.open {
            let op = &self.ops[*place as usize];
            let served = op.kind == Kind::Read && op.value == value;
            let hidden = op.kind == Kind::Write
                && op.outcome == Outcome::Ok
                && self.events.is_dead(op.value.0, self.at);
            if served || hidden {
                state.set(self.events.slot[*place as usize]);
            }
        }
        let path = u32::try_from(self.path.len()).expect("the limit is below 2^32");
        self.path.push((config.path, write, self.at as u32));
        Config { state, path }
    }

    /// Replays the writes of a path, and places reads and dead writes where they fit.
    fn order(&self, initial: Value, path: u32) -> Vec<usize> {
        let mut fired = Vec::new();
        let mut node = path;
        while node != ROOT {
            let (before, write, event) = self.path[node as usize];
            fired.push((event as usize, write));
            node = before;
        }
        let mut fired = fired.into_iter().rev().peekable();
        let mut placed = vec![false; self.ops.len()];
        let mut order = Vec::new();
        let mut open: Vec<u32> = Vec::new();
        let mut now = initial;
        for (event, (place, opens)) in self.events.list.iter().enumerate() {
            let reads = |place: u32, value: Value| {
                let op = &self.ops[place as usize];
                op.kind == Kind::Read && op.value == value
            };
            if *opens {
                open.push(*place);
                if reads(*place, now) {
                    placed[*place as usize] = true;
                    order.push(*place as usize);
                }
                continue;
            }
            while let Some((_, write)) = fired.next_if(|(at, _)| *at == event) {
                let dead = |place: u32| {
                    let op = &self.ops[place as usize];
                    op.kind == Kind::Write
                        && op.outcome == Outcome::Ok
                        && self.events.is_dead(op.value.0, event)
                };
                now = self.ops[write as usize].value;
                let hidden = open.iter().copied().filter(|p| *p != write && dead(*p));
                let served = open.iter().copied().filter(|p| reads(*p, now));
                for place in hidden.chain([write]).chain(served) {
                    if !std::mem::replace(&mut placed[place as usize], true) {
                        order.push(place as usize);
                    }
                }
            }
            open.retain(|other| other != place);
        }
        order
    }
}
