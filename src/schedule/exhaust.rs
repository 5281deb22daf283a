//! The exhaustive oracle: every schedule of a small program within its bounds.
//!
//! A depth-first search that goes back to the last state with something left to choose. Servers
//! that cannot be copied are started anew instead, and the schedule run again up to there. Two
//! reductions, which together lose no final state:
//! - *sleep sets* (Godefroid, "Partial-Order Methods for the Verification of Concurrent
//!   Systems", LNCS 1032, 1996): of two choices that may be exchanged one order is enough;
//! - *merged states*: what has been searched from a state is not searched again. A state that
//!   was reached with some choices asleep is searched again for just those that are awake now
//!   (Godefroid, section 4.5): a plain set of visited states would lose schedules.
//!
//! States are merged under names for clients that ask the same: see `symmetry.rs`.

use std::ops::ControlFlow;
use std::rc::Rc;

use rustc_hash::FxHashMap;

use super::checkpoint::Checkpoint;
use super::choice::Choice;
use super::effects::Effects;
use super::error::RunError;
use super::identity::Fold128;
use super::pace::{Extent, Timing};
use super::program::Program;
use super::stepper::Stepper;
use super::symmetry::Naming;
use crate::backend::{Cache, Database};

/// Choices of one schedule at the most; a pattern that needs more runs in circles.
const DEPTH_MAX: usize = 2_000;

/// How a search is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Search {
    /// Merge states and put choices to sleep. Off, every schedule is run.
    pub reduce: bool,
    /// Only schedules in which another client goes on at most so often; and when what is looked
    /// for is found, only shorter ones from then on.
    pub switches: Option<u32>,
}

/// What a search has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Effort {
    /// Schedules run to their end.
    pub schedules: u64,
    /// Schedules given up because the rest had been searched, was asleep, or was too long.
    pub pruned: u64,
    /// Different states.
    pub states: u64,
    /// Choices made, over all executions.
    pub choices: u64,
    /// The longest schedule.
    pub depth: u64,
    /// Whether a schedule was cut off at the limit on its length.
    pub cut: bool,
}

/// Who watches a search.
pub(crate) trait Visitor {
    /// All that was asked is done. Breaking ends the search.
    fn quiescent(&mut self, stepper: &mut Stepper<'_>) -> Result<ControlFlow<()>, RunError>;

    /// A schedule is given up: its rest was searched elsewhere.
    fn given_up(&mut self, stepper: &mut Stepper<'_>);

    /// A schedule is over. Breaking ends the search: a limit was reached.
    fn schedule_done(&mut self, effort: &Effort) -> ControlFlow<()>;

    /// Choices of a schedule that is still of interest, at the most.
    fn longest(&self) -> usize {
        usize::MAX
    }
}

/// What is done on servers.
pub(crate) type OnServers<'a> =
    &'a mut dyn FnMut(&mut dyn Cache, &mut dyn Database) -> Result<(), RunError>;

/// Servers, fresh for each execution.
pub(crate) trait Servers {
    /// Runs something on empty servers.
    fn with(&mut self, run: OnServers<'_>) -> Result<(), RunError>;
}

/// Choices that need not be made here: their schedules have been searched elsewhere.
type Sleep = Vec<(Choice, Rc<Effects>)>;

/// A state on the way to the one that is searched.
struct Frame {
    options: Vec<Choice>,
    next: usize,
    asleep: Sleep,
    /// What the current option touched.
    effects: Option<Rc<Effects>>,
    /// The state, where it can be gone back to and more than one choice is open.
    saved: Option<Checkpoint>,
    /// Who made the choice before, and how often another client has gone on.
    actor: Option<usize>,
    switches: u32,
}

struct Exhaust<'a> {
    program: &'a Program<'a>,
    search: Search,
    merge: bool,
    path: Vec<Frame>,
    visited: FxHashMap<u128, Vec<Choice>>,
    /// By state, where switches are counted: with how many of these, and of choices, it was
    /// reached.
    reached: FxHashMap<u128, Vec<(u32, usize)>>,
    effort: Effort,
    extent: Extent,
    /// The visitor has had enough of what it saw.
    stopped: bool,
    /// Whether all was searched, once the search is over.
    complete: Option<bool>,
}

/// Searches all schedules of a program, or until the visitor has had enough; says what it took,
/// whether all were searched, and how long everything took at the most.
pub(crate) fn exhaust(
    program: &Program<'_>,
    search: Search,
    servers: &mut dyn Servers,
    visitor: &mut dyn Visitor,
) -> Result<(Effort, bool, Extent), RunError> {
    let search = Search { reduce: search.reduce && !program.hides_state(), ..search };
    let mut exhaust = Exhaust {
        program,
        search,
        merge: search.reduce && program.can_merge(),
        path: Vec::new(),
        visited: FxHashMap::default(),
        reached: FxHashMap::default(),
        effort: Effort::default(),
        extent: Extent::default(),
        stopped: false,
        complete: None,
    };
    loop {
        servers.with(&mut |cache, database| exhaust.execute(cache, database, visitor))?;
        if let Some(complete) = exhaust.complete {
            return Ok((exhaust.effort, complete, exhaust.extent));
        }
    }
}

impl Exhaust<'_> {
    /// Runs schedules: along the path, then on to its end, growing the path; then all that can
    /// be gone back to.
    fn execute(
        &mut self,
        cache: &mut dyn Cache,
        database: &mut dyn Database,
        visitor: &mut dyn Visitor,
    ) -> Result<(), RunError> {
        let mut stepper = self.program.start(cache, database)?;
        let searched = self.search_from(&mut stepper, visitor);
        self.extent.join(&stepper.extent);
        searched
    }

    fn search_from(
        &mut self,
        stepper: &mut Stepper<'_>,
        visitor: &mut dyn Visitor,
    ) -> Result<(), RunError> {
        for place in 0..self.path.len() {
            self.take(place, stepper)?;
        }
        loop {
            while let Some(mut frame) = self.look(stepper, visitor)? {
                // Where only one choice is open nobody comes back to.
                if frame.options.len() > 1 && !self.program.hides_state() {
                    frame.saved = stepper.save();
                }
                self.path.push(frame);
                self.take(self.path.len() - 1, stepper)?;
            }
            self.effort.depth = self.effort.depth.max(self.path.len() as u64);
            if stepper.tells_clients_apart() {
                self.program.named.set(true);
                self.complete = Some(false);
                return Ok(());
            }
            if self.stopped || visitor.schedule_done(&self.effort).is_break() {
                self.complete = Some(false);
                return Ok(());
            }
            if !self.backtrack() {
                self.complete = Some(!self.effort.cut);
                return Ok(());
            }
            let last = self.path.len() - 1;
            let Some(saved) = &self.path[last].saved else { return Ok(()) };
            stepper.restore(saved)?;
            self.take(last, stepper)?;
        }
    }

    /// Makes the choice of a place on the path.
    fn take(&mut self, place: usize, stepper: &mut Stepper<'_>) -> Result<(), RunError> {
        let effects = stepper.take(self.path[place].choice())?;
        self.effort.choices += 1;
        self.path[place].effects = Some(Rc::new(effects));
        Ok(())
    }

    /// Looks at the state that the path leads to: what is still to be chosen there.
    fn look(
        &mut self,
        stepper: &mut Stepper<'_>,
        visitor: &mut dyn Visitor,
    ) -> Result<Option<Frame>, RunError> {
        let asleep = self.asleep();
        let (actor, switches) = self.actor();
        let mut only = None;
        if self.merge {
            let mut hasher = Fold128::default();
            if let Some(places) = stepper.fingerprint(&mut hasher) {
                let visit = match self.search.switches {
                    None => self.visit(hasher.finish128(), &asleep, &stepper.naming(&places)),
                    Some(_) => {
                        let actor = actor.map(|actor| places.place_of(actor));
                        std::hash::Hash::hash(&actor, &mut hasher);
                        self.reach(hasher.finish128(), switches)
                    }
                };
                match visit {
                    Visit::New => {}
                    Visit::Again(choices) if choices.is_empty() => {
                        self.effort.pruned += 1;
                        visitor.given_up(stepper);
                        return Ok(None);
                    }
                    Visit::Again(choices) => only = Some(choices),
                }
            }
        }
        if only.is_none() && stepper.is_quiescent() && visitor.quiescent(stepper)?.is_break() {
            self.stopped = true;
            return Ok(None);
        }
        let mut options = stepper.options();
        if options.is_empty() {
            match stepper.is_quiescent() {
                true => self.effort.schedules += 1,
                // Time has run out for a step: nothing has happened like this.
                false => self.effort.pruned += 1,
            }
            return Ok(None);
        }
        if self.path.len() >= visitor.longest() {
            self.effort.pruned += 1;
            visitor.given_up(stepper);
            return Ok(None);
        }
        if self.path.len() >= DEPTH_MAX {
            self.effort.cut = true;
            self.effort.pruned += 1;
            return Ok(None);
        }
        if let Some(only) = &only {
            options.retain(|option| only.contains(option));
        }
        options.retain(|option| !asleep.iter().any(|(choice, _)| choice == option));
        if let Some(most) = self.search.switches {
            options.retain(|option| switches + self.switch(stepper, actor, *option) <= most);
        }
        if options.is_empty() {
            self.effort.pruned += 1;
            visitor.given_up(stepper);
            return Ok(None);
        }
        Ok(Some(Frame { options, next: 0, asleep, effects: None, saved: None, actor, switches }))
    }

    /// Whether a choice means that another client goes on.
    fn switch(&self, stepper: &Stepper<'_>, actor: Option<usize>, choice: Choice) -> u32 {
        let next = stepper.actor_of(choice);
        u32::from(actor.is_some() && next.is_some() && next != actor)
    }

    fn actor(&self) -> (Option<usize>, u32) {
        let Some(frame) = self.path.last() else { return (None, 0) };
        let client = frame.effects.as_ref().and_then(|effects| effects.client);
        let switched = frame.actor.is_some() && client.is_some() && client != frame.actor;
        (client.or(frame.actor), frame.switches + u32::from(switched))
    }

    /// What is asleep in the state after the last choice of the path: what was asleep before,
    /// or has been searched from there, and may be exchanged with that choice.
    fn asleep(&self) -> Sleep {
        let Some(frame) = self.path.last().filter(|_| self.search.reduce) else {
            return Sleep::new();
        };
        // Where time decides, the order of any two choices can.
        if self.search.switches.is_some() || self.program.timing > Timing::Order {
            return Sleep::new();
        }
        let taken = frame.effects.as_ref().expect("the choice has been made");
        let ordered = self.program.track.orders_operations();
        let still =
            frame.asleep.iter().filter(|(_, effects)| effects.independent_of(taken, ordered));
        still.cloned().collect()
    }

    /// Choices are kept under the names that the state's form has for clients.
    fn visit(&mut self, state: u128, asleep: &Sleep, naming: &Naming<'_, '_>) -> Visit {
        use std::collections::hash_map::Entry;
        let asleep: Vec<Choice> =
            asleep.iter().map(|(choice, _)| naming.in_form(*choice)).collect();
        match self.visited.entry(state) {
            Entry::Vacant(entry) => {
                entry.insert(asleep);
                self.effort.states += 1;
                Visit::New
            }
            Entry::Occupied(mut entry) => {
                let stored = entry.get_mut();
                let awake = stored.iter().filter(|choice| !asleep.contains(choice));
                let awake = awake.map(|choice| naming.in_state(*choice)).collect();
                stored.retain(|choice| asleep.contains(choice));
                Visit::Again(awake)
            }
        }
    }

    /// A state that was reached with no more switches and no more choices has been searched for
    /// all that is worth finding from here.
    fn reach(&mut self, state: u128, switches: u32) -> Visit {
        let choices = self.path.len();
        let known = self.reached.entry(state).or_default();
        if known.iter().any(|(fewer, shorter)| *fewer <= switches && *shorter <= choices) {
            return Visit::Again(Vec::new());
        }
        self.effort.states += u64::from(known.is_empty());
        known.retain(|(more, longer)| *more < switches || *longer < choices);
        known.push((switches, choices));
        Visit::New
    }

    /// Goes to the next schedule; `false` when there is none.
    fn backtrack(&mut self) -> bool {
        while let Some(frame) = self.path.last_mut() {
            let effects = frame.effects.take().expect("the choice has been made");
            let choice = frame.options[frame.next];
            frame.asleep.push((choice, effects));
            frame.next += 1;
            if frame.next < frame.options.len() {
                return true;
            }
            self.path.pop();
        }
        false
    }
}

enum Visit {
    New,
    /// The state is known; these choices were asleep whenever it was searched.
    Again(Vec<Choice>),
}

impl Frame {
    fn choice(&self) -> Choice {
        self.options[self.next]
    }
}
