//! One self-contained page: no network, works from disk, in light and dark, on a phone and
//! with a keyboard.
//!
//! Plain strings and hand-made SVG. [`page`] is the outline; the space-time diagram is in
//! `diagram`, the other figures in `charts`, tables in `tables`.

mod charts;
mod diagram;
mod explain;
mod plot;
mod section;
mod tables;

use std::fmt::Write;

use crate::run::sample::UNSEEN;
use crate::run::{ClaimVerdict, Outcome, ScenarioResult};

const STYLE: &str = include_str!("style.css");
const SCRIPT: &str = include_str!("script.js");
/// Digests of the two above, so that the page allows these and nothing else; the browser
/// refuses to run what does not fit them, which `tests/report_browser` would notice.
const STYLE_DIGEST: &str = include_str!("style.css.sha256");
const SCRIPT_DIGEST: &str = include_str!("script.js.sha256");

/// The page for some results.
pub fn page(results: &[ScenarioResult]) -> String {
    let title = match results {
        [one] => one.claim.clone(),
        many => format!("{} scenarios", many.len()),
    };
    let mut out = String::with_capacity(256 * 1024);
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; \
         base-uri 'none'; form-action 'none'",
        STYLE_DIGEST.trim(),
        SCRIPT_DIGEST.trim()
    );
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{policy}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{} · staleproof</title>\n<link rel=\"icon\" href=\"data:,\">\n\
         <style>{STYLE}</style>\n</head>\n<body>\n",
        escape(&title)
    );
    header(&mut out, results, &title);
    out.push_str("<main>\n");
    match results {
        [] => out.push_str("<p>No scenario was completed: there is nothing to show.</p>\n"),
        [one] => section::result(&mut out, one, 0),
        many => several(&mut out, many),
    }
    let _ = write!(
        out,
        "</main>\n<footer>Made by staleproof {} (result format {}). This page loads nothing \
         from anywhere.</footer>\n<script>{SCRIPT}</script>\n</body>\n</html>\n",
        env!("CARGO_PKG_VERSION"),
        crate::run::FORMAT
    );
    out
}

fn header(out: &mut String, results: &[ScenarioResult], title: &str) {
    let _ = write!(
        out,
        "<header class=\"top\">\n<div class=\"soft\">staleproof</div>\n<h1>{}</h1>\n<p>",
        escape(title)
    );
    match results {
        [one] => {
            out.push_str(&verdict(one));
            let _ = writeln!(out, " {}</p>", section::sentence(one));
        }
        many => {
            let count = |outcome| many.iter().filter(|r| r.outcome == outcome).count();
            for (outcome, class, words) in [
                (Outcome::Differs, "bad", "differ"),
                (Outcome::NotTested, "warn", "not tested"),
                (Outcome::AsExpected, "good", "as expected"),
            ] {
                if count(outcome) > 0 {
                    let _ = write!(
                        out,
                        "<span class=\"badge {class}\">{} {words}</span> ",
                        count(outcome)
                    );
                }
            }
            out.push_str("</p>\n");
        }
    }
    out.push_str("</header>\n");
}

fn several(out: &mut String, results: &[ScenarioResult]) {
    out.push_str("<h2 id=\"overview\">All claims</h2>\n");
    tables::overview(out, results);
    out.push_str("<h2>Hits against staleness</h2>\n");
    charts::comparison(out, results);
    out.push_str("<h2>One by one</h2>\n");
    for (number, result) in results.iter().enumerate() {
        let open = if result.outcome == Outcome::Differs { " open" } else { "" };
        let _ = write!(
            out,
            "<details id=\"r{number}\"{open}><summary>{} {}</summary>\n<p>{}</p>\n",
            verdict(result),
            escape(&result.claim),
            section::sentence(result)
        );
        section::result(out, result, number);
        out.push_str("</details>\n");
    }
}

/// The badges: how it came out, and what became of the claim.
fn verdict(result: &ScenarioResult) -> String {
    let (class, words) = match result.outcome {
        Outcome::AsExpected => ("good", "as expected"),
        Outcome::Differs => ("bad", "differs"),
        Outcome::NotTested => ("warn", "not tested"),
    };
    let mut badges = format!("<span class=\"badge {class}\">{words}</span>");
    match result.claim_verdict {
        Some(ClaimVerdict::Broken) => {
            badges.push_str(" <span class=\"badge bad\">claim broken</span>");
        }
        Some(ClaimVerdict::NotObserved) => {
            let _ = write!(badges, " <span class=\"badge good\">{UNSEEN}</span>");
        }
        None => {}
    }
    badges
}

/// Text as it may stand in HTML, in attributes too.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // Other control characters may not stand in HTML at all.
            c if c.is_control() && c != '\n' && c != '\t' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
