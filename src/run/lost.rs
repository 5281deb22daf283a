//! Lost updates: a read-modify-write that overwrote a write it had not seen.

use crate::check::States;
use crate::history::record::{History, OpRecord};

/// The commits of a history, for asking what a modify was based on.
pub(super) struct Versions {
    states: States,
}

impl Versions {
    pub fn new(history: &History) -> Versions {
        Versions { states: States::new(history) }
    }

    /// Whether a committed modify was based on anything but the state right before its own.
    pub fn overwrote_unseen(&mut self, op: &OpRecord) -> bool {
        let Some(own) = self.states.place(op.key, op.id) else { return false };
        let Some(before) = own.checked_sub(1) else { return false };
        let base = match op.found {
            true => self.states.place(op.key, op.value),
            false => None,
        };
        base != Some(before)
    }
}
