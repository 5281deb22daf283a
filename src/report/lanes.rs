//! A timeline as text: a column for each operation, a line for each step.

use std::fmt::Write;

use crate::run::timeline::{Freshness, Timeline, TimelineFault, TimelineStep};
use crate::time::human;

/// Operations that get columns of their own; more are named line by line.
const COLUMNS_MAX: usize = 4;
const TIME_WIDTH: usize = 12;

/// The lines of a timeline, without a margin.
pub fn render(timeline: &Timeline) -> Vec<String> {
    let mut lines = Vec::new();
    if timeline.left_out > 0 {
        lines.push(format!("... {} earlier steps", timeline.left_out));
    }
    match timeline.operations.len() {
        1..=COLUMNS_MAX => columns(timeline, &mut lines),
        _ => list(timeline, &mut lines),
    }
    lines
}

fn columns(timeline: &Timeline, lines: &mut Vec<String>) {
    let actors: Vec<&str> = timeline.operations.iter().map(|op| op.id.as_str()).collect();
    // What servers did by themselves, and background work, belongs to no operation.
    let column = |step: &TimelineStep| actors.iter().position(|actor| *actor == step.actor);
    let own = |place: usize| timeline.steps.iter().filter(move |step| column(step) == Some(place));
    let heads: Vec<String> = timeline
        .operations
        .iter()
        .map(|op| format!("{} {} {}", op.id, op.kind, told(&op.reported)))
        .collect();
    let mut widths: Vec<usize> = heads.iter().map(|head| head.chars().count()).collect();
    for (place, width) in widths.iter_mut().enumerate() {
        let longest = own(place).map(|step| words(step).chars().count()).max().unwrap_or(0);
        *width = longest.max(*width);
    }
    let mut head = " ".repeat(TIME_WIDTH);
    for (text, width) in heads.iter().zip(&widths) {
        let _ = write!(head, "  {text:<width$}");
    }
    lines.push(head.trim_end().to_owned());
    in_order(timeline, lines, |step| {
        let place = column(step);
        let mut line = format!("{:>TIME_WIDTH$}", human(step.at_nanos));
        for (number, width) in widths.iter().enumerate() {
            let text = if place == Some(number) { words(step) } else { "·".to_owned() };
            let _ = write!(line, "  {text:<width$}");
        }
        if place.is_none() {
            let _ = write!(line, "  {}: {}", step.actor, words(step));
        }
        line.trim_end().to_owned()
    });
}

fn list(timeline: &Timeline, lines: &mut Vec<String>) {
    in_order(timeline, lines, |step| {
        let at = human(step.at_nanos);
        format!("{at:>TIME_WIDTH$}  {:<12} {}", step.actor, words(step))
    });
}

/// The steps and, between them, the faults of the world.
fn in_order(timeline: &Timeline, lines: &mut Vec<String>, line: impl Fn(&TimelineStep) -> String) {
    let mut world = timeline.faults.iter().filter(|fault| fault.step.is_none()).peekable();
    for step in &timeline.steps {
        while let Some(fault) = world.next_if(|fault| fault.at_nanos <= step.at_nanos) {
            lines.push(fault_in_words(fault));
        }
        lines.push(line(step));
    }
    lines.extend(world.map(fault_in_words));
}

fn fault_in_words(fault: &TimelineFault) -> String {
    let until = fault.until_nanos.map_or_else(String::new, |n| format!(" until {}", human(n)));
    let at = human(fault.at_nanos);
    format!("{at:>TIME_WIDTH$}  << {} ({}){until}", fault.fault, fault.target)
}

fn told(reported: &str) -> String {
    match reported {
        "ok" => "→ ok".to_owned(),
        "nothing" => "→ never told".to_owned(),
        other => format!("→ {other}"),
    }
}

/// One step: what was asked, what came of it.
fn words(step: &TimelineStep) -> String {
    let mut line = step.kind.clone();
    let ended = match (&step.value, step.result.as_str(), &step.note) {
        (Some(value), "found" | "done", _) => value,
        // What the caller was told says as much.
        (_, "not executed", Some(note)) => note,
        (_, result, _) => result,
    };
    let _ = write!(line, " {ended}");
    match step.freshness {
        Some(Freshness::Stale) => line.push_str(" STALE"),
        Some(Freshness::Ahead) => line.push_str(" (not committed)"),
        _ => {}
    }
    if let Some(note) = step.note.as_ref().filter(|note| *note != ended) {
        let _ = write!(line, " ({note})");
    }
    if let Some(fault) = &step.fault {
        let name = fault.split(' ').next().unwrap_or(fault);
        let _ = write!(line, " << {name}");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::timeline::TimelineOperation;

    fn step(at_nanos: u64, actor: &str, kind: &str, value: &str) -> TimelineStep {
        TimelineStep {
            at_nanos,
            sent_nanos: at_nanos,
            answered_nanos: Some(at_nanos),
            executed: true,
            actor: actor.to_owned(),
            client: "c".to_owned(),
            lane: "database".to_owned(),
            kind: kind.to_owned(),
            key: None,
            value: Some(value.to_owned()),
            freshness: None,
            result: "done".to_owned(),
            note: None,
            fault: None,
        }
    }

    fn operation(id: &str, kind: &str) -> TimelineOperation {
        TimelineOperation {
            id: id.to_owned(),
            client: "c".to_owned(),
            kind: kind.to_owned(),
            start_nanos: 0,
            end_nanos: None,
            reported: "nothing".to_owned(),
            outcome: "unknown".to_owned(),
        }
    }

    #[test]
    fn each_operation_has_a_column_and_faults_stand_between_steps() {
        let lost = TimelineStep {
            executed: false,
            result: "not executed".to_owned(),
            note: Some("timeout".to_owned()),
            fault: Some("lose-request on cache.set".to_owned()),
            value: None,
            ..step(3_000, "c1#1", "cache.set", "")
        };
        let timeline = Timeline {
            operations: vec![operation("c0#1", "read"), operation("c1#1", "update")],
            steps: vec![step(1_000, "c0#1", "db.select", "initial"), lost],
            faults: vec![TimelineFault {
                at_nanos: 2_000,
                until_nanos: None,
                fault: "restart-node".to_owned(),
                target: "node 0".to_owned(),
                step: None,
            }],
            left_out: 0,
        };
        let expected = "              c0#1 read → never told  c1#1 update → never told
         1us  db.select initial       ·
         2us  << restart-node (node 0)
         3us  ·                       cache.set timeout << lose-request";
        assert_eq!(render(&timeline).join("\n"), expected);
    }
}
