//! A model of memcached 1.6, for simulation and for the embedded server.
//!
//! It is held to memcached 1.6.18 by `tests/memcached_differential`: time in ticks of one
//! second with a phase, lazy expiry and flush, what survives which failed store, counters
//! kept as text, CAS ids, leases and stale items of the meta commands. Every entry knows
//! which step installed it.
//!
//! Out of the model, deliberately: slab classes (sizes are summed, nothing is rounded up to
//! a chunk), the segmented LRU and its crawlers (eviction is strict LRU over items or
//! bytes), threads, external storage, and the numbers of `stats`.
//!
//! Start at [`Nodes`], the cache backend, or at [`Node`], one server.

mod classic;
#[cfg(test)]
mod commute;
mod entry;
mod fingerprint;
mod footprint;
mod items;
mod meta;
mod node;
mod number;
mod tally;
#[cfg(test)]
mod tests;

pub use entry::{Entry, item_bytes};
pub use fingerprint::CasNames;
pub use meta::MetaExtras;
pub use node::{Limits, Node, Trace};
#[cfg(feature = "serve")]
pub(crate) use number::{leading_i64, leading_u64};
pub use tally::Tally;

use std::any::Any;
use std::hash::Hasher;

use super::{BackendError, Cache, Clock, Origin};
use crate::step::{CacheCommand, CacheReply, ConnectionId, Footprint, Key, NodeId};
use crate::time::Time;

/// Longer keys are refused.
pub const KEY_BYTES_MAX: usize = 250;
/// The largest item, with key and header.
pub const ITEM_BYTES_MAX: u64 = 1 << 20;
/// The version that the model is held to.
pub const VERSION: &str = "1.6.18";

/// Several modelled nodes; which one a command goes to is decided above.
#[derive(Clone, Debug)]
pub struct Nodes {
    nodes: Vec<Node>,
    evicted: Vec<(NodeId, Key)>,
}

impl Nodes {
    /// Nodes with these limits, one for each phase; a phase is how far the node's clock was
    /// into its second when the run began, in nanoseconds.
    pub fn new(limits: Limits, phases: &[u64]) -> Nodes {
        let node =
            |(number, phase): (usize, &u64)| Node::new(NodeId(number as u16), limits, *phase);
        Nodes { nodes: phases.iter().enumerate().map(node).collect(), evicted: Vec::new() }
    }

    /// The nodes in their order.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// One node, to be looked at or misused.
    ///
    /// # Panics
    /// When there is no such node: the ring names only nodes that exist.
    pub fn node_mut(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[usize::from(node.0)]
    }

    /// All nodes as they were when created, keeping what memory they have.
    pub fn reset(&mut self, phases: &[u64]) {
        assert_eq!(phases.len(), self.nodes.len(), "one phase for each node");
        for (node, phase) in self.nodes.iter_mut().zip(phases) {
            node.reset(*phase);
        }
        self.evicted.clear();
    }

    /// To be called before an exploration in which nodes can be restarted; see
    /// [`Node::may_restart`]. Its states are named with [`CasNames::numbers`].
    pub fn may_restart(&mut self) {
        self.nodes.iter_mut().for_each(Node::may_restart);
    }

    /// Feeds the state of all nodes to a hasher; see [`Node::fingerprint`].
    pub fn fingerprint(&self, now: Time, names: &mut CasNames, into: &mut impl std::hash::Hasher) {
        for node in &self.nodes {
            node.fingerprint(now, names, into);
        }
    }
}

impl Cache for Nodes {
    fn clock(&self) -> Clock {
        Clock::Virtual
    }

    fn describe(&self) -> String {
        match self.nodes.len() {
            1 => "model of memcached 1.6".to_owned(),
            n => format!("model of memcached 1.6, {n} nodes"),
        }
    }

    fn execute(
        &mut self,
        now: Time,
        node: NodeId,
        _: ConnectionId,
        origin: Origin,
        command: &CacheCommand,
        footprint: &mut Footprint,
    ) -> Result<CacheReply, BackendError> {
        let state = &mut self.nodes[usize::from(node.0)];
        let reply = state.execute(now, origin, command, footprint);
        if state.has_evicted() {
            self.evicted.extend(state.take_evicted().map(|key| (node, key)));
        }
        Ok(reply)
    }

    fn close(&mut self, _: ConnectionId) {}

    fn evict(&mut self, now: Time, node: NodeId, key: &Key) -> Result<bool, BackendError> {
        Ok(self.node_mut(node).evict(now, key))
    }

    fn restart(&mut self, now: Time, node: NodeId) -> Result<bool, BackendError> {
        let node = self.node_mut(node);
        let loses = node.has_something_to_lose(now);
        node.restart(now);
        Ok(loses)
    }

    fn holds_items(&mut self, now: Time, node: NodeId) -> Result<bool, BackendError> {
        Ok(self.node_mut(node).holds_items(now))
    }

    fn modelled(&self, node: NodeId) -> Option<&Node> {
        self.nodes.get(usize::from(node.0))
    }

    fn take_evicted(&mut self) -> Vec<(NodeId, Key)> {
        std::mem::take(&mut self.evicted)
    }

    fn expiry(&self, node: NodeId, key: &Key) -> Option<Time> {
        self.nodes[usize::from(node.0)].expiry(key)
    }

    fn jump(&mut self, _: Time, node: NodeId, seconds: i64) -> Result<bool, BackendError> {
        self.node_mut(node).jump(seconds);
        Ok(seconds != 0)
    }

    fn fingerprint(&self, now: Time, names: &mut CasNames, into: &mut dyn Hasher) -> bool {
        let mut into = into;
        self.fingerprint(now, names, &mut into);
        true
    }

    fn save(&self) -> Option<Box<dyn Any>> {
        Some(Box::new(self.clone()))
    }

    fn restore(&mut self, saved: &dyn Any) {
        self.clone_from(saved.downcast_ref().expect("it was saved here"));
    }

    fn next_expiry(&self, now: Time) -> Option<Time> {
        let all = self.nodes.iter().flat_map(|node| node.expiries());
        all.filter(|at| *at > now).min()
    }
}
