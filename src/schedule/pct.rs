//! Priorities: of all that can happen, what belongs to the client of the highest priority.
//!
//! PCT (Burckhardt, Kothari, Musuvathi, Nagarakatte: A Randomized Scheduler with Probabilistic
//! Guarantees of Finding Bugs, ASPLOS 2010): each client has a random priority, and at d - 1
//! random moments the client that is about to go on falls below the others. A bug that needs d
//! ordering constraints is found with a chance of at least 1 / (n · k^(d-1)) a schedule, of n
//! clients and k choices.
//!
//! Futures need a rule of their own for clients that wait. An `.await` that is pending says
//! nothing: every step is one. Were each a yield, as naive ports have it, all clients would
//! take turns, and nothing that needs a long delay of one client would be found. But a client
//! that polls, or sleeps and looks again, would starve those that it waits for if it kept its
//! priority. So a client falls below all others when a sleep of its ends, and when it sends in
//! one operation a second time what only looks or takes a lock: the same kind of step on the
//! same key.

use rustc_hash::FxHashMap;

use super::choice::Choice;
use super::stepper::Stepper;
use crate::history::record::{KeyId, StepKind};
use crate::operation::OpId;
use crate::seed::{Purpose, Seed, below};

/// The most ordering constraints that are aimed at, and the fewest.
const DEPTH: std::ops::RangeInclusive<u64> = 2..=5;
/// Priorities at the start lie above this, those after a change point below it, down to half.
const HIGH: u64 = 1 << 63;
/// Those of clients that wait lie below this, and each lower than the one before.
const FLOOR: u64 = 1 << 62;

/// Clients and other sources of choices by number.
type Actor = u64;
/// What a step looks at, and how.
type Look = (StepKind, Option<KeyId>);

/// The state of a schedule by priorities.
pub(super) struct Priorities {
    seed: Seed,
    /// Moments at which whoever is about to go on falls, in order.
    changes: Vec<u64>,
    changed: FxHashMap<Actor, u64>,
    floor: u64,
    /// By client: looks of its current operation.
    looks: FxHashMap<usize, (OpId, Vec<Look>)>,
    /// By client: the step, or the end of a sleep, for which it fell.
    fell: FxHashMap<Actor, Choice>,
}

impl Priorities {
    /// Priorities for a schedule of about so many choices.
    pub fn new(seed: Seed, length: u64) -> Priorities {
        let span = DEPTH.end() - DEPTH.start() + 1;
        let depth = DEPTH.start() + below(seed.draw(Purpose::Priority, 0, 0), span);
        let moment = |number| below(seed.draw(Purpose::Priority, 1, number), length);
        let mut changes: Vec<u64> = (1..depth).map(moment).collect();
        changes.sort_unstable_by(|a, b| b.cmp(a));
        Priorities {
            seed,
            changes,
            changed: FxHashMap::default(),
            floor: FLOOR,
            looks: FxHashMap::default(),
            fell: FxHashMap::default(),
        }
    }

    fn of(&self, actor: Actor) -> u64 {
        let first = || self.seed.draw(Purpose::Priority, 2, actor) | HIGH;
        self.changed.get(&actor).copied().unwrap_or_else(first)
    }

    fn first(&self, stepper: &Stepper<'_>, options: &[Choice]) -> (Actor, Choice) {
        let all = options.iter().map(|option| (actor_of(stepper, *option), *option));
        let rank = |(actor, _): &(Actor, Choice)| (self.of(*actor), *actor);
        // Of several steps of one client the first: `max_by_key` would give the last.
        all.rev().max_by_key(rank).expect("there is a choice")
    }

    /// Which of these choices, in their order, happens at this moment.
    pub fn pick(&mut self, stepper: &Stepper<'_>, options: &[Choice], moment: u64) -> Choice {
        while self.changes.last().is_some_and(|change| *change <= moment) {
            self.changes.pop();
            let (actor, _) = self.first(stepper, options);
            let draw = self.seed.draw(Purpose::Priority, 3, self.changes.len() as u64);
            self.changed.insert(actor, (draw >> 2) | FLOOR);
        }
        loop {
            let (actor, choice) = self.first(stepper, options);
            if self.fell.get(&actor) == Some(&choice) || !self.waits(stepper, choice) {
                self.note(stepper, choice);
                return choice;
            }
            // It falls once for each step, so this ends after as many rounds as there are
            // choices.
            self.floor -= 1;
            self.changed.insert(actor, self.floor);
            self.fell.insert(actor, choice);
        }
    }

    /// Whether a choice is that of a client that waits for others.
    fn waits(&self, stepper: &Stepper<'_>, choice: Choice) -> bool {
        match choice {
            Choice::Wake(..) => true,
            Choice::Step(op, step) => stepper.look_of(op, step).is_some_and(|(client, look)| {
                self.looks
                    .get(&client)
                    .is_some_and(|(known, looks)| *known == op && looks.contains(&look))
            }),
            _ => false,
        }
    }

    fn note(&mut self, stepper: &Stepper<'_>, choice: Choice) {
        let Choice::Step(op, step) = choice else { return };
        let Some((client, look)) = stepper.look_of(op, step) else { return };
        let (known, looks) = self.looks.entry(client).or_default();
        if *known != op {
            *known = op;
            looks.clear();
        }
        looks.push(look);
    }
}

/// Who a choice belongs to. What is on its way for nobody any more is on its own, and so is
/// what servers do by themselves.
fn actor_of(stepper: &Stepper<'_>, choice: Choice) -> Actor {
    const ALONE: u64 = 1 << 32;
    const WORLD: u64 = 1 << 33;
    match choice {
        Choice::Step(op, step) if !stepper.is_awaited(op, step) => {
            ALONE | op.0.wrapping_mul(31) ^ u64::from(step)
        }
        Choice::Disconnect(connection) => WORLD | u64::from(connection.0),
        Choice::Until(rule) => WORLD | 1 << 32 | u64::from(rule),
        choice => stepper.actor_of(choice).map_or(u64::MAX, |client| client as u64),
    }
}

impl Stepper<'_> {
    /// Whether a step is under way whose client still waits for it.
    fn is_awaited(&self, op: OpId, step: u32) -> bool {
        let place = self.place_of(op, step);
        place.is_some_and(|place| self.world.pending(self.progress.flying[place]).current)
    }

    /// The client of a step and what it looks at, where it changes nothing but for locks.
    fn look_of(&self, op: OpId, step: u32) -> Option<(usize, Look)> {
        use StepKind::*;
        let pending = self.world.pending(self.progress.flying[self.place_of(op, step)?]);
        let looks = matches!(
            pending.kind,
            CacheGet | CacheGat | CacheMetaGet | CacheAdd | CacheCas | DbSelect | Local
        );
        looks.then_some((pending.client, (pending.kind, pending.key)))
    }
}
