//! A node's state as exploration compares it: what any later reply can depend on.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHashMap;

use super::entry::{Entry, NEVER};
use super::node::{Limits, Node};
use crate::step::NodeId;
use crate::time::Time;

/// Canonical names for CAS ids, given in the order of first use.
///
/// Clients compare CAS ids for equality only, so two states that differ in the numbers alone
/// are one. The tokens that clients hold are to be named by the same object as the entries
/// of the nodes, and in an order that does not depend on the numbers.
#[derive(Clone, Debug, Default)]
pub struct CasNames {
    names: FxHashMap<(NodeId, u64), u64>,
    are_numbers: bool,
}

impl CasNames {
    /// No names yet.
    pub fn new() -> CasNames {
        CasNames::default()
    }

    /// Each CAS id is its own name. To be used where a node can be restarted: its CAS ids
    /// begin at 1 again, and it depends on the numbers which old token matches a new item.
    pub fn numbers() -> CasNames {
        CasNames { are_numbers: true, ..CasNames::default() }
    }

    /// The name of a CAS id of a node.
    pub fn name(&mut self, node: NodeId, cas: u64) -> u64 {
        if self.are_numbers {
            return cas;
        }
        let next = self.names.len() as u64;
        *self.names.entry((node, cas)).or_insert(next)
    }

    /// The name of a CAS id that has one.
    pub fn known(&self, node: NodeId, cas: u64) -> Option<u64> {
        self.names.get(&(node, cas)).copied()
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.names.clear();
    }
}

impl Node {
    /// Feeds the node's state to a hasher: the items in the order of their keys, with
    /// expiries relative to now, CAS ids by name; under a limit the order of the LRU as well.
    ///
    /// What has expired is left out, but under a limit it still takes up room. What was
    /// flushed is not left out, because a second `flush_all` can bring it back. When an item
    /// was last used is in it only where a flush may ask for it, although `l` of a meta get
    /// shows it: a pattern's handle does not.
    pub fn fingerprint(&self, now: Time, names: &mut CasNames, into: &mut impl Hasher) {
        let Node {
            // In the names of CAS ids.
            id: _,
            limits,
            // What it was started with, and how it is run: the same for a whole search.
            first_limits: _,
            may_restart: _,
            epoch: _,
            items,
            last_cas,
            oldest_live,
            // What it removes is marked in each item's name; newer items have higher ids.
            oldest_cas: _,
            // What is told of it and read at once, or by nobody: counters and the last trace.
            items_made: _,
            tally: _,
            trace: _,
            evicted: _,
            phase,
            // How the clock has been moved is in `clock_moves`.
            started: _,
            jumped: _,
            wall_jumped: _,
        } = self;
        let tick = self.tick(now);
        let limited = *limits != Limits::default();
        let has_expired = |entry: &Entry| entry.expires != NEVER && entry.expires <= tick;
        let mut entries: Vec<(usize, &Entry)> = items.oldest_first().enumerate().collect();
        entries.retain(|(_, entry)| limited || !has_expired(entry));
        entries.sort_unstable_by(|(_, a), (_, b)| a.key.cmp(&b.key));
        entries.len().hash(into);
        for (age, entry) in entries {
            self.fingerprint_entry(entry, limited.then_some(age), tick, names, into);
        }
        let flush = (*oldest_live != 0).then(|| (oldest_live - tick).max(-1));
        flush.hash(into);
        (limits.items, limits.bytes).hash(into);
        // The clock: where it stands within its second, and whether it has been moved.
        (phase, self.clock_moves()).hash(into);
        names.are_numbers.then_some(last_cas).hash(into);
    }

    /// `age` is its place in the LRU, where that counts.
    fn fingerprint_entry(
        &self,
        entry: &Entry,
        age: Option<usize>,
        tick: i64,
        names: &mut CasNames,
        into: &mut impl Hasher,
    ) {
        let Entry {
            key,
            value,
            flags,
            cas,
            // Who installed it is provenance: the history has it.
            origin: _,
            stale,
            won,
            fetched,
            active,
            // Only framing shows it, which no pattern sees.
            base64_key: _,
            expires,
            time,
            // Its place in the LRU: `age`.
            newer: _,
            older: _,
        } = entry;
        key.hash(into);
        age.hash(into);
        let has_expired = *expires != NEVER && *expires <= tick;
        has_expired.hash(into);
        if has_expired {
            return entry.bytes().hash(into);
        }
        value.hash(into);
        flags.hash(into);
        names.name(self.id, *cas).hash(into);
        (stale, won, fetched, active).hash(into);
        (*expires != NEVER).then(|| expires - tick).hash(into);
        let flushed = self.is_flushed(entry, tick);
        flushed.hash(into);
        // Only a flush asks when an item was last used.
        let pending = self.oldest_live > tick;
        (flushed || pending).then(|| tick - time).hash(into);
    }
}
