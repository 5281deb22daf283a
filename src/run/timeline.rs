//! The steps that matter for a finding, as data: what a diagram draws and a terminal prints.
//!
//! [`Timeline::of`] takes them out of a history, for the operations of interest; it serves
//! the findings of an audit as well as a counterexample. `report::lanes` puts it in words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::history::record::{
    CommitRecord, FaultRecord, History, KeyId, OpRecord, Reported, StepKind, StepRecord, StepResult,
};
use crate::operation::{OpId, Outcome};
use crate::step::StepId;
use crate::time::Time;

/// Steps that a timeline keeps at most: the latest.
const STEPS_MAX: usize = 48;
/// Faults of the world that a timeline keeps at most.
const FAULTS_MAX: usize = 16;

/// What some operations did, in the order in which it took effect.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Timeline {
    /// The operations, in the order in which they began.
    pub operations: Vec<TimelineOperation>,
    /// Their steps, and what servers did by themselves in between.
    pub steps: Vec<TimelineStep>,
    /// Faults that struck a shown step, or the world meanwhile.
    pub faults: Vec<TimelineFault>,
    /// Earlier steps that are not shown.
    pub left_out: u64,
}

/// An operation of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineOperation {
    /// Client and number, as in `c0#1`.
    pub id: String,
    /// The client.
    pub client: String,
    /// `read`, `update`, ...
    pub kind: String,
    /// When it was invoked.
    pub start_nanos: u64,
    /// When it returned; `null` when it did not.
    pub end_nanos: Option<u64>,
    /// What the caller was told: `ok`, `unchanged`, `error`, `nothing`, `panic`.
    pub reported: String,
    /// What became of it: `ok`, `failed`, `unknown`.
    pub outcome: String,
}

/// A step of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineStep {
    /// When it took effect; when it was sent, for one that never did.
    pub at_nanos: u64,
    /// When it was sent.
    pub sent_nanos: u64,
    /// When the caller learnt how it ended; `null` when it did not.
    pub answered_nanos: Option<u64>,
    /// Whether it took effect.
    pub executed: bool,
    /// The operation that sent it, or `server` for what servers do by themselves.
    pub actor: String,
    /// The client whose lane it starts from.
    pub client: String,
    /// Where it went: `cache0`, `cache1`, ..., `database`, or `process` for shared memory.
    pub lane: String,
    /// `cache.set`, `db.select`, ...
    pub kind: String,
    /// The key, where it is about one.
    pub key: Option<String>,
    /// The writer of the value that was stored or found.
    pub value: Option<String>,
    /// How that value compared with the committed row at that moment.
    pub freshness: Option<Freshness>,
    /// What the server answered, in words.
    pub result: String,
    /// What the caller saw of it when that differs: an error, or no answer at all.
    pub note: Option<String>,
    /// The fault that struck it.
    pub fault: Option<String>,
}

/// How a value compares with the last committed row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Freshness {
    /// It is the last committed one.
    Current,
    /// A later one had been committed.
    Stale,
    /// It had not been committed.
    Ahead,
}

/// A fault in a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TimelineFault {
    /// When it struck.
    pub at_nanos: u64,
    /// When it ended, for one that lasts.
    pub until_nanos: Option<u64>,
    /// The fault, in words.
    pub fault: String,
    /// What it struck.
    pub target: String,
    /// The place in `steps` of the step that it struck.
    pub step: Option<usize>,
}

/// What a timeline is about.
#[derive(Clone, Copy, Debug)]
pub struct Interest<'a> {
    /// The operations whose steps are shown.
    pub operations: &'a [OpId],
    /// Only steps on this key, and steps without a key; `None` for all keys.
    pub key: Option<KeyId>,
    /// The fault rules in words, by their places in the plan.
    pub faults: &'a [String],
}

impl Timeline {
    /// Takes the steps of interest out of a history. Without recorded steps it has none.
    pub fn of(history: &History, interest: &Interest<'_>) -> Timeline {
        let mut numbers: Vec<usize> = (0..history.steps.len())
            .filter(|number| interest.has(&history.steps[*number]))
            .collect();
        numbers.sort_by_key(|number| {
            let step = &history.steps[*number];
            // What never took effect was sent after what had taken effect by then.
            let order = if step.executed == Time::NEVER { u64::MAX } else { step.order };
            (took_effect(step), order, *number)
        });
        let left_out = numbers.len().saturating_sub(STEPS_MAX);
        numbers.drain(..left_out);
        let commits = Commits::of(history, &numbers);
        let mut steps: Vec<TimelineStep> = Vec::with_capacity(numbers.len());
        for number in &numbers {
            let record = &history.steps[*number];
            let fault = record.fault.map(|rule| interest.name(rule));
            steps.push(TimelineStep { fault, ..commits.step(record) });
        }
        let faults = faults(history, interest, &numbers);
        for fault in &faults {
            if let Some(step) = fault.step.and_then(|place| steps.get_mut(place)) {
                step.fault.get_or_insert_with(|| fault.fault.clone());
            }
        }
        Timeline {
            operations: operations(history, interest),
            steps,
            faults,
            left_out: left_out as u64,
        }
    }

    /// The clients, in the order in which their first operation began.
    pub fn clients(&self) -> Vec<&str> {
        distinct(self.operations.iter().map(|op| op.client.as_str()))
    }
}

/// Each text once, in the order of its first appearance.
fn distinct<'a>(texts: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut seen: Vec<&str> = Vec::new();
    for text in texts {
        if !seen.contains(&text) {
            seen.push(text);
        }
    }
    seen
}

impl Interest<'_> {
    fn has(&self, step: &StepRecord) -> bool {
        let of_key = self.key.is_none() || step.key.is_none() || step.key == self.key;
        let by_server = step.op == OpId::INITIAL && step.key == self.key;
        of_key && (self.operations.contains(&step.op) || by_server)
    }

    fn name(&self, rule: u16) -> String {
        let name = self.faults.get(usize::from(rule)).cloned();
        name.unwrap_or_else(|| format!("fault {rule}"))
    }
}

fn took_effect(step: &StepRecord) -> Time {
    if step.executed == Time::NEVER { step.sent } else { step.executed }
}

fn instant(time: Time) -> Option<u64> {
    (time != Time::NEVER).then_some(time.nanos())
}

fn operations(history: &History, interest: &Interest<'_>) -> Vec<TimelineOperation> {
    let mut shown: Vec<&OpRecord> = Vec::new();
    for op in history.ops.iter().filter(|op| interest.operations.contains(&op.id)) {
        // An operation on several rows is several records; one of them is enough here.
        if !shown.iter().any(|other| other.id == op.id) {
            shown.push(op);
        }
    }
    shown.sort_by_key(|op| (op.start, op.id));
    let in_words = |op: &&OpRecord| TimelineOperation {
        id: op.id.to_string(),
        client: op.id.client().to_string(),
        kind: op.kind.name().to_owned(),
        start_nanos: op.start.nanos(),
        end_nanos: instant(op.end),
        reported: reported(op.reported).to_owned(),
        outcome: outcome(op.outcome).to_owned(),
    };
    shown.iter().map(in_words).collect()
}

fn reported(reported: Reported) -> &'static str {
    match reported {
        Reported::Ok => "ok",
        Reported::Unchanged => "unchanged",
        Reported::Error => "error",
        Reported::Nothing => "nothing",
        Reported::Panic => "panic",
    }
}

fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "ok",
        Outcome::Failed => "failed",
        Outcome::Unknown => "unknown",
    }
}

/// The faults that struck a shown step, or the world between the first and the last of them.
fn faults(history: &History, interest: &Interest<'_>, numbers: &[usize]) -> Vec<TimelineFault> {
    let shown = || numbers.iter().map(|number| &history.steps[*number]);
    let first = shown().map(|step| step.sent).min().unwrap_or(Time::ZERO);
    let last = shown().map(took_effect).max().unwrap_or(Time::ZERO);
    let place = |step: StepId| numbers.iter().position(|number| *number as u64 == step.0);
    let relevant = |fault: &&FaultRecord| match fault.step {
        Some(step) => place(step).is_some(),
        None => fault.at <= last && fault.until.unwrap_or(fault.at) >= first,
    };
    let in_words = |fault: &FaultRecord| TimelineFault {
        at_nanos: fault.at.nanos(),
        until_nanos: fault.until.and_then(instant),
        fault: interest.name(fault.rule),
        target: fault.target.clone(),
        step: fault.step.and_then(place),
    };
    history.faults.iter().filter(relevant).take(FAULTS_MAX).map(in_words).collect()
}

/// The commits of the keys that a timeline is about, in their order.
struct Commits<'a> {
    history: &'a History,
    commits: Vec<&'a CommitRecord>,
}

impl<'a> Commits<'a> {
    fn of(history: &'a History, numbers: &[usize]) -> Commits<'a> {
        let mut keys: Vec<KeyId> =
            numbers.iter().filter_map(|number| history.steps[*number].key).collect();
        keys.sort_unstable();
        keys.dedup();
        let mut commits: Vec<&CommitRecord> =
            history.commits.iter().filter(|c| keys.binary_search(&c.key).is_ok()).collect();
        commits.sort_by_key(|commit| commit.order);
        Commits { history, commits }
    }

    fn step(&self, step: &StepRecord) -> TimelineStep {
        let by_server = step.op == OpId::INITIAL;
        TimelineStep {
            at_nanos: took_effect(step).nanos(),
            sent_nanos: step.sent.nanos(),
            answered_nanos: instant(step.answered),
            executed: step.executed != Time::NEVER,
            actor: if by_server { "server".to_owned() } else { step.op.to_string() },
            client: if by_server { "server".to_owned() } else { step.op.client().to_string() },
            lane: lane(step),
            kind: step.kind.name().to_owned(),
            key: step.key.map(|key| self.history.keys.name(key).to_string()),
            value: (step.value != OpId::NONE).then(|| step.value.to_string()),
            freshness: self.freshness(step),
            result: result(step.result),
            note: note(step),
            fault: None,
        }
    }

    fn freshness(&self, step: &StepRecord) -> Option<Freshness> {
        let compared = step.kind.is_cache() || step.kind == StepKind::DbSelect;
        let key = step.key.filter(|_| compared && step.order > 0 && step.value != OpId::NONE)?;
        let initial = self.history.initial.iter().any(|(initial, _)| *initial == key);
        let mut latest = initial.then_some(OpId::INITIAL);
        let mut was_committed = initial && step.value == OpId::INITIAL;
        let of_key = self.commits.iter().filter(|commit| commit.key == key);
        for commit in of_key.take_while(|commit| commit.order <= step.order) {
            latest = (!commit.absent).then_some(commit.writer);
            was_committed |= commit.writer == step.value;
        }
        match (latest == Some(step.value), was_committed) {
            (true, _) => Some(Freshness::Current),
            (false, true) => Some(Freshness::Stale),
            // A transaction sees its own writes before anybody else does.
            (false, false) => step.kind.is_cache().then_some(Freshness::Ahead),
        }
    }
}

fn lane(step: &StepRecord) -> String {
    match step.kind {
        kind if kind.is_cache() => format!("cache{}", step.node.0),
        kind if kind.is_database() => "database".to_owned(),
        _ => "process".to_owned(),
    }
}

fn result(result: StepResult) -> String {
    match result {
        StepResult::Pending => "not executed".to_owned(),
        StepResult::Found => "found".to_owned(),
        StepResult::Lease(win) => format!("found, lease {win:?}").to_lowercase(),
        StepResult::Missing => "nothing there".to_owned(),
        StepResult::Done => "done".to_owned(),
        StepResult::Pretended => "said done, not done".to_owned(),
        StepResult::NotDone => "nothing to do".to_owned(),
        StepResult::Exists => "changed since".to_owned(),
        StepResult::CacheRefused(error) => format!("{error:?}"),
        StepResult::SqlFailed(error) => error.name().to_owned(),
    }
}

fn note(step: &StepRecord) -> Option<String> {
    match step.error {
        Some(error) => Some(error.name().to_owned()),
        None if step.answered == Time::NEVER && step.op != OpId::INITIAL => {
            Some("no answer seen".to_owned())
        }
        None => None,
    }
}
