//! What of the past still matters for a verdict: the part of a state's identity that depends
//! on the question asked.
//!
//! Two states whose servers and clients agree have the same futures, but not the same past. A
//! finding about a read that has returned, about the order of operations, or about who caused
//! a bad entry, needs some of the past in the fingerprint; a finding about the final state
//! needs next to none.

use std::hash::{Hash, Hasher};

use super::identity::Fold128;
use super::story;
use super::symmetry::Places;
use super::terms::{become_like, counts, feed};
use crate::history::record::{History, KeyId, OpRecord, Reported};
use crate::operation::{OpId, OpKind, Outcome};
use crate::step::Key;

/// Names what is wrong with a read that has ended, from what has happened so far.
#[derive(Clone, Copy, Debug)]
pub struct NameOfRead(pub fn(&History, &OpRecord) -> Named);

/// What is wrong with a read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Named {
    /// Whether something is.
    pub wrong: bool,
    /// The hazard behind it.
    pub hazard: Option<&'static str>,
    /// The hazard behind rows that were never current together.
    pub torn: Option<&'static str>,
}

/// There is one way to name a read.
impl PartialEq for NameOfRead {
    fn eq(&self, _: &NameOfRead) -> bool {
        true
    }
}

impl Eq for NameOfRead {}

/// What the verdict is about, beside the final state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Track {
    /// How writes ended, where that is not plain success: what they wrote may be lost.
    pub writes: bool,
    /// Whether reads were stale when they returned.
    pub reads: bool,
    /// Whether the rows that a read of several returned were ever current together: that
    /// depends on the order of commits of different rows.
    pub views: bool,
    /// All that operations returned.
    pub results: bool,
    /// Which operation had returned before which was invoked.
    pub real_time: bool,
    /// How entries came to be, where hazards are to be named.
    pub causes: Option<NameOfRead>,
}

impl Track {
    /// Whether the order of a return and an invocation counts.
    pub(super) fn orders_operations(self) -> bool {
        self.real_time || (self.causes.is_some() && self.reads)
    }

    fn watches_operations(self) -> bool {
        self.writes || self.reads || self.results || self.real_time
    }
}

/// Watches operations begin and end.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Monitor {
    track: Track,
    /// A sum over what has been decided: the order is not in it.
    decided: u128,
    /// A sum over the operations that have ended.
    ended: u128,
    /// By client, for the operation under way: what had been committed to its row, and what
    /// had ended, when it was invoked.
    open: Vec<Option<(u64, u128)>>,
    /// By client, for the operation under way: the newest state of its row that a read had
    /// returned when it was invoked. The names of hazards depend on it.
    returned: Vec<u64>,
    /// Whose further steps the name of a read that ended still depends on.
    witnesses: Vec<OpId>,
    /// From where on, in the order of executions, background work may still do something about
    /// such a read.
    helped_since: Option<u64>,
    /// Whether there is background work, which takes steps for others.
    background: bool,
}

fn commits(history: &History, key: KeyId) -> u64 {
    history.commits.iter().filter(|commit| commit.key == key).count() as u64
}

impl Monitor {
    pub fn new(track: Track, clients: usize, background: bool) -> Monitor {
        let (open, returned) = (vec![None; clients], vec![0; clients]);
        Monitor { track, open, returned, background, ..Monitor::default() }
    }

    pub fn become_like(&mut self, other: &Monitor) {
        become_like!(
            Monitor: self, other;
            decided, ended, open, returned, witnesses, helped_since;
            same track, background
        );
    }

    /// An operation is invoked; its first row's key is given.
    pub fn invoked(&mut self, client: usize, key: Option<KeyId>, history: &History) {
        if self.track.watches_operations() {
            let known = match key {
                _ if self.track.views => history.commits.len() as u64,
                Some(key) if self.track.reads => commits(history, key),
                _ => 0,
            };
            self.open[client] = Some((known, self.ended));
        }
        if let (Some(key), true) = (key, self.names_reads()) {
            self.returned[client] = newest_read(history, key);
        }
    }

    /// The operations recorded from this place on have ended.
    pub fn ended(&mut self, from: usize, history: &History, client_of: impl Fn(OpId) -> usize) {
        if !self.track.watches_operations() {
            return;
        }
        let before = self.ended;
        for op in &history.ops[from..] {
            let client = op.id.client().is_ordinary().then(|| client_of(op.id));
            let open = client.and_then(|client| self.open[client]);
            let newest = client.map_or(0, |client| self.returned[client]);
            if self.names_reads() && op.kind == OpKind::Read && op.outcome == Outcome::Ok {
                self.name(op, newest, history);
            }
            if self.track.results || self.track.real_time {
                let mut hasher = Fold128::default();
                hash_op(op, history, &mut hasher);
                let (known, seen) = open.unwrap_or((0, before));
                self.track.real_time.then_some(seen).hash(&mut hasher);
                // A read is stale by what had been committed when it began, returned or not.
                (self.track.reads && op.kind == OpKind::Read).then_some(known).hash(&mut hasher);
                if self.track.views && op.kind == OpKind::Read {
                    hash_commits(history, &mut hasher);
                }
                self.ended = self.ended.wrapping_add(hasher.finish128());
            } else {
                self.decide(op, open.map_or(0, |(known, _)| known), history);
            }
        }
        for op in history.ops[from..].iter().filter(|op| op.id.client().is_ordinary()) {
            self.open[client_of(op.id)] = None;
        }
    }

    /// Whether reads of several rows are looked at as one.
    pub fn watches_views(&self) -> bool {
        self.track.views
    }

    /// Keeps of a read that has ended what its name follows from: the name itself, once nobody can
    /// do anything about it any more.
    fn name(&mut self, op: &OpRecord, newest: u64, history: &History) {
        let Some(NameOfRead(name)) = self.track.causes else { return };
        let named = name(history, op);
        let mut hasher = Fold128::default();
        (op.key, named).hash(&mut hasher);
        if named.wrong {
            let mut evidence = Fold128::default();
            let witnesses = story::of_read(history, op, &mut evidence);
            if self.background || !witnesses.is_empty() {
                (newest, evidence.finish128()).hash(&mut hasher);
            }
            if self.background {
                let last = history.steps.iter().map(|step| step.order).max();
                self.helped_since = self.helped_since.or(last);
            }
            self.witnesses.extend(witnesses);
            self.witnesses.sort_unstable();
            self.witnesses.dedup();
        }
        self.decided = self.decided.wrapping_add(hasher.finish128());
    }

    /// Keeps of an operation that has ended what a verdict can still depend on.
    fn decide(&mut self, op: &OpRecord, known: u64, history: &History) {
        let mut hasher = Fold128::default();
        if op.kind == OpKind::Read {
            // A read that failed says nothing, but that its pattern panicked is a finding.
            if !self.track.reads || op.outcome != Outcome::Ok {
                if op.reported == Reported::Panic {
                    (op.key, op.reported).hash(&mut hasher);
                    self.decided = self.decided.wrapping_add(hasher.finish128());
                }
                return;
            }
            if self.track.views {
                (op.key, op.value, op.found, op.wrong, known).hash(&mut hasher);
                hash_commits(history, &mut hasher);
                self.decided = self.decided.wrapping_add(hasher.finish128());
                return;
            }
            // It is stale when there was a later state when the read began.
            match place(op, history) {
                Some(place) if !op.wrong && place >= known => return,
                Some(_) => (op.key, op.wrong, true).hash(&mut hasher),
                None => (op.key, op.value, op.found, commits(history, op.key)).hash(&mut hasher),
            }
        } else {
            let committed = history.commits.iter().any(|commit| commit.writer == op.id);
            let plain = matches!(op.reported, Reported::Ok) && committed;
            let none = matches!(op.reported, Reported::Unchanged) && !committed;
            if (plain || none) && op.kind != OpKind::Modify {
                return;
            }
            (op.id, op.reported, op.outcome, op.value, op.found).hash(&mut hasher);
            (op.kind == OpKind::Modify).then(|| replaced(history, op.id)).hash(&mut hasher);
        }
        self.decided = self.decided.wrapping_add(hasher.finish128());
    }

    /// A sum over what the operations that have ended returned.
    pub fn returned(&self) -> u128 {
        self.ended
    }

    /// What had been committed, and what had ended, when the operation under way was invoked.
    pub fn known(&self, client: usize) -> Option<(u64, u128)> {
        self.open[client]
    }

    /// Whether names of hazards are asked of what reads returned.
    pub fn names_reads(&self) -> bool {
        self.track.causes.is_some() && self.track.reads
    }

    /// Whether how entries came to be is asked.
    pub fn names_hazards(&self) -> bool {
        self.track.causes.is_some()
    }

    /// Whether what is kept of the past names clients.
    pub fn names_clients(&self) -> bool {
        self.track.results || self.track.real_time || self.track.causes.is_some()
    }

    /// Feeds what matters of the past to a hasher; `open_ops` are the operations under way.
    pub fn fingerprint(
        &self,
        history: &History,
        open_ops: &[OpId],
        places: &Places,
        into: &mut Fold128,
    ) {
        let Monitor {
            track,
            decided,
            ended,
            open,
            returned,
            witnesses,
            helped_since,
            background: _,
        } = self;
        if track.watches_operations() {
            feed("Monitor.ended", ended, into);
            feed("Monitor.decided", decided, into);
            let open = (0..open.len()).filter_map(|place| open[places.client_at(place)]);
            for (known, ended) in open {
                feed("Monitor.open known", &known, into);
                feed("Monitor.open ended", &track.real_time.then_some(ended), into);
            }
        }
        if track.writes && counts("History.steps, increments") {
            hash_increments(history, open_ops, into);
        }
        if track.views && counts("History.commits") {
            hash_commits(history, into);
        }
        if track.causes.is_some() && counts("story") {
            story::fingerprint(history, open_ops, *helped_since, into);
            witnesses.iter().for_each(|op| story::of_operation(history, *op, into));
            if self.names_reads() {
                let open = (0..open.len()).map(|place| places.client_at(place));
                let open = open.filter(|client| self.open[*client].is_some());
                open.for_each(|client| returned[client].hash(into));
                let mut keys: Vec<KeyId> = history.ops.iter().map(|op| op.key).collect();
                keys.sort_unstable_by_key(|key| history.keys.name(*key));
                keys.dedup();
                keys.iter().for_each(|key| newest_read(history, *key).hash(into));
            }
        }
    }
}

/// The place of the newest state of a row that a read has returned.
fn newest_read(history: &History, key: KeyId) -> u64 {
    let reads = history.ops.iter().filter(|op| op.key == key && op.kind == OpKind::Read);
    reads.filter_map(|op| place(op, history)).max().unwrap_or(0)
}

/// The place of what a read returned among the states of its row.
fn place(op: &OpRecord, history: &History) -> Option<u64> {
    let mut of_key = history.commits.iter().filter(|commit| commit.key == op.key);
    match (op.found, op.value) {
        (true, OpId::INITIAL) => Some(0),
        (true, value) => of_key.position(|c| c.writer == value).map(|p| p as u64 + 1),
        (false, _) => of_key
            .filter(|commit| commit.at < op.end)
            .enumerate()
            .filter(|(_, commit)| commit.absent)
            .last()
            .map(|(place, _)| place as u64 + 1),
    }
}

/// Which counters were counted up twice for one operation, and which once, of an operation that
/// may do so again: it cannot know when a reply was lost.
fn hash_increments(history: &History, open_ops: &[OpId], into: &mut impl Hasher) {
    let increments = history.steps.iter().filter(|step| step.is_increment());
    let mut seen: Vec<(OpId, Option<KeyId>)> = Vec::new();
    let mut twice: Vec<Option<&Key>> = Vec::new();
    for step in increments {
        match seen.contains(&(step.op, step.key)) {
            true => twice.push(step.key.map(|key| history.keys.name(key))),
            false => seen.push((step.op, step.key)),
        }
    }
    if seen.is_empty() {
        return;
    }
    twice.sort_unstable();
    twice.dedup();
    twice.hash(into);
    for op in open_ops {
        let mut once: Vec<_> = seen.iter().filter(|(of, _)| of == op).collect();
        once.sort_unstable_by_key(|(_, key)| key.map(|key| history.keys.name(key)));
        once.iter().for_each(|(_, key)| key.map(|key| history.keys.name(key)).hash(into));
        once.len().hash(into);
    }
}

/// Which rows were committed, in order.
fn hash_commits(history: &History, into: &mut impl Hasher) {
    for commit in &history.commits {
        (commit.key, commit.writer, commit.absent).hash(into);
    }
}

fn hash_op(op: &OpRecord, history: &History, into: &mut impl Hasher) {
    let name = history.keys.name(op.key);
    (op.id, name, op.kind, op.found, op.value, op.wrong).hash(into);
    (op.reported, op.outcome, op.source).hash(into);
    // Whether a read was stale, or ahead, depends on what had been committed.
    (op.kind == OpKind::Read).then(|| commits(history, op.key)).hash(into);
    (op.kind == OpKind::Modify).then(|| replaced(history, op.id)).hash(into);
}

/// The writer of what an operation's commit replaced: a read-modify-write loses an update unless
/// that is what it was based on. `None` before its commit.
pub(super) fn replaced(history: &History, op: OpId) -> Option<OpId> {
    let place = history.commits.iter().position(|commit| commit.writer == op)?;
    let before = history.commits[..place].iter().rev();
    let last = before.clone().find(|commit| commit.key == history.commits[place].key);
    Some(match last {
        None => OpId::INITIAL,
        Some(commit) if commit.absent => OpId::NONE,
        Some(commit) => commit.writer,
    })
}
