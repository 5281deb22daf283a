//! Harm that is due to some client's next statement, and how it fared.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::chaos::Done;
use crate::backend::harm::Harm;
use crate::step::DbCommand;

/// What waits for a statement to strike: chaos puts it here, clients take it.
#[derive(Debug)]
pub(super) struct Harms {
    /// How many wait, so that a statement need not take the lock to see that none does.
    waiting: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// The fault's place, and what it does.
    waiting: Vec<(usize, Harm)>,
    /// Whether one is being carried out: one at a time, or two would wait for each other.
    busy: bool,
    done: Vec<Done>,
}

impl Harms {
    /// For so many faults.
    pub fn new(faults: usize) -> Harms {
        let state = State { waiting: Vec::new(), busy: false, done: vec![Done::default(); faults] };
        Harms { waiting: AtomicUsize::new(0), state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next statement that it fits is to be struck. What waits already waits on: after a
    /// standstill there would be a volley.
    pub fn put(&self, place: usize, harm: Harm) {
        let mut state = self.state();
        if !state.waiting.contains(&(place, harm)) {
            state.waiting.push((place, harm));
        }
        self.waiting.store(state.waiting.len(), Ordering::Release);
    }

    /// What this statement is struck with, if anything; [`Harms::done`] is to follow.
    pub fn take(&self, command: &DbCommand, in_transaction: bool) -> Option<(usize, Harm)> {
        if self.waiting.load(Ordering::Acquire) == 0 {
            return None;
        }
        let mut state = self.state();
        if state.busy {
            return None;
        }
        let fits = |(_, harm): &(usize, Harm)| fits(*harm, command, in_transaction);
        let found = state.waiting.iter().position(fits)?;
        let taken = state.waiting.remove(found);
        state.busy = true;
        self.waiting.store(state.waiting.len(), Ordering::Release);
        Some(taken)
    }

    /// How it went; what did not strike waits for the next statement.
    pub fn done(&self, (place, harm): (usize, Harm), witness: Option<String>) {
        let mut state = self.state();
        state.busy = false;
        match witness {
            Some(witness) => {
                state.done[place].struck += 1;
                state.done[place].witness = witness;
            }
            None => state.waiting.push((place, harm)),
        }
        self.waiting.store(state.waiting.len(), Ordering::Release);
    }

    /// Nothing strikes from now on; how each fault fared.
    pub fn over(&self) -> Vec<Done> {
        let mut state = self.state();
        state.waiting.clear();
        self.waiting.store(0, Ordering::Release);
        state.done.clone()
    }
}

/// A connection is cut around a commit, which a write outside of a transaction is too; the others
/// strike writes of a row that exists.
fn fits(harm: Harm, command: &DbCommand, in_transaction: bool) -> bool {
    let writes = matches!(command, DbCommand::Update { .. } | DbCommand::Delete { .. });
    match harm {
        Harm::CutBefore | Harm::CutAfter => {
            *command == DbCommand::Commit || (writes && !in_transaction)
        }
        _ => writes,
    }
}
