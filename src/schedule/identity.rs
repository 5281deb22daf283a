//! What makes two states of a world one: the 128-bit fingerprints of exploration.
//!
//! Two states with the same fingerprint have the same futures: the servers hold the same, and
//! each client has been told the same in its current operation, so that its future stands at
//! the same place. CAS ids count by name only, times relative to now. The chance that any two
//! of n different states share a fingerprint is below n² / 2^129.

use std::hash::{Hash, Hasher};
use std::rc::Rc;

use super::symmetry::Places;
use super::terms::feed;
use super::world::World;
use crate::backend::memcached_model::CasNames;
use crate::history::record::StepKind;
use crate::step::{Answer, CacheReply, NodeId};
use crate::time::Time;

/// A hasher of 128 bits: two lanes of folded 64-bit multiplication, each with a key of its
/// own. It is fast and the same on every machine; it is no defence against an adversary.
/// After the folded multiply of wyhash (Wang Yi, 2019).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fold128 {
    a: u64,
    b: u64,
}

impl Default for Fold128 {
    fn default() -> Fold128 {
        Fold128 { a: 0x243f_6a88_85a3_08d3, b: 0x1319_8a2e_0370_7344 }
    }
}

#[inline]
fn fold(x: u64, y: u64) -> u64 {
    let product = u128::from(x) * u128::from(y);
    product as u64 ^ (product >> 64) as u64
}

impl Fold128 {
    pub(crate) fn finish128(&self) -> u128 {
        let a = fold(self.a ^ 0xa409_3822_299f_31d0, 0x9e37_79b9_7f4a_7c15);
        let b = fold(self.b ^ 0x082e_fa98_ec4e_6c89, 0xd6e8_feb8_6659_fd93);
        u128::from(a) << 64 | u128::from(b)
    }

    /// The fingerprint of one value.
    pub(crate) fn of(value: &impl Hash) -> u128 {
        let mut hasher = Fold128::default();
        value.hash(&mut hasher);
        hasher.finish128()
    }
}

impl Hasher for Fold128 {
    fn finish(&self) -> u64 {
        self.finish128() as u64
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.write_u64(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        }
        let rest = chunks.remainder();
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last) ^ (bytes.len() as u64) << 56);
    }

    #[inline]
    fn write_u64(&mut self, number: u64) {
        self.a = fold(self.a ^ number, 0x9e37_79b9_7f4a_7c15).wrapping_add(self.b);
        self.b = fold(self.b.rotate_left(23) ^ number, 0xd6e8_feb8_6659_fd93) ^ self.a;
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(u64::from(number));
    }

    fn write_u16(&mut self, number: u16) {
        self.write_u64(u64::from(number));
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }
}

/// What a client has been told in its current operation, answer by answer. A pattern is a
/// function of this, so it says where the pattern's future stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Trail {
    told: Fold128,
    /// CAS ids among the answers, in their order.
    tokens: Vec<(NodeId, u64)>,
    /// All of it, to be told again; shared with the checkpoints that were made since.
    pub events: Rc<Vec<Event>>,
    /// Calls of earlier operations that had no answer when this one began.
    pub abandoned: Vec<u32>,
}

/// What a pattern's future and its scheduler did.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Event {
    /// It was polled when its client's clock showed this.
    Polled(Time),
    /// It sent a step.
    Sent(StepKind),
    /// The call with this ticket was answered.
    Told(u32, Answer),
}

impl Trail {
    /// An operation begins.
    pub fn begin(&mut self, abandoned: Vec<u32>) {
        self.told = Fold128::default();
        self.tokens.clear();
        self.events = Rc::default();
        self.abandoned = abandoned;
    }

    pub fn keep(&mut self, event: Event) {
        Rc::make_mut(&mut self.events).push(event);
    }

    /// Feeds what it was told to a hasher, CAS ids by name.
    pub fn hash<N: Hash>(&self, mut name: impl FnMut(NodeId, u64) -> N, into: &mut Fold128) {
        let Trail {
            told,
            tokens,
            // What `told` and `tokens` are made of.
            events: _,
            // Calls whose places are taken; which place a call has, no pattern can see.
            abandoned: _,
        } = self;
        feed("Trail.told", &told.finish128(), into);
        for (node, token) in tokens {
            feed("Trail.tokens", &name(*node, *token), into);
        }
    }

    fn note(&mut self, ticket: u32, node: NodeId, answer: &Answer) {
        self.keep(Event::Told(ticket, answer.clone()));
        ticket.hash(&mut self.told);
        match answer {
            Answer::Cache(CacheReply::Found(item)) => {
                self.tokens.push((node, item.cas));
                let shown = (&item.value, item.flags, item.stale, item.win, item.remaining);
                shown.hash(&mut self.told);
            }
            other => other.hash(&mut self.told),
        }
    }
}

/// The times that patterns see are cut down to this when a scheduler chooses everything: it
/// moves the clock by a nanosecond a step, to tell the order of events, not to let time pass.
const GRAIN_NANOS: u64 = 1_000;

impl World<'_> {
    /// The time as clients see it.
    pub(super) fn shown_time(&self) -> Time {
        match self.fixed.manual {
            true => Time(self.state.now.0 - self.state.now.0 % GRAIN_NANOS),
            false => self.state.now,
        }
    }

    /// Notes what a client is told.
    #[inline]
    pub(super) fn note_answer(&mut self, client: usize, flight: usize, answer: &Answer) {
        if self.fixed.keeps_trails {
            let (ticket, node) = (self.flight(flight).ticket, self.flight(flight).node);
            self.state.clients[client].trail.note(ticket, node, answer);
        }
    }

    /// Feeds what servers and processes hold to a hasher; `false` when it cannot be seen.
    pub(super) fn fingerprint_of_servers(&self, names: &mut CasNames, into: &mut Fold128) -> bool {
        let seen =
            self.cache.fingerprint(self.state.now, names, into) && self.database.fingerprint(into);
        for process in &self.state.processes {
            process.fingerprint(into);
        }
        seen
    }

    /// Names for CAS ids.
    pub(super) fn cas_names(&self) -> CasNames {
        match self.injector.restarts_nodes() {
            true => CasNames::numbers(),
            false => CasNames::new(),
        }
    }

    /// Feeds what a client's pattern can know in its current operation to a hasher, by which
    /// clients are put in order: CAS ids by the names that the servers' items gave them.
    pub(super) fn fingerprint_of_client(
        &self,
        client: usize,
        names: &CasNames,
        into: &mut Fold128,
    ) {
        let known = |node, token| names.known(node, token);
        self.state.clients[client].fingerprint_known(&self.actors[client], known, into);
    }

    /// Feeds the rest of the state to a hasher, clients in the order of their places.
    pub(super) fn fingerprint_of_clients(
        &self,
        places: &Places,
        names: &mut CasNames,
        into: &mut Fold128,
    ) {
        let mut absolute = false;
        for place in 0..self.state.clients.len() {
            let client = places.client_at(place);
            let (state, actor) = (&self.state.clients[client], &self.actors[client]);
            let begun = if places.rounds(place) == 0 { state.begun } else { usize::MAX };
            state.fingerprint(actor, begun, |node, token| names.name(node, token), into);
            absolute |= !actor.is_idle() && actor.port.asked_time();
        }
        self.state.fingerprint_shared(self.fixed.rules.replica_lag, into);
        if absolute {
            feed("State.now, asked for", &self.shown_time(), into);
        }
        // Where the clock stands within its second decides when items expire.
        feed("State.now, in its second", &(self.shown_time().0 % 1_000_000_000), into);
    }
}
