//! A model of memcached 1.6, for simulation.
//!
//! Time is the server's: ticks of one second with a phase, so that a TTL of n lives between
//! n-1 and n seconds. Every entry knows which step installed it. Eviction is strict LRU
//! over items or bytes; slab classes and segmented LRU are not modelled. [`Nodes`] is the
//! cache backend, [`node::Node`] one server.

mod meta;
pub mod node;

pub use node::{Limits, Node};

use super::{BackendError, Cache, Clock, Origin};
use crate::step::{CacheCommand, CacheReply, ConnectionId, Footprint, Key, NodeId};
use crate::time::Time;

/// Several modelled nodes.
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

    fn node(&mut self, node: NodeId) -> &mut Node {
        &mut self.nodes[usize::from(node.0)]
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
        state.take_evicted(&mut self.evicted);
        Ok(reply)
    }

    fn close(&mut self, _: ConnectionId) {}

    fn evict(&mut self, now: Time, node: NodeId, key: &Key) -> Result<bool, BackendError> {
        Ok(self.node(node).evict(now, key))
    }

    fn restart(&mut self, now: Time, node: NodeId) -> Result<(), BackendError> {
        self.node(node).restart(now);
        Ok(())
    }

    fn jump(&mut self, _: Time, node: NodeId, seconds: i64) -> Result<(), BackendError> {
        self.node(node).jump(seconds);
        Ok(())
    }

    fn take_evicted(&mut self) -> Vec<(NodeId, Key)> {
        std::mem::take(&mut self.evicted)
    }

    fn expiry(&self, node: NodeId, key: &Key) -> Option<Time> {
        self.nodes[usize::from(node.0)].expiry(key)
    }
}
