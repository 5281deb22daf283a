//! The result of an exploration, and a replay, for a terminal.

use std::fmt::Write;

use super::lanes;
use super::text::Colour;
use crate::explore::{Counterexample, ExploreResult, Replayed};

/// All that is known about one exploration, the verdict first.
pub fn text(result: &ExploreResult, colour: Colour) -> String {
    let mut out = String::new();
    let verdict = match result.verdict.as_str() {
        "holds" if !result.not_tested.is_empty() => colour.paint("33", "not tested"),
        "holds" => colour.paint("32", "holds"),
        "violated" => colour.paint("31", "violated"),
        other => colour.paint("33", other),
    };
    let _ = writeln!(out, "{verdict}  {}", result.claim);
    let _ = writeln!(out, "  {} · {} · {}", result.scenario, result.pattern, result.bound);
    let searched = match (result.exhausted, &result.reason) {
        (true, _) => "every schedule within this bound was searched".to_owned(),
        (false, Some(reason)) => format!("not every schedule was searched: {reason}"),
        (false, None) => "not every schedule was searched".to_owned(),
    };
    let _ = writeln!(out, "  {searched} for {}", result.properties.join(", "));
    let _ = writeln!(
        out,
        "  {} schedules to their end, {} joined one searched before, {} states, {} choices",
        result.schedules, result.pruned, result.states, result.choices
    );
    if let Some(bits) = result.collision_bits() {
        let _ = writeln!(out, "  the chance that two states were taken for one is below 2^-{bits}");
    }
    for finding in &result.findings {
        let _ = writeln!(out, "  found    {finding}");
    }
    let is_named = result.findings.iter().any(|finding| finding.hazard.is_some());
    if is_named && !result.causes_searched {
        out.push_str("  the cause is that of the schedule below; others were not searched\n");
    }
    for reason in &result.not_tested {
        let _ = writeln!(out, "  not tested: {reason}");
    }
    let told = |rule: &String| {
        let start = format!("fault `{rule}` ");
        result.not_tested.iter().any(|reason| reason.starts_with(&start))
    };
    for rule in result.never_struck.iter().filter(|rule| !told(rule)) {
        let _ = writeln!(out, "  the fault `{rule}` had no step to strike");
    }
    if let Some(expected) = &result.expected {
        let word = match result.as_expected {
            _ if !result.not_tested.is_empty() => "not tested",
            Some(true) => "as expected",
            Some(false) => "differs",
            None => "unknown",
        };
        let _ = writeln!(out, "  {word}: `{expected}` was expected");
    }
    if let Some(counterexample) = &result.counterexample {
        out.push_str(&smallest(counterexample));
    }
    out
}

/// The smallest schedule, drawn.
pub fn smallest(counterexample: &Counterexample) -> String {
    let mut out = String::new();
    let steps = counterexample.choices.len();
    let faults = match counterexample.faults {
        0 => String::new(),
        1 => ", 1 fault".to_owned(),
        n => format!(", {n} faults"),
    };
    let size = if counterexample.small.is_some() { "small" } else { "smallest" };
    let _ = writeln!(out, "  {size} schedule for {}: {steps} choices{faults}", {
        &counterexample.finding
    });
    if let Some(limit) = &counterexample.small {
        let _ = writeln!(out, "    there may be a smaller one: {limit}");
    }
    let needs = counterexample.needs();
    if !needs.is_empty() {
        let _ = writeln!(out, "  needs {}", needs.join(" and "));
    }
    for line in lanes::render(&counterexample.timeline) {
        let _ = writeln!(out, "    {line}");
    }
    out
}

/// What a replay came to.
pub fn replay(
    counterexample: &Counterexample,
    replayed: &Replayed,
    servers: &str,
    colour: Colour,
) -> String {
    let mut out = String::new();
    let confirmed = counterexample.is_confirmed_by(replayed);
    let verdict = match confirmed {
        true => colour.paint("31", "confirmed"),
        false => colour.paint("33", "not confirmed"),
    };
    let _ = writeln!(out, "{verdict}  {} on {servers}", counterexample.finding);
    let _ =
        writeln!(out, "  {} · {}", counterexample.scenario.pattern, counterexample.scenario.claim);
    for line in lanes::render(&replayed.timeline) {
        let _ = writeln!(out, "    {line}");
    }
    if let Some(divergence) = &replayed.divergence {
        let _ = writeln!(out, "  differs first at number {}", divergence.number);
        let _ = writeln!(out, "    recorded: {}", divergence.recorded);
        let _ = writeln!(out, "    happened: {}", divergence.happened);
    }
    for finding in &replayed.findings {
        let _ = writeln!(out, "  found    {finding}");
    }
    if replayed.findings.is_empty() && replayed.divergence.is_none() {
        out.push_str("  every choice was taken, and nothing is wrong at the end\n");
    }
    out
}
