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
    /// Whether the row was absent.
    pub absent: bool,
    /// The step that committed it, if steps are kept.
    pub step: Option<StepId>,
}

/// The states of all rows, in the order of their commits.
#[derive(Debug, Default)]
pub struct States {
    of_key: Vec<Vec<State>>,
    places: FxHashMap<(KeyId, OpId), u32>,
}

impl States {
    /// Collects the states.
    pub fn new(history: &History) -> States {
        let absent =
            State { at: Time::ZERO, order: 0, writer: OpId::NONE, absent: true, step: None };
        let mut of_key = vec![vec![absent]; history.keys.len()];
        let mut places = FxHashMap::default();
        for (key, _) in &history.initial {
            let initial = State { writer: OpId::INITIAL, absent: false, ..absent };
            of_key[key.0 as usize] = vec![initial];
            places.insert((*key, OpId::INITIAL), 0);
        }
        for commit in &history.commits {
            let states = &mut of_key[commit.key.0 as usize];
            places.insert((commit.key, commit.writer), states.len() as u32);
            states.push(State::of(commit));
        }
        States { of_key, places }
    }

    /// The states of a key, the one at the start first.
    pub fn of(&self, key: KeyId) -> &[State] {
        &self.of_key[key.0 as usize]
    }

    /// The place of a writer's state among its key's; `None` if it never committed.
    pub fn place(&self, key: KeyId, writer: OpId) -> Option<usize> {
        self.places.get(&(key, writer)).map(|place| *place as usize)
    }

    /// The place of the state that held at a point in time.
    pub fn place_at(&self, key: KeyId, at: Time) -> usize {
        self.of(key).partition_point(|state| state.at <= at).saturating_sub(1)
    }
}

impl State {
    fn of(commit: &CommitRecord) -> State {
        State {
            at: commit.at,
            order: commit.order,
            writer: commit.writer,
            absent: commit.absent,
            step: Some(commit.step),
        }
    }
}
