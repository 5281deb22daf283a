//! Exposure: for how long the cache held something other than the last committed row,
//! whether or not anybody read it. Needs a history with steps.
//!
//! It is about rows' own keys, as the audit is: whether readers still come to what lies under a
//! key with a version, a generation or an epoch in it, only the pattern knows.

use rustc_hash::FxHashMap;

use super::States;
use crate::history::record::{History, KeyId, StepKind, StepRecord, StepResult};
use crate::operation::OpId;
use crate::step::{NodeId, Win};
use crate::time::Time;

/// An interval in which a key's entry differed from its row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// The key.
    pub key: KeyId,
    /// Since when.
    pub from: Time,
    /// Until when; `None` if it still differed at the audit.
    pub until: Option<Time>,
    /// Whether it was over because the entry expired.
    pub expired: bool,
    /// The writer of the entry's value; `None` for a value that says that there is no row.
    pub value: Option<OpId>,
}

/// All intervals of a history.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exposure {
    /// In the order of their ends, those still open last.
    pub intervals: Vec<Interval>,
    /// The sum of all, in nanoseconds ("key-seconds").
    pub total_nanos: u64,
    /// The longest, in nanoseconds.
    pub longest_nanos: u64,
}

/// What the cache is known to hold under a key.
#[derive(Clone, Copy)]
struct Held {
    /// The writer of the value; `None` for a value that says that there is no row.
    value: Option<OpId>,
    node: NodeId,
    expires: Time,
    /// Marked stale: the next reader loads it anew. Once that reader is told so, all others are
    /// served what is there.
    marked: bool,
    differs_since: Option<Time>,
}

struct Sweep<'a> {
    history: &'a History,
    states: &'a States,
    /// Whether a row was stored under its own key.
    own_keys: bool,
    /// Whether one was stored under another.
    other_keys: bool,
    /// Whether an entry ends at a time that is not known.
    untold: bool,
    committed: FxHashMap<KeyId, usize>,
    held: FxHashMap<KeyId, Held>,
    intervals: Vec<Interval>,
}

/// Finds all intervals; `None` when the history has no steps, when rows were stored only under keys
/// that are not their own, or when nobody knows when one of them ended: its server's clock is its
/// own, and to take it for an entry that stays would make exposure up.
pub fn measure(history: &History, states: &States) -> Option<Exposure> {
    if !history.steps_kept {
        return None;
    }
    let mut sweep = Sweep {
        history,
        states,
        own_keys: false,
        other_keys: false,
        untold: false,
        committed: FxHashMap::default(),
        held: FxHashMap::default(),
        intervals: Vec::new(),
    };
    let mut steps: Vec<&StepRecord> = history.steps.iter().filter(|step| step.order > 0).collect();
    steps.sort_unstable_by_key(|step| step.order);
    let mut commits = history.commits.iter().peekable();
    for step in steps {
        sweep.cache_step(step);
        while let Some(commit) = commits.next_if(|commit| commit.order <= step.order) {
            sweep.commit(commit.key, commit.at);
        }
    }
    if sweep.untold || (sweep.other_keys && !sweep.own_keys) {
        return None;
    }
    let end = history.phases.audit;
    let mut open: Vec<KeyId> = sweep.held.keys().copied().collect();
    open.sort_unstable();
    for key in open {
        sweep.expire(key, end);
        if let Some(held) = sweep.held.get(&key)
            && let Some(from) = held.differs_since
        {
            sweep.intervals.push(held.interval(key, from, None));
        }
    }
    Some(summary(sweep.intervals, end))
}

fn summary(intervals: Vec<Interval>, end: Time) -> Exposure {
    let length = |i: &Interval| i.until.unwrap_or(end).since(i.from).as_nanos() as u64;
    Exposure {
        total_nanos: intervals.iter().map(length).sum(),
        longest_nanos: intervals.iter().map(length).max().unwrap_or(0),
        intervals,
    }
}

impl Held {
    fn interval(&self, key: KeyId, from: Time, until: Option<Time>) -> Interval {
        Interval { key, from, until, expired: false, value: self.value }
    }
}

impl Sweep<'_> {
    fn cache_step(&mut self, step: &StepRecord) {
        use StepKind::*;
        let done = step.result == StepResult::Done;
        match (step.kind, step.key) {
            (CacheRestart | CacheFlushAll, _) => self.clear_node(step.node, step.executed),
            (CacheEvict, Some(key)) => self.remove(key, step.executed),
            (CacheMetaDelete, Some(key)) if done && !step.absent => self.mark(key, step),
            (CacheMetaGet, Some(key)) if step.result == StepResult::Lease(Win::Won) => {
                self.win(key, step.executed);
            }
            (CacheDelete | CacheMetaDelete, Some(key)) if done => self.remove(key, step.executed),
            (CacheSet | CacheAdd | CacheReplace | CacheCas | CacheMetaSet, Some(key)) if done => {
                self.remove(key, step.executed);
                // Other values without a writer are no rows: a lock, a tombstone, a counter.
                if step.value != OpId::NONE || step.absent {
                    self.install(key, step);
                }
            }
            (CacheTouch | CacheGat, Some(key)) => {
                if let Some(held) = self.held.get_mut(&key)
                    && step.executed < held.expires
                {
                    held.expires = step.expires;
                    self.untold |= step.expires == Time::UNTOLD;
                }
            }
            _ => {}
        }
    }

    fn install(&mut self, key: KeyId, step: &StepRecord) {
        if !matches!(self.history.rows.get(key.0 as usize), Some(Some(_))) {
            self.other_keys = true;
            return;
        }
        self.own_keys = true;
        self.untold |= step.expires == Time::UNTOLD;
        let held = Held {
            value: (!step.absent).then_some(step.value),
            node: step.node,
            expires: step.expires,
            marked: false,
            differs_since: None,
        };
        self.held.insert(key, held);
        self.compare(key, step.executed);
    }

    fn mark(&mut self, key: KeyId, step: &StepRecord) {
        self.expire(key, step.executed);
        let Some(held) = self.held.get_mut(&key) else { return };
        (held.marked, held.expires) = (true, step.expires);
        self.untold |= step.expires == Time::UNTOLD;
        self.compare(key, step.executed);
    }

    /// A reader was told to load what is marked stale.
    fn win(&mut self, key: KeyId, at: Time) {
        let Some(held) = self.held.get_mut(&key) else { return };
        held.marked = false;
        self.compare(key, at);
    }

    fn commit(&mut self, key: KeyId, at: Time) {
        *self.committed.entry(key).or_insert(0) += 1;
        self.expire(key, at);
        self.compare(key, at);
    }

    /// Opens or closes an interval as the entry differs from its row or not.
    fn compare(&mut self, key: KeyId, at: Time) {
        let place = self.committed.get(&key).copied().unwrap_or(0);
        let state = self.states.of(key)[place];
        let Some(held) = self.held.get_mut(&key) else { return };
        let row = (!state.absent).then_some(state.writer);
        // Readers who compare a row with the database are served no other.
        let unread = held.marked || (self.history.readers_validate && held.value.is_some());
        let differs = held.value != row && !unread;
        match (differs, held.differs_since) {
            (true, None) => held.differs_since = Some(at),
            (false, Some(from)) => {
                held.differs_since = None;
                self.intervals.push(held.interval(key, from, Some(at)));
            }
            _ => {}
        }
    }

    fn expire(&mut self, key: KeyId, now: Time) {
        if let Some(expires) = self.held.get(&key).map(|held| held.expires)
            && expires <= now
        {
            self.remove(key, expires);
        }
    }

    fn remove(&mut self, key: KeyId, at: Time) {
        let Some(held) = self.held.remove(&key) else { return };
        let until = at.min(held.expires);
        if let Some(from) = held.differs_since.filter(|from| *from < until) {
            let expired = held.expires <= at;
            self.intervals.push(Interval { expired, ..held.interval(key, from, Some(until)) });
        }
    }

    fn clear_node(&mut self, node: NodeId, at: Time) {
        let mut keys: Vec<KeyId> =
            self.held.iter().filter(|(_, held)| held.node == node).map(|(key, _)| *key).collect();
        keys.sort_unstable();
        for key in keys {
            self.remove(key, at);
        }
    }
}
