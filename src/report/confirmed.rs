//! What was confirmed on real servers, beside the cells of the matrix.
//!
//! `benches/confirm.sh` replays every counterexample and keeps what came out in
//! `reports/confirmed.json`; here it is joined, and each violated cell that was not confirmed
//! somewhere is listed with the reason.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::explore::{CellVerdict, Confirmation, Confirmed, Matrix};

/// Why a cell was not confirmed on some servers.
struct Gap<'a> {
    cell: String,
    servers: &'a str,
    why: &'a str,
}

/// What is said of one cell, to be shown with it; nothing for cells without a counterexample.
pub(super) fn of_cell(confirmed: &Confirmed, hazard: &str, strategy: &str) -> Option<String> {
    let mut words: Vec<String> = Vec::new();
    for (servers, what) in confirmed.of(&format!("{hazard}/{strategy}")) {
        words.push(match what {
            Confirmation::Confirmed => format!("confirmed on {servers}"),
            Confirmation::Differs(how) => format!("differs on {servers}: {how}"),
            Confirmation::NotTested(why) => format!("not tested on {servers}: {why}"),
        });
    }
    (!words.is_empty()).then(|| words.join("; "))
}

/// Whether a cell was confirmed wherever anything was.
pub(super) fn is_everywhere(confirmed: &Confirmed, hazard: &str, strategy: &str) -> bool {
    let of_one = confirmed.of(&format!("{hazard}/{strategy}"));
    let count = of_one.filter(|(_, what)| **what == Confirmation::Confirmed).count();
    count > 0 && count == confirmed.counts().len()
}

/// By servers: how many violated cells were confirmed, of how many; and what was not.
fn joined<'a>(
    matrix: &Matrix,
    confirmed: &'a Confirmed,
) -> (BTreeMap<&'a str, (usize, usize)>, Vec<Gap<'a>>) {
    let mut counts: BTreeMap<&str, (usize, usize)> =
        confirmed.counts().into_keys().map(|servers| (servers, (0, 0))).collect();
    let mut gaps = Vec::new();
    for row in &matrix.hazards {
        let violated = row.cells.iter().filter(|(_, cell)| cell.verdict == CellVerdict::Violated);
        for (strategy, _) in violated {
            let cell = format!("{}/{strategy}", row.hazard);
            let known: BTreeMap<&str, &Confirmation> = confirmed.of(&cell).collect();
            for (servers, (count, all)) in &mut counts {
                *all += 1;
                let why = match known.get(servers) {
                    Some(Confirmation::Confirmed) => {
                        *count += 1;
                        continue;
                    }
                    Some(Confirmation::Differs(why) | Confirmation::NotTested(why)) => why,
                    None => "not replayed since the matrix changed",
                };
                gaps.push(Gap { cell: cell.clone(), servers, why });
            }
        }
    }
    (counts, gaps)
}

/// A section of the matrix in Markdown.
pub(super) fn markdown(matrix: &Matrix, confirmed: &Confirmed) -> String {
    let (counts, gaps) = joined(matrix, confirmed);
    let mut out = String::from("\n## Confirmed on real servers\n\n");
    if counts.is_empty() {
        out.push_str("Nothing was replayed on real servers (`benches/confirm.sh`).\n");
        return out;
    }
    out.push_str(
        "Violated cells whose counterexample was replayed step by step on real servers and came \
         to the same finding (`benches/confirm.sh`, `confirmed.json`).\n\n",
    );
    for (servers, (count, all)) in counts {
        let _ = writeln!(out, "- {servers}: {count} of {all}");
    }
    if gaps.is_empty() {
        return out;
    }
    out.push_str("\n| not confirmed | on | why |\n|---|---|---|\n");
    for Gap { cell, servers, why } in gaps {
        let _ = writeln!(out, "| {cell} | {servers} | {} |", why.replace('|', "\\|"));
    }
    out
}

/// The same as HTML.
pub(super) fn html(matrix: &Matrix, confirmed: &Confirmed) -> String {
    let (counts, gaps) = joined(matrix, confirmed);
    let mut out = String::from("<h2>Confirmed on real servers</h2>");
    if counts.is_empty() {
        out.push_str("<p>Nothing was replayed on real servers.</p>");
        return out;
    }
    out.push_str(
        "<p>Violated cells whose counterexample was replayed step by step on real servers and \
         came to the same finding; those confirmed on all of them are underlined.</p><ul>",
    );
    for (servers, (count, all)) in counts {
        let _ = write!(out, "<li>{servers}: {count} of {all}</li>");
    }
    out.push_str("</ul>");
    if gaps.is_empty() {
        return out;
    }
    out.push_str(
        "<div class=\"wide\" tabindex=\"0\" role=\"region\" aria-label=\"not confirmed\"><table>\
         <thead><tr><th scope=\"col\">not confirmed</th><th scope=\"col\">on</th>\
         <th scope=\"col\">why</th></tr></thead><tbody>",
    );
    for Gap { cell, servers, why } in gaps {
        let why = why.replace('&', "&amp;").replace('<', "&lt;");
        let _ = write!(
            out,
            "<tr><th scope=\"row\">{cell}</th><td>{servers}</td><td class=\"why\">{why}</td></tr>"
        );
    }
    out.push_str("</tbody></table></div>");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::explore::{Cell, HazardRow};

    fn matrix() -> Matrix {
        let cell = |verdict| Cell {
            verdict,
            lasts: None,
            others: Vec::new(),
            reason: None,
            states: 1,
            steps: None,
        };
        let cells = [("one", CellVerdict::Violated), ("two", CellVerdict::Violated)]
            .into_iter()
            .chain([("three", CellVerdict::Holds)])
            .map(|(name, verdict)| (name.to_owned(), cell(verdict)));
        Matrix {
            format: 1,
            strategies: vec!["one".to_owned(), "two".to_owned(), "three".to_owned()],
            hazards: vec![HazardRow {
                hazard: "h".to_owned(),
                shown_with: "one".to_owned(),
                bound: "b".to_owned(),
                properties: Vec::new(),
                own: cell(CellVerdict::Violated),
                cells: cells.collect(),
            }],
            folklore: Vec::new(),
        }
    }

    #[test]
    fn each_violated_cell_that_is_not_confirmed_has_a_reason() {
        let mut confirmed = Confirmed::default();
        confirmed.note("h/one", "A", Confirmation::Confirmed);
        confirmed.note("h/two", "A", Confirmation::Differs("x | y".to_owned()));
        confirmed.note("h/one", "B", Confirmation::Confirmed);
        let text = markdown(&matrix(), &confirmed);
        assert!(text.contains("- A: 1 of 2") && text.contains("- B: 1 of 2"), "{text}");
        assert!(text.contains("| h/two | A | x \\| y |"), "{text}");
        assert!(text.contains("| h/two | B | not replayed since the matrix changed |"), "{text}");
        assert!(is_everywhere(&confirmed, "h", "one") && !is_everywhere(&confirmed, "h", "two"));
        let words = of_cell(&confirmed, "h", "two").unwrap();
        assert_eq!(words, "differs on A: x | y");
        assert_eq!(of_cell(&confirmed, "h", "three"), None);
    }
}
