//! The smallest schedules behind the violated cells of the matrix, each with the command that
//! replays it.

use std::fmt::Write;

use super::exploration;
use super::html::escape;
use crate::explore::Counterexamples;

/// The file of the counterexamples, as it is found from the top of the repository.
const FILE: &str = "reports/counterexamples.json";

/// The command that replays one.
pub(super) fn command(name: &str) -> String {
    format!("staleproof replay {FILE} --only {name}")
}

/// What a cell shows, linked in Markdown to the line of its counterexample in the file, which
/// has one on each line after a brace.
pub(super) fn linked(counterexamples: &Counterexamples, name: &str, shown: &str) -> String {
    if !counterexamples.contains_key(name) {
        return shown.to_owned();
    }
    let line = counterexamples.range(..name.to_owned()).count() + 2;
    format!("[{shown}](counterexamples.json#L{line})")
}

/// A section of the page, to which cells link.
pub(super) fn html(counterexamples: &Counterexamples) -> String {
    let mut out = String::from("<h2>Smallest schedules</h2>");
    for (name, example) in counterexamples {
        let _ = writeln!(
            out,
            "<section id=\"{name}\"><h3>{name}</h3><p><code>{}</code></p><pre tabindex=\"0\">{}\
             </pre></section>",
            command(name),
            escape(&exploration::smallest(example))
        );
    }
    out
}
