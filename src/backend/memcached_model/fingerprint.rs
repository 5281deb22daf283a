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
    names: FxHashMap<(NodeId, u64), u32>,
}

impl CasNames {
    /// No names yet.
    pub fn new() -> CasNames {
        CasNames::default()
    }

    /// The name of a CAS id of a node.
    pub fn name(&mut self, node: NodeId, cas: u64) -> u32 {
        let next = self.names.len() as u32;
        *self.names.entry((node, cas)).or_insert(next)
    }

    /// Forgets all names.
    pub fn clear(&mut self) {
        self.names.clear();
    }
}

impl Node {
    /// Feeds the node's state to a hasher: the live items in the order of their keys, with
    /// expiries relative to now, CAS ids by name, and the order of the LRU under a limit.
    /// What has expired is left out; what was flushed and not yet removed is not, because a
    /// second `flush_all` can bring it back.
    ///
    /// Where the clock stands within its second is not in it: that follows from the time,
    /// which belongs to the state of the run.
    pub fn fingerprint(&self, now: Time, names: &mut CasNames, into: &mut impl Hasher) {
        let tick = self.tick(now);
        let mut entries: Vec<(usize, &Entry)> = self.items.oldest_first().enumerate().collect();
        entries.retain(|(_, entry)| entry.expires == NEVER || entry.expires > tick);
        entries.sort_unstable_by(|(_, a), (_, b)| a.key.cmp(&b.key));
        entries.len().hash(into);
        let pending = self.oldest_live > tick;
        for (age, entry) in entries {
            entry.key.hash(into);
            entry.value.hash(into);
            entry.flags.hash(into);
            names.name(self.id(), entry.cas).hash(into);
            (entry.stale, entry.won, entry.fetched, entry.active).hash(into);
            (entry.expires != NEVER).then(|| entry.expires - tick).hash(into);
            let flushed = self.is_flushed(entry, tick);
            flushed.hash(into);
            // Only a flush asks when an item was last used.
            (flushed || pending).then(|| tick - entry.time).hash(into);
            (self.limits() != Limits::default()).then_some(age).hash(into);
        }
        let flush = (self.oldest_live != 0).then(|| (self.oldest_live - tick).max(-1));
        flush.hash(into);
    }
}
