//! JUnit XML: a suite per scenario, a case per expectation, for the test views of CI systems.

use std::fmt::Write;

use super::text::{shown, wanted};
use crate::run::{Expectation, Outcome, ScenarioResult};

/// The document.
pub fn render(results: &[ScenarioResult]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let cases: usize = results.iter().map(cases).sum();
    let failures: usize = results.iter().map(failures).sum();
    let _ =
        writeln!(out, "<testsuites name=\"staleproof\" tests=\"{cases}\" failures=\"{failures}\">");
    for result in results {
        suite(&mut out, result);
    }
    out.push_str("</testsuites>\n");
    out
}

fn cases(result: &ScenarioResult) -> usize {
    result.expectations.len().max(1)
}

fn failures(result: &ScenarioResult) -> usize {
    result.expectations.iter().filter(|e| e.met == Some(false)).count()
}

fn suite(out: &mut String, result: &ScenarioResult) {
    let untested = match result.outcome {
        Outcome::NotTested => cases(result) - failures(result),
        _ => result.expectations.iter().filter(|e| e.met.is_none()).count(),
    };
    let _ = writeln!(
        out,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{untested}\">",
        escape(&result.claim),
        cases(result),
        failures(result)
    );
    if result.expectations.is_empty() {
        case(out, result, "runs to the end", &skipped(result));
    }
    for expectation in &result.expectations {
        let name = format!("{} {}", expectation.metric, expectation.wanted);
        let body = match expectation.met {
            Some(false) => failure(result, expectation),
            _ => skipped(result),
        };
        case(out, result, &name, &body);
    }
    if let Some(sample) = &result.sample {
        let _ = writeln!(out, "    <system-out>{}</system-out>", escape(&sample.sentence()));
    }
    out.push_str("  </testsuite>\n");
}

fn case(out: &mut String, result: &ScenarioResult, name: &str, body: &str) {
    let (name, class) = (escape(name), escape(&result.scenario));
    let _ = match body {
        "" => writeln!(out, "    <testcase name=\"{name}\" classname=\"{class}\"/>"),
        body => {
            writeln!(out, "    <testcase name=\"{name}\" classname=\"{class}\">{body}</testcase>")
        }
    };
}

fn failure(result: &ScenarioResult, expectation: &Expectation) -> String {
    let name = &expectation.metric;
    let measured =
        expectation.measured.map_or_else(|| "nothing".to_owned(), |value| shown(name, value));
    let message = format!("{name} is {measured}, wanted {}", wanted(expectation));
    let mut text = String::new();
    if let Some(finding) = result.findings.first() {
        let _ = writeln!(text, "{} is {}", finding.key, finding.class);
        for line in super::lanes::render(&finding.timeline) {
            let _ = writeln!(text, "{line}");
        }
    }
    let _ = write!(text, "reproduce: {}", result.reproduce);
    format!("<failure message=\"{}\">{}</failure>", escape(&message), escape(&text))
}

fn skipped(result: &ScenarioResult) -> String {
    match (result.outcome, result.not_tested.as_slice()) {
        (Outcome::NotTested, reasons) if !reasons.is_empty() => {
            format!("<skipped message=\"{}\"/>", escape(&reasons.join("; ")))
        }
        _ => String::new(),
    }
}

/// Text as it may stand in XML 1.0, which has no way to write most control characters.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' => out.push_str("&#10;"),
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
