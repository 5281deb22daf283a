//! A client, as far as it can be copied: all but its future.

use std::hash::Hash;

use super::actor::Actor;
use super::identity::{Fold128, Trail};
use super::terms::{become_like, feed};
use crate::history::record::{KeyId, Source};
use crate::operation::{ClientId, OpId, OpKind};
use crate::step::{ConnectionId, NodeId, RowId};
use crate::time::Time;

/// A client: one of the application's, or the background work of a process.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Client {
    pub id: ClientId,
    pub process: usize,
    /// Counts cancellations and crashes: what was sent before belongs to nobody.
    pub epoch: u32,
    /// Operations begun.
    pub begun: usize,
    pub cache_connections: Vec<Option<ConnectionId>>,
    pub database_connection: Option<ConnectionId>,
    /// For statements that commit themselves while a transaction is open on the first.
    pub second_connection: Option<ConnectionId>,
    pub current: Current,
    /// Steps under way whose answer the client waits for.
    pub waiting: u32,
    /// What the client has been told in its current operation; kept for manual schedulers.
    pub trail: Trail,
}

impl Client {
    pub fn new(id: ClientId, process: usize, nodes: usize) -> Client {
        Client {
            id,
            process,
            epoch: 0,
            begun: 0,
            cache_connections: vec![None; nodes],
            database_connection: None,
            second_connection: None,
            current: Current::default(),
            waiting: 0,
            trail: Trail::default(),
        }
    }

    pub fn become_like(&mut self, other: &Client) {
        become_like!(Client: self, other;
            epoch, begun, cache_connections, database_connection, second_connection, waiting,
            trail;
            parts current;
            same id, process);
    }

    /// Feeds what its pattern can know in the current operation to a hasher, CAS ids by name.
    pub fn fingerprint_known<N: Hash>(
        &self,
        actor: &Actor,
        name: impl FnMut(NodeId, u64) -> N,
        into: &mut Fold128,
    ) {
        self.begun.hash(into);
        if !actor.is_idle() {
            self.trail.hash(name, into);
        }
    }

    /// Feeds all that its future and its record can still depend on to a hasher. `begun` says how
    /// many operations count as begun.
    pub fn fingerprint<N: Hash>(
        &self,
        actor: &Actor,
        begun: usize,
        name: impl FnMut(NodeId, u64) -> N,
        into: &mut Fold128,
    ) {
        let Client {
            // Clients stand in a fixed order, in fixed processes.
            id: _,
            process: _,
            // Only tells steps that are waited for from those that are not; the stepper says
            // which these are.
            epoch: _,
            begun: _, // `begun`
            // Numbers without a meaning: the database says what it holds for which connection,
            // and a closed one is never used again.
            cache_connections: _,
            database_connection: _,
            second_connection: _,
            current,
            // The steps sent, which the trail has, without those answered, which it has too.
            waiting: _,
            trail,
        } = self;
        feed("Client.begun", &begun, into);
        feed("Actor.doing", &actor.doing(), into);
        if !actor.is_idle() {
            trail.hash(name, into);
            current.fingerprint(into);
        }
    }
}

/// The operation that a client carries out.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Current {
    pub id: OpId,
    pub kind: Option<OpKind>,
    pub rows: Vec<RowId>,
    pub start: Time,
    pub steps: u32,
    /// Kinds of the steps executed, as bits of the injector.
    pub executed: u64,
    /// Steps sent that may have changed what others read.
    pub effects: u32,
    /// The same within the open transaction.
    pub transaction_effects: u32,
    pub seen: Vec<(KeyId, Source)>,
}

impl Current {
    fn become_like(&mut self, other: &Current) {
        become_like!(Current: self, other;
            id, kind, rows, start, steps, executed, effects, transaction_effects, seen);
    }

    fn fingerprint(&self, into: &mut Fold128) {
        let Current {
            // Which operation it is follows from how many were begun.
            id: _,
            kind: _,
            rows: _,
            // Before what it began is the monitor's to say, where that is asked.
            start: _,
            // What was sent, and what of it was found, is in the trail.
            steps: _,
            seen: _,
            executed,
            effects,
            transaction_effects,
        } = self;
        feed("Current.executed", executed, into);
        feed("Current.effects", effects, into);
        feed("Current.transaction_effects", transaction_effects, into);
    }
}
