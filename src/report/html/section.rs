//! Everything about one scenario, the verdict first.

use std::fmt::Write;

use super::{charts, diagram, escape, tables};
use crate::report::text::shown;
use crate::run::{Finding, ScenarioResult};
use crate::time::human;

/// Findings that are drawn, each of another hazard as far as there are any.
const FINDINGS_DRAWN: usize = 4;

/// What was done, in a sentence.
pub(super) fn sentence(result: &ScenarioResult) -> String {
    let runs = if result.runs == 1 { "run" } else { "runs" };
    let found = match result.hazards.values().sum::<u64>() {
        0 => "no wrong entry was left in the cache".to_owned(),
        1 => "one wrong entry was left in the cache".to_owned(),
        many => format!("{many} wrong entries were left in the cache"),
    };
    let sample = match &result.sample {
        Some(sample) => format!(" In this sample: {}.", escape(&sample.sentence())),
        None => String::new(),
    };
    let pattern = escape(&result.pattern);
    format!("The pattern <b>{pattern}</b> in {} {runs}: {found}.{sample}", result.runs)
}

/// All sections of a result; `number` keeps its ids apart from other results'.
pub(super) fn result(out: &mut String, result: &ScenarioResult, number: usize) {
    facts(out, result);
    tiles(out, result);
    out.push_str("<h2>Verdict</h2>\n");
    tables::expectations(out, &result.expectations);
    for reason in &result.not_tested {
        let _ =
            writeln!(out, "<p><span class=\"badge warn\">not tested</span> {}</p>", escape(reason));
    }
    findings(out, result);
    out.push_str("<h2>How stale reads are</h2>\n");
    charts::over_time(out, result);
    faults(out, result);
    out.push_str("<div class=\"pair\"><div>\n");
    charts::ccdf(out, result);
    out.push_str("</div><div>\n");
    charts::visibility(out, &result.series);
    out.push_str("</div></div>\n<h2>What it costs</h2>\n<div class=\"pair\"><div>\n");
    charts::latencies(out, &result.series);
    out.push_str("</div><div>\n");
    latency_table(out, result);
    out.push_str("</div></div>\n");
    if result.runs > 1 {
        out.push_str("<h2>Run by run</h2>\n");
        charts::runs(out, &result.series);
    }
    let shown = &result.series.shown;
    let _ = write!(
        out,
        "<h2>The audit</h2>\n<p>Cache against database at the end of the run with seed {}.</p>\n",
        shown.seed
    );
    tables::audit(out, &shown.audit, shown.audit_left_out, number);
    out.push_str("<details><summary>All metrics</summary>\n");
    tables::metrics(out, result);
    out.push_str("</details>\n");
    reproduce(out, result);
}

fn facts(out: &mut String, result: &ScenarioResult) {
    out.push_str("<ul class=\"facts\">");
    let last = result.seed.saturating_add(result.runs.saturating_sub(1));
    for fact in [
        result.scenario.clone(),
        format!("cache: {}", result.cache),
        format!("database: {}", result.database),
        format!("seeds {} to {last}", result.seed),
    ] {
        let _ = write!(out, "<li>{}</li>", escape(&fact));
    }
    out.push_str("</ul>\n");
}

fn tiles(out: &mut String, result: &ScenarioResult) {
    out.push_str("<div class=\"tiles\">\n");
    for (name, words, bad) in [
        ("p_stale", "of all reads stale", true),
        ("max_read_staleness", "the stalest read", true),
        ("bad_entries", "wrong entries at the end", true),
        ("permanent_entries", "of them never heal", true),
        ("hit_ratio", "hit ratio", false),
        ("db_reads_per_read", "selects per read", false),
        ("write_round_trips", "round trips per write", false),
    ] {
        let Some(value) = result.metrics.get(name).copied().flatten() else { continue };
        let class = if bad && value > 0.0 { " class=\"bad\"" } else { "" };
        let _ = writeln!(
            out,
            "<div class=\"tile\"><b{class}>{}</b><span>{words}</span></div>",
            escape(&shown(name, value))
        );
    }
    out.push_str("</div>\n");
}

fn findings(out: &mut String, result: &ScenarioResult) {
    if result.findings.is_empty() {
        return;
    }
    out.push_str("<h2>What happened</h2>\n<ul class=\"facts\">");
    for (hazard, count) in &result.hazards {
        let entries = if *count == 1 { "entry" } else { "entries" };
        let _ = write!(out, "<li><b>{}</b>: {count} {entries}</li>", escape(hazard));
    }
    out.push_str("</ul>\n");
    for (place, finding) in telling(&result.findings).into_iter().enumerate() {
        match place {
            0 => one_finding(out, finding),
            _ => {
                let _ = writeln!(
                    out,
                    "<details><summary>{}: {} is {}</summary>",
                    escape(finding.hazard.as_deref().unwrap_or("cause not determined")),
                    escape(&finding.key),
                    escape(&finding.class)
                );
                one_finding(out, finding);
                out.push_str("</details>\n");
            }
        }
    }
}

/// The first finding of each hazard, then others, those with a cause before those without.
fn telling(findings: &[Finding]) -> Vec<&Finding> {
    let mut chosen: Vec<&Finding> = Vec::new();
    for finding in findings {
        if !chosen.iter().any(|other| other.hazard == finding.hazard) {
            chosen.push(finding);
        }
    }
    let rest: Vec<&Finding> =
        findings.iter().filter(|f| !chosen.iter().any(|other| std::ptr::eq(*other, *f))).collect();
    chosen.extend(rest);
    chosen.truncate(FINDINGS_DRAWN);
    chosen
}

fn one_finding(out: &mut String, finding: &Finding) {
    let value = |writer: &Option<String>| escape(writer.as_deref().unwrap_or("nothing"));
    let heals = match (finding.never_heals, finding.expires_in_seconds) {
        _ if finding.healed_at_nanos.is_some() => {
            "It expired before everything had come to rest.".to_owned()
        }
        (true, _) => "It never heals by itself.".to_owned(),
        (_, Some(seconds)) => format!("It would expire {seconds} s after the audit."),
        _ => String::new(),
    };
    let behind = match finding.versions_behind {
        0 => "which is another".to_owned(),
        1 => "one version later".to_owned(),
        many => format!("{many} versions later"),
    };
    let age = finding.age_nanos.map_or_else(String::new, |nanos| {
        format!(" It had been wrong for {} when the audit looked.", human(nanos))
    });
    let _ = write!(
        out,
        "<h3><code>{}</code> is <span class=\"bad\">{}</span> (seed {})</h3>\n<p>The cache holds \
         the value of <b class=\"bad\">{}</b>, the database that of <b>{}</b>, {behind}.{age} \
         {heals}</p>\n<ul class=\"facts\">",
        escape(&finding.key),
        escape(&finding.class),
        finding.seed,
        value(&finding.cached),
        value(&finding.current)
    );
    for (label, text) in [
        ("hazard", &finding.hazard),
        ("installed by", &finding.installed_by),
        ("superseded by", &finding.superseded_by),
        ("invalidation", &finding.invalidation),
    ] {
        if let Some(text) = text {
            let _ = write!(out, "<li>{label}: <b>{}</b></li>", escape(text));
        }
    }
    out.push_str("</ul>\n");
    let label = format!("Space-time diagram: how {} became {}", finding.key, finding.class);
    diagram::figure(out, &finding.timeline, &label);
}

fn faults(out: &mut String, result: &ScenarioResult) {
    if result.faults.is_empty() {
        return;
    }
    out.push_str("<ul class=\"facts\">");
    for fault in &result.faults {
        let times = if fault.struck == 1 { "time" } else { "times" };
        let _ = write!(
            out,
            "<li>⚡ {}: struck <b>{}</b> {times} in all runs, at the level of {}s</li>",
            escape(&fault.fault),
            fault.struck,
            escape(&fault.level)
        );
    }
    out.push_str("</ul>\n");
}

fn latency_table(out: &mut String, result: &ScenarioResult) {
    out.push_str(
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"latencies\"><table \
         aria-label=\"latencies\"><thead><tr><th scope=\"col\">of</th>",
    );
    for name in ["count", "p50", "p90", "p99", "p99.9", "max"] {
        let _ = write!(out, "<th scope=\"col\" class=\"number\">{name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for latency in &result.series.latencies {
        let _ = write!(
            out,
            "<tr><td>{}</td><td class=\"number\">{}</td>",
            escape(&latency.of),
            latency.count
        );
        for place in [2, 4, 5, 6, 7] {
            let text = latency.nanos.get(place).map_or_else(|| "–".to_owned(), |n| human(*n));
            let _ = write!(out, "<td class=\"number\">{text}</td>");
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}

fn reproduce(out: &mut String, result: &ScenarioResult) {
    let _ = write!(
        out,
        "<h2>See it again</h2>\n<p>The same bytes come out on every machine.</p>\n<pre \
         tabindex=\"0\">{}</pre>\n<p class=\"soft\">staleproof {}, result format {}, {}, {}.</p>\n\
         <details><summary>The scenario as it was run</summary><pre tabindex=\"0\">{}</pre>\
         </details>\n",
        escape(&result.reproduce),
        env!("CARGO_PKG_VERSION"),
        result.format,
        escape(&result.cache),
        escape(&result.database),
        escape(&result.definition)
    );
}
