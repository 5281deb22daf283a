//! Walks: one schedule of a program of any size, each choice a keyed function of the seed.
//!
//! Two walkers, which find different things: one takes any of what can happen with the same
//! chance, so that clients alternate all the time; the other goes by priorities (`pct.rs`), so
//! that one client is far ahead of, or behind, the others.
//!
//! When faults strike is drawn before the walk, as the moments of PCT are: a chance at each
//! choice would have them all near the start.

use super::choice::Choice;
use super::error::RunError;
use super::pct::Priorities;
use super::stepper::Stepper;
use crate::fault::{Fault, draws};
use crate::seed::{Purpose, Seed, below};

/// How many choices an operation takes, for the moments that are drawn beforehand.
const CHOICES_PER_OPERATION: u64 = 3;
/// How many it may take on average before the walk is cut off.
const CHOICES_PER_OPERATION_MAX: u64 = 200;

/// How a walk chooses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walker {
    /// Any of what can happen, with the same chance.
    Random,
    /// The client of the highest priority (PCT).
    Priorities,
}

impl Walker {
    /// The walker of a seed: one half of the seeds each.
    pub fn of(seed: Seed) -> Walker {
        match seed.draw(Purpose::Walk, u64::MAX, 0) >> 63 {
            0 => Walker::Random,
            _ => Walker::Priorities,
        }
    }

    /// The kebab-case name.
    pub fn name(self) -> &'static str {
        match self {
            Walker::Random => "random",
            Walker::Priorities => "priorities",
        }
    }
}

/// How a walk is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stride {
    pub seed: Seed,
    pub walker: Walker,
    /// Operations of the program.
    pub operations: usize,
    /// Whether the seed decides which rules of faults there are at all: of many kinds at once
    /// each hides the others (Groce and others: Swarm Testing, ISSTA 2012).
    pub swarm: bool,
}

/// Walks until all that was asked is done; `false` when the walk was cut off before.
pub(crate) fn walk(stepper: &mut Stepper<'_>, stride: Stride) -> Result<bool, RunError> {
    let operations = stride.operations.max(1) as u64;
    let length = operations * CHOICES_PER_OPERATION;
    let mut priorities = match stride.walker {
        Walker::Random => None,
        Walker::Priorities => Some(Priorities::new(stride.seed, length)),
    };
    let mut mishaps = Mishaps::new(stepper, stride, length);
    for moment in 0..1_000 + operations * CHOICES_PER_OPERATION_MAX {
        if stepper.is_quiescent() {
            return Ok(true);
        }
        let choice = match mishaps.due(stepper, moment) {
            Some(mishap) => mishap,
            None => {
                let options = stepper.free_options();
                match &mut priorities {
                    // Time has run out for a step: nothing has happened like this.
                    _ if options.is_empty() => return Ok(false),
                    Some(priorities) => priorities.pick(stepper, &options, moment),
                    None => {
                        let draw = stride.seed.draw(Purpose::Walk, 0, moment);
                        options[below(draw, options.len() as u64) as usize]
                    }
                }
            }
        };
        stepper.take(choice)?;
    }
    Ok(false)
}

/// What costs some of the bound, and when.
struct Mishaps {
    /// Moments of faults, in falling order.
    strikes: Vec<u64>,
    /// By rule: what it draws from, and whether it may strike in this walk.
    rules: Vec<(Seed, bool)>,
}

impl Mishaps {
    fn new(stepper: &Stepper<'_>, stride: Stride, length: u64) -> Mishaps {
        let seed = stride.seed;
        let most = u64::from(stepper.progress.bounds.faults);
        let count = below(seed.draw(Purpose::Strike, 0, 0), most + 1);
        let moment = |number| below(seed.draw(Purpose::Strike, 0, number), length);
        let mut strikes: Vec<u64> = (1..=count).map(moment).collect();
        strikes.sort_unstable_by(|a, b| b.cmp(a));
        let allows = |rule: Seed| !stride.swarm || rule.draw(Purpose::Swarm, 0, 0) >> 63 == 0;
        let faults: Vec<Fault> = (0..stepper.progress.lasting.len() as u16)
            .map(|rule| stepper.world.fault(rule).clone())
            .collect();
        let rules = draws::seeds(&faults, seed).into_iter();
        Mishaps { strikes, rules: rules.map(|rule| (rule, allows(rule))).collect() }
    }

    fn due(&mut self, stepper: &Stepper<'_>, moment: u64) -> Option<Choice> {
        let is_due = |moments: &[u64]| moments.last().is_some_and(|due| *due <= moment);
        if is_due(&self.strikes)
            && stepper.progress.bounds.faults > 0
            && let Some(fault) = self.fault(stepper, moment)
        {
            self.strikes.pop();
            return Some(fault);
        }
        None
    }

    /// A rule that can strike now, and then how: a rule with many ways is not likelier.
    fn fault(&self, stepper: &Stepper<'_>, moment: u64) -> Option<Choice> {
        let mut options = stepper.faults_in_time();
        let rule_of = |choice: &Choice| usize::from(choice.rule().expect("a fault has a rule"));
        options.retain(|choice| self.rules[rule_of(choice)].1);
        // The lowest draw strikes: whoever is not it makes no difference to the others.
        let draw = |rule: usize, which| self.rules[rule].0.draw(Purpose::Strike, which, moment);
        let rule = options.iter().map(rule_of).min_by_key(|rule| draw(*rule, 0))?;
        options.retain(|choice| rule_of(choice) == rule);
        Some(options[below(draw(rule, 1), options.len() as u64) as usize])
    }
}
