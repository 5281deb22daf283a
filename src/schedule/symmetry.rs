//! Clients that stand for one another: the third reduction of exploration.
//!
//! Where two clients ask the same and neither has shown who it is, a state in which they have
//! changed places is the same state under other names. Each state has a form in which such
//! clients stand in one order, by what they have been told; states of one form are merged, and
//! what is kept of them is kept under the form's names (Ip and Dill, "Better Verification
//! Through Symmetry", Formal Methods in System Design 9, 1996).

use std::hash::Hash;

use super::choice::Choice;
use super::identity::Fold128;
use super::stepper::Stepper;
use crate::backend::memcached_model::CasNames;
use crate::fault::What;
use crate::operation::{ClientId, OpId};

/// Which client stands in which place of a state's form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Places {
    /// By place; empty when each client stands in its own.
    clients: Vec<usize>,
    /// By client, of background work that cannot know it: how many rounds there have been. In
    /// the form rounds are counted back from the last; a relay that tries again and again
    /// would have new states for ever.
    rounds: Vec<u32>,
}

impl Places {
    fn are_plain(&self) -> bool {
        self.clients.is_empty() && self.rounds.is_empty()
    }

    /// Rounds that do not count, if any.
    pub fn rounds(&self, client: usize) -> u32 {
        self.rounds.get(client).copied().unwrap_or(0)
    }

    pub fn client_at(&self, place: usize) -> usize {
        self.clients.get(place).copied().unwrap_or(place)
    }

    pub fn place_of(&self, client: usize) -> usize {
        self.clients.iter().position(|other| *other == client).unwrap_or(client)
    }
}

impl<'s> Stepper<'s> {
    /// The places of clients in the form of this state. Which of them have a name already is
    /// part of the form: of two states of one form the same clients keep their places.
    pub(super) fn places(&self, names: &CasNames, into: &mut Fold128) -> Places {
        let background = self.progress.background.iter().any(Option::is_some);
        let rounds = |client: usize| match self.progress.background[client] {
            Some(_) if self.world.is_anonymous(client) => self.world.begun(client) as u32,
            _ => 0,
        };
        let rounds = if background { (0..self.twins.len()).map(rounds).collect() } else { vec![] };
        Places { clients: self.order_of_twins(names, into), rounds }
    }

    /// By place, the client that stands there; empty when each stands in its own.
    fn order_of_twins(&self, names: &CasNames, into: &mut Fold128) -> Vec<usize> {
        if self.progress.monitor.names_clients() || self.twins.iter().all(Option::is_none) {
            return Vec::new();
        }
        let key = |client: usize| self.world.is_anonymous(client).then(|| self.key(client, names));
        let keys: Vec<Option<u128>> = (0..self.twins.len()).map(key).collect();
        keys.iter().for_each(|key| key.is_some().hash(into));
        let before = |place: usize| {
            let mut twin = self.twins[place];
            while let Some(place) = twin.filter(|place| keys[*place].is_none()) {
                twin = self.twins[place];
            }
            twin
        };
        let mut clients: Vec<usize> = (0..keys.len()).collect();
        for client in (0..keys.len()).filter(|client| keys[*client].is_some()) {
            let mut place = client;
            while let Some(other) = before(place)
                && keys[clients[other]] > keys[clients[place]]
            {
                clients.swap(other, place);
                place = other;
            }
        }
        match clients.is_sorted() {
            true => Vec::new(),
            false => clients,
        }
    }

    /// What a client is put in order by. Clients with the same key keep their order, which
    /// costs merged states at the worst.
    fn key(&self, client: usize, names: &CasNames) -> u128 {
        let mut hasher = Fold128::default();
        self.world.fingerprint_of_client(client, names, &mut hasher);
        (self.progress.invoked[client], self.progress.monitor.known(client)).hash(&mut hasher);
        hasher.finish128()
    }

    /// An operation under the name that it has in a state's form.
    pub(super) fn renamed(&self, op: OpId, places: &Places) -> OpId {
        self.op_as(op, places, |client| places.place_of(client))
    }

    fn op_as(&self, op: OpId, places: &Places, to: impl Fn(usize) -> usize) -> OpId {
        if places.are_plain() {
            return op;
        }
        let number = match places.rounds(self.world.place_of_client(op.client())) {
            0 => op.number(),
            // The same there and back, also of rounds that are still to come.
            rounds => rounds.wrapping_sub(op.number()),
        };
        OpId::new(self.client_as(op.client(), to), number)
    }

    fn client_as(&self, client: ClientId, to: impl Fn(usize) -> usize) -> ClientId {
        self.world.client_id(to(self.world.place_of_client(client)))
    }

    fn choice_as(&self, choice: Choice, places: &Places, to: impl Fn(usize) -> usize) -> Choice {
        match choice {
            Choice::Step(op, step) => Choice::Step(self.op_as(op, places, to), step),
            Choice::Wake(op, step) => Choice::Wake(self.op_as(op, places, to), step),
            Choice::Alive(op, step, tick) => Choice::Alive(self.op_as(op, places, to), step, tick),
            Choice::Expired(op, step, tick) => {
                Choice::Expired(self.op_as(op, places, to), step, tick)
            }
            Choice::Sees(op, step, count) => Choice::Sees(self.op_as(op, places, to), step, count),
            Choice::Late(op, step) => Choice::Late(self.op_as(op, places, to), step),
            Choice::Begin(client) => Choice::Begin(self.client_as(client, to)),
            Choice::Strike(rule, op, step) => {
                Choice::Strike(rule, self.op_as(op, places, to), step)
            }
            Choice::StrikeAfter(rule, op, step) => {
                Choice::StrikeAfter(rule, self.op_as(op, places, to), step)
            }
            Choice::StrikeFlying(rule, op, step) => {
                Choice::StrikeFlying(rule, self.op_as(op, places, to), step)
            }
            // The client of a crash stands for its process, which it may share with others.
            Choice::StrikeClient(rule, client)
                if self.world.fault(rule).what != What::Crash || !self.world.shares_process() =>
            {
                Choice::StrikeClient(rule, self.client_as(client, to))
            }
            _ => choice,
        }
    }

    /// Translates choices between a state and its form.
    pub fn naming<'a>(&'a self, places: &'a Places) -> Naming<'a, 's> {
        Naming { stepper: self, places }
    }
}

/// The names of choices in a state and in its form.
pub(crate) struct Naming<'a, 's> {
    stepper: &'a Stepper<'s>,
    places: &'a Places,
}

impl Naming<'_, '_> {
    pub fn in_form(&self, choice: Choice) -> Choice {
        self.stepper.choice_as(choice, self.places, |client| self.places.place_of(client))
    }

    pub fn in_state(&self, choice: Choice) -> Choice {
        self.stepper.choice_as(choice, self.places, |place| self.places.client_at(place))
    }
}
