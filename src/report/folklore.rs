//! The answers to what is often said, for a terminal, as Markdown and as part of a page.

use std::fmt::Write;

use super::html::escape;
use crate::explore::{Answer, Tried};

/// What a trial came to, in words.
fn outcome(trial: &Tried) -> String {
    let mut words = trial.verdict.clone();
    if !trial.findings.is_empty() {
        let _ = write!(words, ": {}", trial.findings.join("; "));
    }
    if let Some(share) = trial.share {
        let _ = write!(words, " ({} of {} schedules)", share.wrong, share.of);
    }
    words
}

/// For a terminal.
pub fn text(answers: &[Answer]) -> String {
    let mut out = String::new();
    for answer in answers {
        let _ = writeln!(out, "{}\n  {}", answer.asks, answer.answer);
        for trial in &answer.trials {
            let sign = if trial.decides { '*' } else { ' ' };
            let _ = writeln!(out, "  {sign} {} ({})", trial.says, trial.pattern);
            let _ = writeln!(out, "      {}; {}", outcome(trial), trial.bound);
        }
        out.push('\n');
    }
    out.push_str(
        "* decides. Each was searched whole within its bound; \
         `staleproof replay reports/counterexamples.json --only folklore` shows what went wrong.\n",
    );
    out
}

/// A section of the matrix's Markdown.
pub(super) fn markdown(answers: &[Answer]) -> String {
    let mut out = String::from(
        "\n## What is often said\n\nEach answer follows from the rows in bold, programs that were \
         searched whole within their bounds; the other rows are there for comparison. \
         `staleproof explain folklore` searches them again; `staleproof replay \
         reports/counterexamples.json --only folklore` shows the smallest schedules.\n",
    );
    for answer in answers {
        let _ = writeln!(out, "\n### {}\n\n*{}*\n", answer.asks, answer.answer);
        out.push_str(
            "| program | pattern | bound | states | what came out |\n|---|---|---|---|---|\n",
        );
        for trial in &answer.trials {
            let stars = if trial.decides { "**" } else { "" };
            let _ = writeln!(
                out,
                "| {stars}{}{stars} | {} | {} | {} | {} |",
                trial.says,
                trial.pattern,
                trial.bound,
                trial.states,
                outcome(trial)
            );
        }
    }
    out
}

/// A section of the matrix's page.
pub(super) fn html(answers: &[Answer]) -> String {
    let mut out = String::from("<h2 id=\"folklore\">What is often said</h2>");
    out.push_str(
        "<p>Each answer follows from the rows in bold, searched whole within their bounds.</p>",
    );
    for answer in answers {
        let _ = write!(
            out,
            "<h3>{}</h3><p><b>{}</b></p><table><thead><tr><th scope=\"col\">program</th>\
             <th scope=\"col\">pattern</th><th scope=\"col\">bound</th>\
             <th scope=\"col\">what came out</th></tr></thead><tbody>",
            escape(&answer.asks),
            escape(&answer.answer)
        );
        for trial in &answer.trials {
            let (open, close) = if trial.decides { ("<b>", "</b>") } else { ("", "") };
            let _ = write!(
                out,
                "<tr><th scope=\"row\">{open}{}{close}</th><td>{}</td><td>{}</td><td>{}</td></tr>",
                escape(&trial.says),
                trial.pattern,
                trial.bound,
                escape(&outcome(trial))
            );
        }
        out.push_str("</tbody></table>");
    }
    out
}
