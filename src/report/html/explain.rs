//! A step in a sentence or three, for people who do not know memcached by heart.

use crate::run::timeline::{Freshness, Timeline, TimelineStep};
use crate::time::human;

/// What a step did and why it matters.
pub(super) fn step(timeline: &Timeline, number: usize) -> String {
    let step = &timeline.steps[number];
    let mut text =
        format!("Step {}, at {}: {}. ", number + 1, human(step.at_nanos), asked(timeline, step));
    text.push_str(&ended(step));
    match step.freshness {
        Some(Freshness::Stale) if stores(step) => text.push_str(
            " A later write had been committed by then: this puts a stale value into the cache.",
        ),
        Some(Freshness::Stale) => {
            text.push_str(" A later write had been committed by then: this value is stale.");
        }
        Some(Freshness::Ahead) => {
            text.push_str(" This value had not been committed to the database.");
        }
        _ => {}
    }
    if let Some(fault) = &step.fault {
        text.push_str(&format!(" Fault: {fault}."));
    }
    text
}

fn stores(step: &TimelineStep) -> bool {
    let name = step.kind.split_once('.').map_or("", |(_, name)| name);
    step.lane.starts_with("cache")
        && matches!(name, "set" | "add" | "replace" | "cas" | "append" | "prepend" | "meta-set")
}

fn asked(timeline: &Timeline, step: &TimelineStep) -> String {
    let operation = timeline.operations.iter().find(|op| op.id == step.actor);
    let who = match operation {
        Some(op) => format!("{} ({})", op.id, op.kind),
        None => step.actor.clone(),
    };
    let key = step.key.as_deref().map_or_else(String::new, |key| format!(" of {key}"));
    let waited = step.at_nanos.saturating_sub(step.sent_nanos);
    let late = match step.executed && waited > 0 {
        true => format!(", sent {} earlier", human(waited)),
        false => String::new(),
    };
    format!("{who} sends {}{key} to {}{late}", step.kind, place(&step.lane))
}

/// A lane in words.
pub(super) fn place(lane: &str) -> String {
    match lane.strip_prefix("cache") {
        Some(number) => format!("cache node {number}"),
        None if lane == "process" => "the memory of its process".to_owned(),
        None => format!("the {lane}"),
    }
}

fn ended(step: &TimelineStep) -> String {
    let mut text = match (step.executed, &step.value, step.result.as_str()) {
        (false, ..) => "It was never executed.".to_owned(),
        (_, Some(value), "found") => format!("It finds the value written by {value}."),
        (_, Some(value), "done") => format!("It writes the value of {value}."),
        (_, _, "done") => "It is done.".to_owned(),
        (_, _, result) => format!("Answer: {result}."),
    };
    match step.note.as_deref() {
        Some("no answer seen") => text.push_str(" Nobody saw the answer."),
        Some(note) => text.push_str(&format!(" The caller saw: {note}.")),
        None => {}
    }
    text
}
