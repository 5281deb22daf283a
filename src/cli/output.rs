//! Results in the formats that people and machines read, printed or written to files.

use std::io::IsTerminal;
use std::path::Path;

use clap::ValueEnum;

use super::Exit;
use crate::report::text::Colour;
use crate::report::{html, json, junit, markdown, text};
use crate::run::{Outcome, ScenarioResult};

/// How results are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Aligned text for a terminal
    Text,
    /// Every number, see `staleproof schema result`
    Json,
    /// JUnit XML, for the test view of a CI system
    Junit,
    /// Markdown, for a comment on a pull request
    Markdown,
    /// One self-contained page
    Html,
}

/// The files that `--out` writes beside a JSON file per scenario.
const FILES: [(&str, Format); 3] =
    [("report.html", Format::Html), ("report.md", Format::Markdown), ("junit.xml", Format::Junit)];

impl Format {
    /// The format that the ending of a file's name stands for.
    pub fn of(path: &Path) -> Result<Format, String> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("html" | "htm") => Ok(Format::Html),
            Some("json") => Ok(Format::Json),
            Some("xml") => Ok(Format::Junit),
            Some("md") => Ok(Format::Markdown),
            Some("txt") => Ok(Format::Text),
            _ => Err(format!(
                "{}: the ending says the format; end it in .html, .md, .xml, .json or .txt",
                path.display()
            )),
        }
    }
}

/// Results in a format.
pub(super) fn render(results: &[ScenarioResult], format: Format, colour: Colour) -> String {
    match format {
        Format::Text => terminal(results, colour),
        Format::Json => results.iter().map(json::render).collect(),
        Format::Junit => junit::render(results),
        Format::Markdown => markdown::render(results),
        Format::Html => html::page(results),
    }
}

fn terminal(results: &[ScenarioResult], colour: Colour) -> String {
    let mut out = String::new();
    if results.len() > 1 {
        out.push_str(&text::table(results, colour));
    }
    for result in results {
        if results.len() == 1 || result.outcome != Outcome::AsExpected {
            out.push_str(if results.len() > 1 { "\n" } else { "" });
            out.push_str(&text::details(result, colour));
        }
        if result.outcome != Outcome::AsExpected {
            out.push_str(&format!("  reproduce: {}\n", result.reproduce));
        }
    }
    out
}

/// Whether standard output takes colour.
pub(super) fn colour() -> Colour {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !plain { Colour::On } else { Colour::Off }
}

/// Writes beside the final name and renames, so that no half file is ever seen.
pub(super) fn write(path: &Path, text: &str) -> Exit {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let written = std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, path));
    match written {
        Ok(()) => Exit::AsExpected,
        Err(error) => {
            // What there is of it is of no use, and on a full disk takes others' place.
            let _ = std::fs::remove_file(&partial);
            complain!(
                "{}: cannot be written: {error}; choose another place, or make room",
                path.display()
            );
            Exit::Environment
        }
    }
}

/// Writes the reports over all results into a folder.
pub(super) fn write_reports(folder: &Path, results: &[ScenarioResult]) -> Exit {
    let one = |(name, format): &(&str, Format)| {
        write(&folder.join(name), &render(results, *format, Colour::Off))
    };
    FILES.iter().map(one).max().unwrap_or(Exit::AsExpected)
}

/// Reads the results in some files.
pub(super) fn read(paths: &[impl AsRef<Path>]) -> Result<Vec<ScenarioResult>, Exit> {
    let mut results = Vec::new();
    for path in paths {
        let name = path.as_ref().display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            complain!("{name}: cannot be read: {error}; is the path right?");
            Exit::WrongInput
        })?;
        results.extend(json::parse(&text).map_err(|error| {
            complain!("{name}: {error}");
            Exit::WrongInput
        })?);
    }
    Ok(results)
}
