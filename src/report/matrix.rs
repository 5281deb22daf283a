//! The matrix of strategies and hazards as Markdown and as a page.

use std::fmt::Write;

use super::html::escape;
use super::{confirmed, folklore, schedules};
use crate::explore::{Cell, CellVerdict, Confirmed, Counterexamples, Lasts, Matrix};

/// What a cell shows: a letter, explained in [`LEGEND`].
fn sign(cell: &Cell) -> &'static str {
    match (cell.verdict, cell.lasts) {
        (CellVerdict::Holds, _) => "·",
        (CellVerdict::Otherwise, _) => "o",
        (CellVerdict::NotApplicable, _) => "–",
        (CellVerdict::Unknown, _) => "?",
        (CellVerdict::Violated, Some(Lasts::Transient)) => "t",
        (CellVerdict::Violated, Some(Lasts::Bounded)) => "B",
        (CellVerdict::Violated, Some(Lasts::Permanent)) => "P",
        (CellVerdict::Violated, _) => "L",
    }
}

const LEGEND: [(&str, &str); 8] = [
    ("·", "holds: every schedule within the bound was searched, none went wrong"),
    ("o", "not this hazard, but the same program showed another one"),
    ("t", "violated while operations run (transient)"),
    ("B", "violated until the entry expires (bounded by the TTL)"),
    ("P", "violated for ever (no TTL)"),
    ("L", "data lost: the database itself is wrong"),
    ("–", "not applicable: no step for the hazard's fault to strike"),
    ("?", "unknown: a limit was reached"),
];

/// The matrix for a pull request or a reader of files.
pub fn markdown(
    matrix: &Matrix,
    counterexamples: &Counterexamples,
    confirmations: &Confirmed,
) -> String {
    let mut out = String::from("# Strategies × hazards\n\n");
    out.push_str(
        "Each cell is the result of searching every schedule of the hazard's small program \
         under the strategy, on the models. `staleproof matrix` writes this page. A violated \
         cell links to its smallest schedule, a line of `counterexamples.json`, which \
         `staleproof replay reports/counterexamples.json --only HAZARD/STRATEGY` runs step by \
         step; the schedules are drawn in `matrix.html`.\n\n",
    );
    for (sign, meaning) in LEGEND {
        let _ = writeln!(out, "- `{sign}` {meaning}");
    }
    out.push_str("\n| hazard | shown with |");
    for strategy in &matrix.strategies {
        let _ = write!(out, " {strategy} |");
    }
    out.push_str("\n|---|---|");
    out.push_str(&"---|".repeat(matrix.strategies.len()));
    out.push('\n');
    for row in &matrix.hazards {
        let name = format!("{}/{}", row.hazard, row.shown_with);
        let own = schedules::linked(counterexamples, &name, sign(&row.own));
        let _ = write!(out, "| {} | {} {own} |", row.hazard, row.shown_with);
        for strategy in &matrix.strategies {
            let shown = row.cells.get(strategy).map_or(" ", sign);
            let name = format!("{}/{strategy}", row.hazard);
            let _ = write!(out, " {} |", schedules::linked(counterexamples, &name, shown));
        }
        out.push('\n');
    }
    out.push_str(&folklore::markdown(&matrix.folklore));
    out.push_str(&against_catalogue(matrix));
    out.push_str(&confirmed::markdown(matrix, confirmations));
    out.push_str("\n## Bounds\n\n| hazard | bound | property |\n|---|---|---|\n");
    for row in &matrix.hazards {
        let _ = writeln!(out, "| {} | {} | {} |", row.hazard, row.bound, row.properties.join(", "));
    }
    out.push_str("\n## Counts\n\n");
    for (verdict, count) in matrix.counts() {
        let _ = writeln!(out, "- {}: {count}", verdict.name());
    }
    out.push_str(&unknown(matrix));
    out
}

/// The cells that a limit left open, each with the limit.
fn unknown(matrix: &Matrix) -> String {
    let mut out = String::new();
    for row in &matrix.hazards {
        for (strategy, cell) in &row.cells {
            if cell.verdict == CellVerdict::Unknown {
                let reason = cell.reason.as_deref().unwrap_or("no reason was given");
                let _ = writeln!(
                    out,
                    "| {} | {strategy} | {reason}, {} states |",
                    row.hazard, cell.states
                );
            }
        }
    }
    match out.is_empty() {
        true => out,
        false => {
            let head = "| hazard | strategy | the limit that was reached |\n|---|---|---|\n";
            format!("\n### Unknown\n\n{head}{out}")
        }
    }
}

/// Cells that contradict what the catalogue of hazards reasons.
fn against_catalogue(matrix: &Matrix) -> String {
    let contradictions = matrix.against_catalogue();
    let mut out = String::from("\n## Against the catalogue's reasoning\n\n");
    if contradictions.is_empty() {
        out.push_str("No cell contradicts `staleproof explain`.\n");
        return out;
    }
    out.push_str(
        "`staleproof explain` calls these strategies open to the hazard, and the search of the \
         hazard's program finds it closed, or the other way round. A hazard's program is one \
         bound: what holds in it may fail in a larger one.\n\n\
         | hazard | strategy | reasoned | searched |\n|---|---|---|---|\n",
    );
    for (hazard, strategy, verdict) in contradictions {
        let reasoned = if verdict == CellVerdict::Violated { "closed" } else { "open" };
        let _ = writeln!(out, "| {hazard} | {strategy} | {reasoned} | {} |", verdict.name());
    }
    out
}

/// The matrix as one page that needs nothing else; a violated cell leads to its smallest
/// schedule, further down.
pub fn html(
    matrix: &Matrix,
    counterexamples: &Counterexamples,
    confirmations: &Confirmed,
) -> String {
    let mut out = String::from(HEAD);
    out.push_str(
        "<h1>Strategies × hazards</h1><p>Each cell is the result of searching every \
                  schedule of the hazard's small program under the strategy; a violated one \
                  links to its smallest schedule.</p><ul>",
    );
    for (sign, meaning) in LEGEND {
        let _ = write!(out, "<li><b>{sign}</b> {meaning}</li>");
    }
    out.push_str(
        "</ul><div class=\"wide\" tabindex=\"0\" role=\"region\" \
                  aria-label=\"matrix\"><table><thead><tr><th scope=\"col\">hazard</th>\
                  <th scope=\"col\">shown with</th>",
    );
    for strategy in &matrix.strategies {
        let _ = write!(out, "<th scope=\"col\" class=\"turned\"><span>{strategy}</span></th>");
    }
    out.push_str("</tr></thead><tbody>");
    for row in &matrix.hazards {
        let _ = write!(out, "<tr><th scope=\"row\">{}</th>", row.hazard);
        let own = format!("{} {}", row.shown_with, sign(&row.own));
        let shown = Shown { counterexamples, confirmations, hazard: &row.hazard };
        shown.cell(&mut out, &row.shown_with, &row.own, &own);
        for strategy in &matrix.strategies {
            match row.cells.get(strategy) {
                Some(cell) => shown.cell(&mut out, strategy, cell, sign(cell)),
                None => out.push_str("<td></td>"),
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</tbody></table></div>");
    out.push_str(&folklore::html(&matrix.folklore));
    out.push_str(&confirmed::html(matrix, confirmations));
    out.push_str(&schedules::html(counterexamples));
    out.push_str("</body></html>\n");
    out
}

/// What the cells of one row lead to.
struct Shown<'a> {
    counterexamples: &'a Counterexamples,
    confirmations: &'a Confirmed,
    hazard: &'a str,
}

impl Shown<'_> {
    fn cell(&self, out: &mut String, strategy: &str, cell: &Cell, shown: &str) {
        let hazard = self.hazard;
        let mut words = format!("{hazard} under {strategy}: {}", cell.verdict.name());
        if let Some(lasts) = cell.lasts {
            let _ = write!(words, ", {}", lasts.name());
        }
        if !cell.others.is_empty() {
            let _ = write!(words, "; also {}", cell.others.join(", "));
        }
        if let Some(reason) = &cell.reason {
            let _ = write!(words, "; {reason}");
        }
        if let Some(servers) = confirmed::of_cell(self.confirmations, hazard, strategy) {
            let _ = write!(words, "; {servers}");
        }
        let everywhere = match confirmed::is_everywhere(self.confirmations, hazard, strategy) {
            true => " confirmed",
            false => "",
        };
        let name = format!("{hazard}/{strategy}");
        let (class, title) = (cell.verdict.name(), escape(&words));
        let _ = match self.counterexamples.contains_key(&name) {
            true => write!(
                out,
                "<td class=\"{class}{everywhere}\" title=\"{title}\"><a href=\"#{name}\">{shown}\
                 </a></td>"
            ),
            false => {
                write!(out, "<td class=\"{class}{everywhere}\" title=\"{title}\">{shown}</td>")
            }
        };
    }
}

const HEAD: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\
<title>staleproof: strategies and hazards</title><style>\
:root{color-scheme:light dark;--line:#8884;--bad:#b3261e;--ok:#1b6e3c}\
@media(prefers-color-scheme:dark){:root{--bad:#ff9b93;--ok:#7ed6a0}}\
body{font:15px/1.45 system-ui,sans-serif;margin:1rem auto;max-width:80rem;padding:0 1rem}\
.wide{overflow:auto}table{border-collapse:collapse}\
td,tbody th{border:1px solid var(--line);padding:.15rem .4rem}\
td{text-align:center;min-width:1.4rem}tbody th{text-align:left;font-weight:500;\
white-space:nowrap;position:sticky;left:0;background:Canvas}\
.turned{vertical-align:bottom;height:12rem;font-weight:500}\
.turned span{writing-mode:vertical-rl;transform:rotate(180deg);white-space:nowrap}\
td a{color:inherit;text-decoration:inherit}\
.violated{color:var(--bad);font-weight:700}\
pre{overflow:auto;border-left:3px solid var(--line);padding-left:.7rem}\
section:target h3{text-decoration:underline}\
.confirmed{text-decoration:underline}\
.why{text-align:left}.holds{color:var(--ok)}\
</style></head><body>";
