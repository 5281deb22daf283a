//! Tables: expectations, the audit, all metrics, the overview of several scenarios.

use std::fmt::Write;

use super::escape;
use crate::report::text::{shown, wanted};
use crate::run::sample::UNSEEN;
use crate::run::series::AuditRow;
use crate::run::{ClaimVerdict, Expectation, Outcome, ScenarioResult};
use crate::time::human;

/// The head of a sortable table.
fn head(out: &mut String, controls: &str, caption: &str, columns: &[(&str, &str)]) {
    let _ = write!(
        out,
        "<div class=\"wide\" tabindex=\"0\" role=\"group\" aria-label=\"{0}\"><table \
         data-sortable=\"{controls}\" aria-label=\"{0}\"><thead><tr>",
        escape(caption)
    );
    for (name, class) in columns {
        let _ = write!(
            out,
            "<th scope=\"col\" class=\"{class}\"><button type=\"button\">{name}</button></th>"
        );
    }
    out.push_str("</tr></thead>\n<tbody>\n");
}

const TAIL: &str = "</tbody></table></div>\n";

/// Every expectation and what came of it.
pub(super) fn expectations(out: &mut String, expectations: &[Expectation]) {
    if expectations.is_empty() {
        out.push_str("<p>The scenario expects nothing; see the metrics below.</p>\n");
        return;
    }
    let columns = [
        ("verdict", ""),
        ("metric", ""),
        ("wanted", ""),
        ("measured", "number"),
        ("decided by", ""),
    ];
    head(out, "", "expectations", &columns);
    for e in expectations {
        let (class, words) = match e.met {
            Some(true) => ("good", "met"),
            Some(false) => ("bad", "not met"),
            None => ("warn", "not tested"),
        };
        let measured = e.measured.map_or_else(|| "–".to_owned(), |value| shown(&e.metric, value));
        let scope = match (e.scope.as_str(), e.seed) {
            ("each", Some(seed)) => format!("each run; seed {seed}"),
            ("some", Some(seed)) => format!("some run; seed {seed}"),
            ("each", None) => "each run".to_owned(),
            ("some", None) => "some run".to_owned(),
            ("accept", Some(seed)) => format!("the longest finding; seed {seed}"),
            ("accept", None) => "no such finding".to_owned(),
            _ => "all runs together".to_owned(),
        };
        let _ = writeln!(
            out,
            "<tr><td><span class=\"badge {class}\">{words}</span></td><td><code>{}</code></td>\
             <td>{}</td><td class=\"number\">{}</td><td>{scope}</td></tr>",
            escape(&e.metric),
            escape(wanted(e)),
            escape(&measured)
        );
    }
    out.push_str(TAIL);
}

/// The audit with a filter: text, and the class.
pub(super) fn audit(out: &mut String, rows: &[AuditRow], left_out: u64, number: usize) {
    if rows.is_empty() {
        out.push_str("<p>The audit has no entries.</p>\n");
        return;
    }
    let mut classes: Vec<&str> = rows.iter().map(|row| row.class.as_str()).collect();
    classes.sort_unstable();
    classes.dedup();
    let _ = write!(
        out,
        "<div class=\"filter\" id=\"audit-filter-{number}\"><label>Filter <input type=\"search\" \
         placeholder=\"key, hazard, writer …\"></label><label>Class <select>\
         <option value=\"\">all</option>"
    );
    for class in classes {
        let _ = write!(out, "<option>{}</option>", escape(class));
    }
    out.push_str("</select></label><output aria-live=\"polite\"></output></div>\n");
    if left_out > 0 {
        let _ = writeln!(
            out,
            "<p class=\"soft\">{left_out} further entries are not listed; bad ones come first.</p>"
        );
    }
    let columns = [
        ("key", ""),
        ("class", ""),
        ("cached", ""),
        ("database", ""),
        ("behind", "number"),
        ("wrong for", "number"),
        ("expires", "number"),
        ("hazard", ""),
        ("provenance", ""),
    ];
    head(out, &format!("audit-filter-{number}"), "audit", &columns);
    for row in rows {
        audit_row(out, row);
    }
    out.push_str(TAIL);
}

fn audit_row(out: &mut String, row: &AuditRow) {
    let class = match row.class.as_str() {
        "match" => "good",
        "absent" => "soft",
        "unreachable" => "warn",
        _ => "bad",
    };
    let text = |value: &Option<String>| escape(value.as_deref().unwrap_or("–"));
    let expires: f64 = match row.expires.as_deref() {
        Some("never") => f64::MAX,
        Some(text) => text.trim_end_matches(" s").parse().unwrap_or(-1.0),
        None => -1.0,
    };
    let _ = writeln!(
        out,
        "<tr data-kind=\"{0}\"><td><code>{1}</code></td><td class=\"{class}\">{0}</td><td>{2}</td>\
         <td>{3}</td><td class=\"number\" data-value=\"{4}\">{4}</td>\
         <td class=\"number\" data-value=\"{5}\">{6}</td>\
         <td class=\"number\" data-value=\"{expires}\">{7}</td><td>{8}</td>\
         <td class=\"long\">{9}</td></tr>",
        escape(&row.class),
        escape(&row.key),
        text(&row.cached),
        text(&row.current),
        row.versions_behind,
        row.age_nanos.map_or(-1, |nanos| nanos as i64),
        row.age_nanos.map_or_else(|| "–".to_owned(), human),
        text(&row.expires),
        text(&row.hazard),
        text(&row.provenance)
    );
}

/// Every metric.
pub(super) fn metrics(out: &mut String, result: &ScenarioResult) {
    head(out, "", "metrics", &[("metric", ""), ("value", "number"), ("meaning", "")]);
    for (name, value) in &result.metrics {
        let text = value.map_or_else(|| "not measured".to_owned(), |value| shown(name, value));
        let summary = crate::run::metrics::spec(name).map_or("", |metric| metric.summary);
        let _ = writeln!(
            out,
            "<tr><td><code>{}</code></td><td class=\"number\" \
             data-value=\"{}\">{}</td><td>{}</td></tr>",
            escape(name),
            value.unwrap_or(-1.0),
            escape(&text),
            escape(summary)
        );
    }
    out.push_str(TAIL);
}

/// A line per scenario.
pub(super) fn overview(out: &mut String, results: &[ScenarioResult]) {
    let columns = [
        ("claim", ""),
        ("result", ""),
        ("verdict", ""),
        ("pattern", ""),
        ("hit ratio", "number"),
        ("P(stale)", "number"),
        ("bad entries", "number"),
    ];
    head(out, "", "all claims", &columns);
    for (number, result) in results.iter().enumerate() {
        let (class, outcome) = match result.outcome {
            Outcome::AsExpected => ("good", "as expected"),
            Outcome::Differs => ("bad", "differs"),
            Outcome::NotTested => ("warn", "not tested"),
        };
        let verdict = match result.claim_verdict {
            Some(ClaimVerdict::Broken) => "broken",
            Some(ClaimVerdict::NotObserved) => UNSEEN,
            None => "–",
        };
        let runs = result.sample.map_or_else(String::new, |sample| format!(", {}", sample.short()));
        let _ = write!(
            out,
            "<tr><td><a href=\"#r{number}\">{}</a></td><td class=\"{class}\">{outcome}</td>\
             <td>{verdict}{}</td><td>{}</td>",
            escape(&result.claim),
            escape(&runs),
            escape(&result.pattern)
        );
        for name in ["hit_ratio", "p_stale", "bad_entries"] {
            let value = result.metrics.get(name).copied().flatten();
            let text = value.map_or_else(|| "–".to_owned(), |value| shown(name, value));
            let _ = write!(
                out,
                "<td class=\"number\" data-value=\"{}\">{}</td>",
                value.unwrap_or(-1.0),
                escape(&text)
            );
        }
        out.push_str("</tr>\n");
    }
    out.push_str(TAIL);
}
