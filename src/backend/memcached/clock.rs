//! How a server of our own follows the scheduler's clock, and when its items will be gone.
//!
//! memcached counts in whole seconds: an item of TTL n is gone n ticks after the tick in which
//! it was stored. A tick begins whenever virtual time and the node's phase make a full second.

use rustc_hash::FxHashMap;

use crate::step::{CacheCommand, CacheReply, Key, Ttl, Verb, Win};
use crate::time::Time;

const NANOS_PER_SECOND: u64 = 1_000_000_000;
/// A TTL beyond is an absolute time.
const RELATIVE_SECONDS_MAX: i64 = 60 * 60 * 24 * 30;

/// The clock of one node.
#[derive(Debug)]
pub(super) struct NodeClock {
    /// How far the clock was into its second at time 0, in nanoseconds.
    phase: u64,
    /// The last second that the server was told.
    second: u64,
    /// Until when items live, where that is not for ever.
    expiry: FxHashMap<Key, Time>,
}

impl NodeClock {
    pub fn new(phase: u64) -> NodeClock {
        NodeClock { phase: phase % NANOS_PER_SECOND, second: 0, expiry: FxHashMap::default() }
    }

    fn second_at(&self, now: Time) -> u64 {
        now.nanos().saturating_add(self.phase) / NANOS_PER_SECOND
    }

    /// By how many seconds the server's clock has to move.
    pub fn advance(&mut self, now: Time) -> i64 {
        let second = self.second_at(now);
        let moved = second.saturating_sub(self.second);
        self.second += moved;
        moved as i64
    }

    /// A new process: its seconds begin now.
    pub fn restart(&mut self, now: Time) {
        self.phase = (NANOS_PER_SECOND - now.nanos() % NANOS_PER_SECOND) % NANOS_PER_SECOND;
        self.second = self.second_at(now);
        self.expiry.clear();
    }

    /// The clock moves on its own account: everything is gone so much sooner.
    pub fn jump(&mut self, seconds: i64) {
        let nanos = seconds.unsigned_abs().saturating_mul(NANOS_PER_SECOND);
        for at in self.expiry.values_mut() {
            *at = Time(at.nanos().saturating_sub(nanos));
        }
    }

    /// A command was answered: what it did to the lives of items.
    pub fn note(&mut self, now: Time, command: &CacheCommand, reply: &CacheReply) {
        let ttl = match (command, reply) {
            (CacheCommand::Store { verb: Verb::Append | Verb::Prepend, .. }, _) => None,
            (CacheCommand::Store { ttl, .. }, CacheReply::Stored) => Some(*ttl),
            (CacheCommand::Touch { ttl, .. }, CacheReply::Touched)
            | (CacheCommand::GetAndTouch { ttl, .. }, CacheReply::Found(_)) => Some(*ttl),
            (CacheCommand::MetaSet(set), CacheReply::Stored) => Some(set.ttl),
            // A winner of an empty item has just made it.
            (CacheCommand::MetaGet(get), CacheReply::Found(item)) => match item.win {
                Win::Won if item.value.is_empty() => get.vivify,
                _ => get.touch,
            },
            (CacheCommand::MetaDelete(delete), CacheReply::Deleted) if delete.invalidate => {
                delete.ttl
            }
            (CacheCommand::Delete { .. } | CacheCommand::MetaDelete(_), CacheReply::Deleted) => {
                Some(Ttl::NEVER)
            }
            (CacheCommand::FlushAll { .. }, _) => {
                self.expiry.clear();
                None
            }
            _ => None,
        };
        if let (Some(ttl), Some(key)) = (ttl, command.key()) {
            match self.end_of(now, ttl) {
                Some(end) => self.expiry.insert(key.clone(), end),
                None => self.expiry.remove(key),
            };
        }
    }

    fn end_of(&self, now: Time, ttl: Ttl) -> Option<Time> {
        match ttl.0 {
            0 => None,
            ..0 => Some(now),
            // Absolute times lie in the servers' past.
            seconds if seconds > RELATIVE_SECONDS_MAX => Some(now),
            seconds => {
                let end = (self.second_at(now) + seconds as u64).saturating_mul(NANOS_PER_SECOND);
                Some(Time(end.saturating_sub(self.phase)))
            }
        }
    }

    /// Whether some item was to be gone by now.
    pub fn has_ended(&self, now: Time) -> bool {
        self.expiry.values().any(|at| *at <= now)
    }

    /// An item is none of ours any more.
    pub fn forget(&mut self, key: &Key) {
        self.expiry.remove(key);
    }

    /// When the next item will be gone.
    pub fn next_expiry(&self, now: Time) -> Option<Time> {
        self.expiry.values().copied().filter(|at| *at > now).min()
    }

    /// When an item will be gone.
    pub fn expiry(&self, key: &Key) -> Option<Time> {
        self.expiry.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ttl_ends_with_a_tick_of_the_node() {
        let mut clock = NodeClock::new(400_000_000);
        assert_eq!(clock.advance(Time(500_000_000)), 0);
        assert_eq!(clock.advance(Time(600_000_000)), 1);
        assert_eq!(clock.end_of(Time(600_000_000), Ttl(2)), Some(Time(2_600_000_000)));
        clock.restart(Time(700_000_000));
        assert_eq!(clock.advance(Time(1_600_000_000)), 0);
        assert_eq!(clock.advance(Time(1_700_000_000)), 1);
        assert_eq!(clock.end_of(Time(1_700_000_000), Ttl(1)), Some(Time(2_700_000_000)));
    }
}
