//! The result for a terminal: a line per claim, then the details of what needs them.

use std::borrow::Cow;
use std::fmt::Write;

use crate::run::accept;
use crate::run::metrics::{self, CLAIM};
use crate::run::sample::{LEGEND, UNSEEN};
use crate::run::{ClaimVerdict, Expectation, Finding, Outcome, ScenarioResult};
use crate::scenario::MetricKind;
use crate::time::human;

/// Whether to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// With ANSI colours.
    On,
    /// Plain text.
    Off,
}

impl Colour {
    pub(super) fn paint(self, code: &str, text: &str) -> String {
        match self {
            Colour::On => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Off => text.to_owned(),
        }
    }
}

const CLAIM_WIDTH: usize = 62;

/// A line per claim: verdict, whether that was expected, and the evidence.
pub fn table(results: &[ScenarioResult], colour: Colour) -> String {
    let mut out = String::new();
    let _ =
        writeln!(out, "{:<CLAIM_WIDTH$}  {:<17}  {:<11}  evidence", "claim", "verdict", "result");
    for result in results {
        let sample = result.sample.map(|sample| sample.short());
        let measured = result.expectations.iter().filter(|e| e.metric != CLAIM).map(evidence);
        let evidence: Vec<String> = sample.into_iter().chain(measured).collect();
        let _ = writeln!(
            out,
            "{}  {}  {}  {}",
            fit(&result.claim, CLAIM_WIDTH),
            verdict(result, colour),
            outcome(result.outcome, colour),
            evidence.join(", ")
        );
    }
    if results.iter().any(|result| result.sample.is_some()) {
        let _ = writeln!(out, "{LEGEND}");
    }
    out
}

/// All that is known about one scenario.
pub fn details(result: &ScenarioResult, colour: Colour) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{}  {}", outcome(result.outcome, colour), result.claim);
    let _ = writeln!(
        out,
        "  {} · {} · {} · {} · {} {}, seeds {} to {}",
        result.scenario,
        result.pattern,
        result.cache,
        result.database,
        result.runs,
        if result.runs == 1 { "run" } else { "runs" },
        result.seed,
        result.seed.saturating_add(result.runs.saturating_sub(1))
    );
    for expectation in &result.expectations {
        let _ = writeln!(out, "  {}", judged(expectation, colour));
    }
    if let Some(sample) = &result.sample {
        let _ = writeln!(out, "  {}", sample.sentence());
    }
    for reason in &result.not_tested {
        let _ = writeln!(out, "  {} {reason}", colour.paint("33", "not tested:"));
    }
    for fault in &result.faults {
        let times = if fault.struck == 1 { "time" } else { "times" };
        let _ = writeln!(out, "  fault {}: struck {} {times}", fault.fault, fault.struck);
    }
    summary(&mut out, result);
    if let Some(finding) = result.findings.first() {
        show_finding(&mut out, finding, result.findings.len());
    }
    out
}

/// What everybody wants to know, whether or not it was expected.
fn summary(out: &mut String, result: &ScenarioResult) {
    let show = |name: &str| {
        result
            .metrics
            .get(name)
            .copied()
            .flatten()
            .map(|value| format!("{name} {}", shown(name, value)))
    };
    let lines: [&[&str]; 3] = [
        &["reads", "stale_reads", "p_stale", "p_stale_hits", "max_read_staleness"],
        &[
            "hit_ratio",
            "db_reads_per_read",
            "hit_latency_p50",
            "miss_latency_p50",
            "write_latency_p50",
        ],
        &[
            "bad_entries",
            "healed_by_expiry",
            "permanent_entries",
            "max_entry_staleness",
            "max_exposure",
            "absent_entries",
        ],
    ];
    for names in lines {
        let line: Vec<String> = names.iter().filter_map(|name| show(name)).collect();
        let _ = writeln!(out, "  {}", line.join("  "));
    }
    for (hazard, count) in &result.hazards {
        let _ = writeln!(out, "  hazard {hazard}: {count} bad entries");
    }
}

fn show_finding(out: &mut String, finding: &Finding, of: usize) {
    let _ = writeln!(out, "  first of {of} findings shown: {} is {}", finding.key, finding.class);
    let version = |writer: &Option<String>| writer.clone().unwrap_or_else(|| "nothing".to_owned());
    let _ = writeln!(
        out,
        "    cache: value of {}   database: {}   {} versions behind",
        version(&finding.cached),
        version(&finding.current),
        finding.versions_behind
    );
    let expires = (finding.never_heals, finding.expires_in_seconds);
    let heals = match (finding.healed_at_nanos, expires) {
        (Some(at), _) => format!("expired at {} and not by a step", human(at)),
        (_, (true, _)) => "never heals".to_owned(),
        (_, (_, Some(seconds))) => format!("expires in {seconds} s"),
        _ => "expiry unknown".to_owned(),
    };
    let since = finding.since_nanos.map_or_else(|| "an unknown time".to_owned(), human);
    let _ = writeln!(out, "    wrong since {since}, {heals}");
    for (label, text) in [
        ("hazard", &finding.hazard),
        ("installed by", &finding.installed_by),
        ("superseded by", &finding.superseded_by),
        ("invalidation", &finding.invalidation),
    ] {
        if let Some(text) = text {
            let _ = writeln!(out, "    {label}: {text}");
        }
    }
    for line in super::lanes::render(&finding.timeline) {
        let _ = writeln!(out, "    {line}");
    }
}

/// The line that shows a failure again.
pub fn reproduce(result: &ScenarioResult, options: &str) -> String {
    let seed = result
        .expectations
        .iter()
        .filter(|expectation| expectation.met == Some(false))
        .find_map(|expectation| expectation.seed);
    let file = shell_path(&result.scenario);
    match seed {
        Some(seed) => format!("staleproof run {file} --seed {seed} --runs 1{options}"),
        None => {
            format!("staleproof run {file} --seed {} --runs {}{options}", result.seed, result.runs)
        }
    }
}

/// A path as one word of a shell's command that no program takes for an option.
pub(crate) fn shell_path(path: &str) -> Cow<'_, str> {
    match path.starts_with('-') {
        true => Cow::Owned(shell_word(&format!("./{path}")).into_owned()),
        false => shell_word(path),
    }
}

/// The text as one word of a shell's command, quoted where it has to be.
fn shell_word(text: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_alphanumeric() || "_-./:,+@%".contains(c);
    match text.chars().all(plain) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(format!("'{}'", text.replace('\'', r"'\''"))),
    }
}

fn outcome(outcome: Outcome, colour: Colour) -> String {
    let (code, text) = match outcome {
        Outcome::AsExpected => ("32", "as expected"),
        Outcome::Differs => ("31", "DIFFERS"),
        Outcome::NotTested => ("33", "NOT TESTED"),
    };
    colour.paint(code, &format!("{text:<11}"))
}

fn verdict(result: &ScenarioResult, colour: Colour) -> String {
    let (code, text) = match result.claim_verdict {
        Some(ClaimVerdict::Broken) => ("31", "broken"),
        Some(ClaimVerdict::NotObserved) => ("32", UNSEEN),
        None => ("0", "-"),
    };
    colour.paint(code, &format!("{text:<17}"))
}

fn evidence(expectation: &Expectation) -> String {
    let name = &expectation.metric;
    match expectation.measured {
        Some(value) => format!("{name} {}", shown(name, value)),
        None => format!("{name} not measured"),
    }
}

fn judged(expectation: &Expectation, colour: Colour) -> String {
    let mark = match expectation.met {
        Some(true) => colour.paint("32", "met     "),
        Some(false) => colour.paint("31", "NOT MET "),
        None => colour.paint("33", "untested"),
    };
    if expectation.scope == accept::SCOPE {
        let (hazard, wanted) = (&expectation.metric, &expectation.wanted);
        let found = match (expectation.seed, expectation.measured) {
            (Some(_), Some(value)) if value >= u64::MAX as f64 => "without end".to_owned(),
            (Some(_), Some(value)) => format!("up to {}", shown(hazard, value)),
            _ => "not seen".to_owned(),
        };
        return format!("{mark} finding {hazard} {found}, accepted {wanted}");
    }
    let scope = match expectation.scope.as_str() {
        "each" => " in each run",
        "some" => " in some run",
        _ => "",
    };
    format!("{mark} {}, wanted {}{scope}", evidence(expectation), wanted(expectation))
}

/// What was wanted. Of a claim an author may write `holds`; a sample can only show no violation.
pub(super) fn wanted(expectation: &Expectation) -> &str {
    match (expectation.metric.as_str(), expectation.wanted.trim_start_matches(['=', ' '])) {
        (CLAIM, "holds") => "no violation",
        _ => &expectation.wanted,
    }
}

/// A value in the unit of its metric.
pub(crate) fn shown(metric: &str, value: f64) -> String {
    match metrics::kind(metric) {
        Some(MetricKind::Duration) if value >= u64::MAX as f64 => "without end".to_owned(),
        Some(MetricKind::Duration) => human(value as u64),
        Some(MetricKind::Share | MetricKind::Ratio) => format!("{value:.4}"),
        Some(MetricKind::Verdict) => {
            [UNSEEN, "violated"].get(value as usize).copied().unwrap_or("unknown").to_owned()
        }
        _ => format!("{value}"),
    }
}

/// Cut or padded to a width, in characters.
fn fit(text: &str, width: usize) -> String {
    let length = text.chars().count();
    match length > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => format!("{text}{}", " ".repeat(width - length)),
    }
}
