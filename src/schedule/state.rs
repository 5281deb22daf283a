//! All of a world that changes and can be copied. What does not change is in
//! [`Fixed`](super::world::Fixed); what cannot be copied, futures and servers, stands beside it.
//!
//! Whoever copies or names a state lists all fields of each of its parts, without `..`: a new
//! field does not compile until somebody has decided whether it identifies a state. One that is
//! forgotten in a copy is a schedule that cannot happen, one in the name is states that are
//! taken for each other, and a *holds* that is wrong.

use std::rc::Rc;
use std::time::Duration;

use super::client::Client;
use super::followers::Followers;
use super::identity::Fold128;
use super::memory::Memory;
use super::network::Network;
use super::recorder::Recorder;
use super::terms::{become_like, feed};
use crate::pattern::AnyPattern;
use crate::step::ConnectionId;
use crate::time::Time;

/// What a world holds.
#[derive(Clone)]
pub(super) struct State {
    pub clients: Vec<Client>,
    pub processes: Vec<Process>,
    pub network: Network,
    pub followers: Followers,
    pub bypass: Bypass,
    pub recorder: Recorder,
    /// Clients of the application that have operations left.
    pub active: usize,
    pub now: Time,
}

impl State {
    pub fn new(recorder: Recorder, followers: Followers, active: usize) -> State {
        State {
            clients: Vec::new(),
            processes: Vec::new(),
            network: Network::default(),
            followers,
            bypass: Bypass::default(),
            recorder,
            active,
            now: Time::ZERO,
        }
    }

    pub fn become_like(&mut self, other: &State) {
        become_like!(State: self, other;
            processes, bypass, active, now;
            parts network, followers, recorder;
            lists clients);
    }

    /// Feeds what everybody shares to a hasher. Clients are named apart, in the order of their
    /// places, and so is the memory of processes, which comes before that order is known.
    pub fn fingerprint_shared(&self, lag: Option<Duration>, into: &mut Fold128) {
        let State {
            clients: _,
            processes: _,
            network,
            followers,
            bypass,
            // The past; what of it a verdict can still depend on is the monitor's to say.
            recorder: _,
            // A count of the clients that have operations left.
            active: _,
            // Only differences from now are in a state: who asks for them feeds them.
            now,
        } = self;
        bypass.fingerprint(into);
        network.fingerprint(into);
        followers.fingerprint(*now, lag, into);
    }
}

#[cfg(test)]
impl State {
    /// A part in which it differs from another.
    pub fn difference(&self, other: &State) -> Option<&'static str> {
        let State { clients, processes, network, followers, bypass, recorder, active, now } = self;
        let memory = |processes: &[Process]| -> Vec<Memory> {
            processes.iter().map(|process| process.memory.clone()).collect()
        };
        match () {
            () if *clients != other.clients => Some("a client"),
            () if memory(processes) != memory(&other.processes) => Some("a process"),
            () if *network != other.network => Some("the network"),
            () if *followers != other.followers => Some("a follower of the database"),
            () if *bypass != other.bypass => Some("the bypass"),
            () if !recorder.has_recorded_the_same(&other.recorder) => Some("the record"),
            () if (active, now) != (&other.active, &other.now) => Some("the time"),
            () => None,
        }
    }
}

/// A process: memory that its clients share, and their instance of the pattern.
#[derive(Clone)]
pub(super) struct Process {
    pub memory: Memory,
    pub pattern: Rc<dyn AnyPattern>,
}

impl Process {
    /// Feeds what its clients can find in it to a hasher.
    pub fn fingerprint(&self, into: &mut Fold128) {
        let Process {
            memory,
            // The same code for all; what an instance hides makes states incomparable:
            // `Program::can_merge`.
            pattern: _,
        } = self;
        feed("Process.memory", memory, into);
    }
}

/// Those who change rows with SQL, behind the application's back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Bypass {
    /// Statements so far, which name their writers.
    pub count: u32,
    pub connection: Option<ConnectionId>,
}

impl Bypass {
    fn fingerprint(&self, into: &mut Fold128) {
        let Bypass {
            count,
            // It has no transaction, and any other would do.
            connection: _,
        } = self;
        feed("Bypass.count", count, into);
    }
}
