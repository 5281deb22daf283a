//! Markdown for a comment on a pull request: the verdict, a table, and what failed.

use std::fmt::Write;

use super::text::{shown, wanted};
use crate::run::sample::{LEGEND, UNSEEN};
use crate::run::{ClaimVerdict, Outcome, ScenarioResult};

/// Scenarios whose findings are shown; a comment has a limit of 65,536 characters.
const DETAILS_MAX: usize = 10;

/// The comment.
pub fn render(results: &[ScenarioResult]) -> String {
    let differ = results.iter().filter(|r| r.outcome == Outcome::Differs).count();
    let untested = results.iter().filter(|r| r.outcome == Outcome::NotTested).count();
    let mut out = match (results.len(), differ, untested) {
        (0, ..) => "### staleproof: nothing was run\n".to_owned(),
        (of, 0, 0) => format!("### staleproof: all {of} as expected ✅\n"),
        (of, 0, n) => format!("### staleproof: {n} of {of} not tested ⚠️\n"),
        (of, n, _) => format!("### staleproof: {n} of {of} differ ❌\n"),
    };
    out.push_str("\n| claim | result | verdict | P(stale) | hit ratio | bad entries |\n");
    out.push_str("|---|---|---|--:|--:|--:|\n");
    for result in results {
        row(&mut out, result);
    }
    if results.iter().any(|result| result.sample.is_some()) {
        let _ = writeln!(out, "\n{}", cell(LEGEND));
    }
    let wanting = results.iter().filter(|result| result.outcome != Outcome::AsExpected);
    for result in wanting.take(DETAILS_MAX) {
        details(&mut out, result);
    }
    out
}

fn row(out: &mut String, result: &ScenarioResult) {
    let outcome = match result.outcome {
        Outcome::AsExpected => "as expected",
        Outcome::Differs => "**differs**",
        Outcome::NotTested => "*not tested*",
    };
    let verdict = match result.claim_verdict {
        Some(ClaimVerdict::Broken) => "broken",
        Some(ClaimVerdict::NotObserved) => UNSEEN,
        None => "–",
    };
    let runs = result.sample.map_or_else(String::new, |sample| format!(", {}", sample.short()));
    let _ = write!(out, "| {} | {outcome} | {verdict}{} |", cell(&result.claim), cell(&runs));
    for name in ["p_stale", "hit_ratio", "bad_entries"] {
        let value = result.metrics.get(name).copied().flatten();
        let _ = write!(out, " {} |", value.map_or_else(|| "–".to_owned(), |v| shown(name, v)));
    }
    out.push('\n');
}

fn details(out: &mut String, result: &ScenarioResult) {
    let _ = write!(
        out,
        "\n<details><summary>{}</summary>\n\n",
        result.claim.replace('&', "&amp;").replace('<', "&lt;")
    );
    for e in result.expectations.iter().filter(|e| e.met == Some(false)) {
        let measured = e.measured.map_or_else(|| "–".to_owned(), |value| shown(&e.metric, value));
        let _ = writeln!(out, "- `{}` is **{measured}**, wanted {}", e.metric, cell(wanted(e)));
    }
    for reason in &result.not_tested {
        let _ = writeln!(out, "- not tested: {}", cell(reason));
    }
    let mut block = Vec::new();
    if let Some(finding) = result.findings.first() {
        let hazard = finding.hazard.as_deref().unwrap_or("cause not determined");
        block.push(format!("{} is {} ({hazard})", finding.key, finding.class));
        block.extend(super::lanes::render(&finding.timeline));
    }
    block.push(result.reproduce.clone());
    let block = block.join("\n").replace("```", "'''");
    let _ = write!(out, "\n```text\n{block}\n```\n\n</details>\n");
}

/// Text that stays in its cell.
fn cell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace('\n', " ").replace('<', "&lt;")
}
