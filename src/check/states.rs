//! The states that each row went through, from its commits.

use rustc_hash::FxHashMap;

use crate::history::record::{CommitRecord, History, KeyId};
use crate::operation::OpId;
use crate::step::StepId;
use crate::time::Time;

/// One state of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct State {
    /// From when on.
    pub at: Time,
    /// Its place in the order of all executions; 0 for the state at the start.
    pub order: u64,
    /// Who wrote it.
    pub writer: OpId,
    /// The step that committed it; meaningless for the state at the start.
    pub step: StepId,
    /// Whether the row was absent.
    pub absent: bool,
}

/// The states of all rows, in the order of their commits.
#[derive(Debug, Default)]
pub struct States {
    of_key: Vec<Vec<State>>,
    /// The places of the ordinary clients' writes: by client, then by operation. A table
    /// rather than a map, because long runs have millions.
    places: Vec<Vec<u32>>,
    /// The places of all other writes, among them the rows at the start: a flusher may write
    /// an initial row anew.
    others: FxHashMap<(KeyId, OpId), u32>,
}

const NO_PLACE: u32 = u32::MAX;

impl States {
    /// Collects the states.
    pub fn new(history: &History) -> States {
        let absent = State {
            at: Time::ZERO,
            order: 0,
            writer: OpId::NONE,
            step: StepId::default(),
            absent: true,
        };
        let mut states = States {
            of_key: vec![vec![absent]; history.keys.len()],
            places: Vec::new(),
            others: FxHashMap::default(),
        };
        for (key, _) in &history.initial {
            let initial = State { writer: OpId::INITIAL, absent: false, ..absent };
            states.of_key[key.0 as usize] = vec![initial];
            states.note(*key, OpId::INITIAL, 0);
        }
        for commit in &history.commits {
            let of_key = &mut states.of_key[commit.key.0 as usize];
            let place = of_key.len() as u32;
            of_key.push(State::of(commit));
            states.note(commit.key, commit.writer, place);
        }
        states
    }

    fn note(&mut self, key: KeyId, writer: OpId, place: u32) {
        if writer == OpId::INITIAL || !writer.client().is_ordinary() {
            self.others.insert((key, writer), place);
            return;
        }
        let (client, number) = (writer.client().0 as usize, writer.number() as usize);
        if self.places.len() <= client {
            self.places.resize(client + 1, Vec::new());
        }
        let of_client = &mut self.places[client];
        if of_client.len() <= number {
            of_client.resize(number + 1, NO_PLACE);
        }
        let noted = of_client[number] as usize;
        let own = |place: usize| {
            self.of_key[key.0 as usize].get(place).is_some_and(|state| state.writer == writer)
        };
        match of_client[number] == NO_PLACE || own(noted) {
            true => of_client[number] = place,
            // A transaction over several rows.
            false => drop(self.others.insert((key, writer), place)),
        }
    }

    /// The states of a key, the one at the start first.
    pub fn of(&self, key: KeyId) -> &[State] {
        &self.of_key[key.0 as usize]
    }

    /// The place of a writer's state among its key's; `None` if it never committed.
    pub fn place(&self, key: KeyId, writer: OpId) -> Option<usize> {
        let own =
            |place: &usize| self.of(key).get(*place).is_some_and(|state| state.writer == writer);
        let dense = writer != OpId::INITIAL && writer.client().is_ordinary();
        if dense {
            let of_client = self.places.get(writer.client().0 as usize)?;
            let place = *of_client.get(writer.number() as usize)? as usize;
            // The place is that on the first key that the writer committed, which may be
            // another one.
            if own(&place) {
                return Some(place);
            }
        }
        self.others.get(&(key, writer)).map(|place| *place as usize).filter(own)
    }
}

impl State {
    fn of(commit: &CommitRecord) -> State {
        State {
            at: commit.at,
            order: commit.order,
            writer: commit.writer,
            step: commit.step,
            absent: commit.absent,
        }
    }
}
