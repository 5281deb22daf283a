//! How far a [`Stepper`](super::stepper::Stepper) has come, beside what its world holds: what
//! could happen next, and what it may cost. The fields are listed where they are copied and
//! named, without `..`, as those of a [`State`](super::state::State) are.

use super::choice::Choice;
use super::clock::Clock;
use super::monitor::Monitor;
use super::stepper::Bounds;
use super::terms::become_like;
use crate::step::{Access, ConnectionId, Footprint, Location};

/// The background work of a process.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Background {
    /// Between two rounds.
    pub waiting: bool,
    /// Its source may have changed since its last idle round.
    pub dirty: bool,
    /// What its last idle round looked at; `None` before the first.
    pub looked_at: Option<Footprint>,
    /// What the round under way has looked at.
    pub round: Vec<(Location, Access)>,
    /// What of that comes from steps of earlier rounds that took effect late.
    pub late: Vec<(Location, Access)>,
}

/// What a stepper holds beside its world.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Progress {
    pub bounds: Bounds,
    /// Steps under way that may take effect.
    pub flying: Vec<usize>,
    /// Sleeps of operations that wait for something else as well.
    pub sleeping: Vec<usize>,
    /// Statements that wait for a lock.
    pub locked: Vec<usize>,
    pub hanging: Vec<ConnectionId>,
    /// By client; empty for ordinary ones.
    pub background: Vec<Option<Background>>,
    /// By client: whether its operation counts as invoked.
    pub invoked: Vec<bool>,
    /// By client: whether its operation has begun, invoked or not: one that has dies with its
    /// process.
    pub begun: Vec<bool>,
    /// By rule: whether a lasting fault lasts.
    pub lasting: Vec<bool>,
    pub monitor: Monitor,
    /// Statements that gave up waiting for a lock since nothing else was left.
    pub deadlocks: u32,
    /// When all that could have happened, where that decides what happens.
    pub clock: Option<Clock>,
    /// By client: for how long its operation has waited for answers, and has slept, at the most.
    pub spent: Vec<(u64, u64)>,
    pub choices: Vec<Choice>,
}

impl Progress {
    pub fn become_like(&mut self, other: &Progress) {
        become_like!(Progress: self, other;
            bounds, flying, sleeping, locked, hanging, background, invoked, begun, lasting,
            deadlocks, clock, spent, choices;
            parts monitor);
    }
}
