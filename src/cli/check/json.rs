//! What `check` prints for programs: one object per history.
//!
//! - `metrics`: what `--expect` can ask for; `linearizable` is `holds`, `violated` or
//!   `unknown`, `null` what the history does not tell or nobody asked to measure;
//! - `violations`: keys with a proof, only the most telling unless `--all`;
//!   `violated_keys` counts all of them;
//! - `unknown`: the keys that are not decided, each with how many configurations the search had
//!   `visited` when it reached `--limit`; `unknown_keys` counts them;
//! - `expectations`: `met` is `null` for what is unknown or was not tested;
//! - `staleness`, where it was measured: `reads` and `hits` (those that returned, and those of
//!   them that were certainly stale), the same for reads `before`, `during` and `after` the faults
//!   as `phases` (`null` where there were none), `visible` (of the reads so long after the last
//!   acknowledgement, those that returned that write or something not older), `nines` (the writes
//!   that a read contradicted so long after, or later, and the nines of those that none did:
//!   `null` for none contradicted), and the stalest read as `worst`;
//! - `findings`, where it was measured: by metric, how much could be `tested`, how many are
//!   wrong, and the operations that show it: the first such case, with `--all` up to 1000.

use serde_json::{Map, Value, json};

use super::evidence::Measured;
use super::expect::Met;
use super::measures::Measures;
use super::{Arguments, Checked};
use crate::check::found::Found;
use crate::check::linear::words::{Clock, sentence};
use crate::check::linear::{Proof, Violation};
use crate::check::staleness::{Part, SINCE, Staleness};
use crate::history::file::writer::word;
use crate::history::log::{Kind, Log};
use crate::metric::{self, Source};
use crate::scenario::{MetricKind, Number, VERDICTS};
use crate::time::Time;

/// The version of this output.
const FORMAT: u32 = 1;

pub(super) fn render(checked: &Checked, arguments: &Arguments) -> String {
    let log = &checked.reading.log;
    let judgement = &checked.judgement;
    let measured = Measured { log, judgement, measures: checked.measures.as_ref() };
    let mut metrics = Map::new();
    for metric in metric::of(Source::Check) {
        // No JSON number is infinite, as a Delta can be: that becomes null.
        let value = (metric.value)(&measured).map(|value| match (metric.kind, value) {
            (MetricKind::Verdict, Number::Whole(verdict)) => json!(VERDICTS[verdict as usize]),
            (_, Number::Whole(number)) => json!(number),
            (_, Number::Real(number)) => json!(number),
        });
        metrics.insert(metric.name.to_owned(), value.unwrap_or(Value::Null));
    }
    let shown = if arguments.all { judgement.violated.len() } else { 1 };
    let clock = Clock::of(log);
    let violations: Vec<Value> = judgement
        .violated
        .iter()
        .take(shown)
        .map(|(key, violation)| {
            let mut object = certificate(log, violation);
            object.insert("key".to_owned(), json!(log.key_name(*key)));
            object.insert("sentence".to_owned(), json!(sentence(log, violation, &clock)));
            Value::Object(object)
        })
        .collect();
    let mut object = json!({
        "format": FORMAT,
        "history": checked.name,
        "lines": checked.reading.lines,
        "skipped": checked.reading.skipped,
        "metrics": metrics,
        "violated_keys": judgement.violated.len(),
        "violations": violations,
        "unknown_keys": judgement.unknown.len(),
        "unknown": judgement.unknown.iter().map(|(key, limit)| json!({
            "key": log.key_name(*key),
            "visited": limit.visited,
        })).collect::<Vec<_>>(),
        "expectations": checked.expectations.iter().map(|(expectation, met)| json!({
            "expected": expectation.text,
            "met": match met { Met::Yes => json!(true), Met::No => json!(false), _ => json!(null) },
        })).collect::<Vec<_>>(),
    });
    if let Some(measures) = &checked.measures {
        object["staleness"] = staleness(log, &measures.staleness);
        object["findings"] = findings(log, measures, arguments.all);
    }
    if arguments.linearization {
        let orders: Map<String, Value> = checked
            .orders
            .iter()
            .map(|(key, order)| {
                (key.clone(), order.iter().map(|place| operation(log, *place)).collect())
            })
            .collect();
        object["linearizations"] = Value::Object(orders);
    }
    format!("{object:#}\n")
}

fn staleness(log: &Log, staleness: &Staleness) -> Value {
    let part = |part: &Part| json!({"reads": part.reads, "stale": part.stale});
    let since = SINCE.iter().zip(staleness.visible).enumerate();
    json!({
        "reads": part(&staleness.all),
        "hits": part(&staleness.hits),
        "phases": staleness.phases.as_ref().map(|[first, second, third]| json!({
            "before": part(first),
            "during": part(second),
            "after": part(third),
        })),
        "visible": since.clone().map(|(_, (since, (reads, visible)))| json!({
            "after_ns": since,
            "reads": reads,
            "visible": visible,
        })).collect::<Vec<_>>(),
        "nines": since.map(|(bucket, (since, _))| json!({
            "after_ns": since,
            "writes": staleness.writes,
            "contradicted": staleness.contradicted[bucket],
            "nines": staleness.nines(bucket),
        })).collect::<Vec<_>>(),
        "worst": staleness.worst.map(|read| json!({
            "operation": operation(log, read.place),
            "at_least_ns": read.at_least,
            "at_most_ns": read.at_most,
            "versions_behind": read.versions_behind,
        })),
    })
}

fn findings(log: &Log, measures: &Measures, all: bool) -> Value {
    let of = |found: &Found| {
        let shown = if all { usize::MAX } else { 1 };
        let cases = found.findings.iter().take(shown);
        json!({
            "tested": found.tested,
            "count": found.count,
            "operations": cases
                .map(|case| case.iter().map(|place| operation(log, *place)).collect())
                .collect::<Vec<Value>>(),
        })
    };
    let answers = measures.answers();
    Value::Object(answers.iter().map(|a| (a.metric.to_owned(), of(a.found))).collect())
}

/// A proof in the terms of its operations: places in the list that goes with it.
fn certificate(log: &Log, violation: &Violation) -> Map<String, Value> {
    let of = |place: usize| violation.ops.iter().position(|other| *other == place);
    let all = |places: &[usize]| places.iter().map(|place| of(*place)).collect::<Vec<_>>();
    let proof = match &violation.proof {
        Proof::NeverWritten { read } => json!({"kind": "never-written", "read": of(*read)}),
        Proof::WriteFailed { read, write } => {
            json!({"kind": "write-failed", "read": of(*read), "write": of(*write)})
        }
        Proof::FromTheFuture { read, write } => {
            json!({"kind": "from-the-future", "read": of(*read), "write": of(*write)})
        }
        Proof::Both { one, other } => json!({
            "kind": "before-and-after",
            "precedences": [[one.0.map(of), of(other.0)], [of(other.1), of(one.1)]],
        }),
        Proof::TooFewDeletes { reads, deletes, initial } => json!({
            "kind": "too-few-deletes",
            "reads": all(reads),
            "deletes": all(deletes),
            "absent_at_the_start": initial,
        }),
        Proof::Exhausted => json!({"kind": "exhausted"}),
    };
    let operations: Vec<Value> = violation.ops.iter().map(|place| operation(log, *place)).collect();
    let mut object = Map::new();
    object.insert("proof".to_owned(), proof);
    object.insert("operations".to_owned(), Value::Array(operations));
    object
}

/// An operation as it stands in a history file.
fn operation(log: &Log, place: usize) -> Value {
    let op = &log.ops[place];
    let value = log.value_name(op.key, op.value);
    let time = |time: Time| match log.recorded(time) {
        number if number < 0 => json!(number as i64),
        number => json!(number as u64),
    };
    json!({
        "client": log.clients[op.client.0 as usize].to_string().parse::<serde_json::Number>().ok(),
        "op": match (op.kind, value) {
            (Kind::Read, _) => "read",
            (Kind::Write, None) => "delete",
            (Kind::Write, Some(_)) => "write",
        },
        "key": log.key_name(op.key),
        "value": value,
        "start": time(op.start),
        "end": (op.end != Time::NEVER).then(|| time(op.end)),
        "outcome": word(op.outcome),
    })
}
