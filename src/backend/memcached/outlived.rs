//! What may have expired in real time, on a server whose clock is its own.
//!
//! There a run is to be over before anything expires. One that takes longer than an entry lives
//! would find its evidence gone, or miss where the scenario says that it hits.

use std::time::Instant;

use super::clock::NodeClock;
use crate::step::{CacheCommand, CacheReply, Key};
use crate::time::Time;

/// When the items of one node end, to a second, which is earlier than they do.
#[derive(Debug)]
pub(super) struct Ends {
    since: Instant,
    clock: NodeClock,
    /// No item ends before.
    next: Time,
}

impl Ends {
    pub fn new() -> Ends {
        Ends { since: Instant::now(), clock: NodeClock::new(0), next: Time::NEVER }
    }

    /// A command was answered; says whether some item may be over that nobody removed.
    pub fn note(&mut self, command: &CacheCommand, reply: &CacheReply) -> bool {
        let now = Time(self.since.elapsed().as_nanos() as u64);
        let passed = self.next <= now && self.clock.has_ended(now);
        if self.next <= now {
            self.next = self.clock.next_expiry(now).unwrap_or(Time::NEVER);
        }
        self.clock.note(now, command, reply);
        if let Some(key) = command.key()
            && let Some(end) = self.clock.expiry(key)
        {
            match end <= now {
                // It was stored to be over at once.
                true => self.clock.forget(key),
                false => self.next = self.next.min(end),
            }
        }
        passed
    }

    /// An item is gone.
    pub fn remove(&mut self, key: &Key) {
        self.clock.forget(key);
    }

    /// The node is empty.
    pub fn clear(&mut self) {
        *self = Ends::new();
    }
}
