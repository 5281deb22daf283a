//! What `check` prints for people.

use super::expect::Met;
use super::{Arguments, Checked, plural};
use crate::check::linear::words::{self, Clock};
use crate::history::log::Op;

/// Operations of a linearization that are printed at most.
const ORDER_MAX: usize = 10_000;

pub(super) fn render(checked: &Checked, arguments: &Arguments) -> String {
    let mut out = String::new();
    let log = &checked.reading.log;
    let name = &checked.name;
    if log.ops.is_empty() {
        out.push_str(&format!(
            "not tested  {name}: no operations in {}; expected one operation a line, see \
             staleproof check --help\n",
            plural(checked.reading.lines, "line")
        ));
    } else {
        let judgement = &checked.judgement;
        let verdict = match () {
            () if !judgement.violated.is_empty() => "not linearizable",
            () if !judgement.unknown.is_empty() => "unknown",
            () => "linearizable",
        };
        out.push_str(&format!(
            "{verdict}  {name}: {} on {}\n",
            plural(log.ops.len() as u64, "operation"),
            plural(judgement.keys as u64, "key")
        ));
        if !log.ops.iter().any(Op::has_read) {
            out.push_str("  no read returned anything, so nothing could contradict the writes\n");
        }
    }
    skipped(checked, &mut out);
    violations(checked, arguments, &mut out);
    for (expectation, met) in &checked.expectations {
        let word = match met {
            Met::Yes if arguments.expect.is_empty() => continue,
            Met::No | Met::Unknown if arguments.expect.is_empty() => continue,
            Met::Yes => "met",
            Met::No => "not met",
            Met::Unknown => "unknown",
            Met::NotMeasured => "not tested",
        };
        out.push_str(&format!("  {word:<10} {}\n", expectation.text));
    }
    if let Some(measures) = &checked.measures {
        measures.describe(log, &mut out);
    }
    orders(checked, &mut out);
    out
}

fn skipped(checked: &Checked, out: &mut String) {
    let reading = &checked.reading;
    if reading.skipped > 0 {
        out.push_str(&format!("  {} skipped:\n", plural(reading.skipped, "line")));
        reading.wrong.iter().for_each(|wrong| out.push_str(&format!("    {wrong}\n")));
        if reading.skipped > reading.wrong.len() as u64 {
            out.push_str("    ...\n");
        }
    }
}

fn violations(checked: &Checked, arguments: &Arguments, out: &mut String) {
    let log = &checked.reading.log;
    let judgement = &checked.judgement;
    let clock = Clock::of(log);
    let shown = if arguments.all { judgement.violated.len() } else { 1 };
    for (key, violation) in judgement.violated.iter().take(shown) {
        let key = words::name(log.key_name(*key));
        let sentence = words::sentence(log, violation, &clock);
        out.push_str(&format!("  {key}: {sentence}\n"));
        for line in words::lanes(log, &violation.ops, &clock) {
            out.push_str(&format!("    {}\n", line.trim_end()));
        }
    }
    let more = judgement.violated.len().saturating_sub(shown);
    if more > 0 {
        let keys = if more == 1 { "key is" } else { "keys are" };
        out.push_str(&format!("  {more} more {keys} violated; --all shows all\n"));
    }
    if let Some(note) = clock.note().filter(|_| !judgement.violated.is_empty()) {
        out.push_str(&format!("  {note}\n"));
    }
    let shown = if arguments.all { judgement.unknown.len() } else { 3 };
    for (key, limit) in judgement.unknown.iter().take(shown) {
        let key = words::name(log.key_name(*key));
        out.push_str(&format!(
            "  {key}: undecided after {} configurations; a value was written several times, so \
             this takes a search: raise --limit\n",
            limit.visited
        ));
    }
}

fn orders(checked: &Checked, out: &mut String) {
    let log = &checked.reading.log;
    for (key, order) in &checked.orders {
        out.push_str(&format!("  an order of {}:\n", words::name(key)));
        for place in order.iter().take(ORDER_MAX) {
            out.push_str(&format!("    {}\n", words::label(log, &log.ops[*place])));
        }
        if order.len() > ORDER_MAX {
            let more = order.len() - ORDER_MAX;
            out.push_str(&format!("    ... and {more} more; --json has all\n"));
        }
    }
}
