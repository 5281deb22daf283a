//! History files: JSON lines, one operation a line, plain or compressed with zstd.
//!
//! ```text
//! {"initial":{"product:1":"v0"}}
//! {"client":0,"op":"write","key":"product:1","value":"v1","start":5,"end":9,"outcome":"ok"}
//! {"client":1,"op":"read","key":"product:1","value":null,"start":7,"end":8,"outcome":"ok"}
//! ```
//!
//! Any program can write them, in any order. The line with each key's value at the start, best
//! the first, is optional, and so are these fields of an operation, which our own recordings
//! have: `id`, `group` (operations that belong together), `version`, `hit`, `reported`,
//! `effect`, `steps`.
//! A file of ours begins with `"format":1`, and has lines for faults and phases.
//!
//! [`read`] reads one. Lines go through `scan`, which is quick, and only if that refuses them
//! through `line`, which explains. Reading and collecting overlap on two cores.
//! All that write one, [`write()`] for recorded runs among them, do it through `writer`.

mod chunk;
mod collect;
mod compressed;
mod followed;
pub(crate) mod interner;
mod line;
mod scan;
mod write;
pub(crate) mod writer;

pub use compressed::{compressed, compression, decompressed};
pub use followed::{Followed, FollowedLine, read_line};
pub use write::write;

use std::fmt;
use std::io::{self, Read};

use super::log::Log;
use crate::parallel;

/// The format's version, in the first line of our own files.
pub const FORMAT: u64 = 1;

/// Refuses a version of the format that this program does not read.
fn known_format(format: Option<u64>) -> Result<(), String> {
    match format {
        Some(other) if other != FORMAT => Err(format!(
            "the format's version is {other}; this program reads {FORMAT}, so use a newer one"
        )),
        _ => Ok(()),
    }
}

/// What is printed of a text from a file: so many characters, and none that moves the cursor.
pub fn shorten(text: &str, most: usize) -> String {
    let escape = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    let short: String = text.chars().take(most).map(escape).collect();
    if text.chars().nth(most).is_some() { short + "..." } else { short }
}

/// Something wrong in a history file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The line, from 1.
    pub line: u64,
    /// What is wrong, what was expected, what to do.
    pub message: String,
}

/// Why a history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The source cannot be read.
    #[error("{name}: cannot be read: {source}")]
    Source {
        /// What it is called.
        name: String,
        /// Why.
        source: io::Error,
    },
    /// A line is wrong.
    #[error("{name}:{}: {}", wrong.line, wrong.message)]
    Line {
        /// What the source is called.
        name: String,
        /// The line and what is wrong with it.
        wrong: Wrong,
    },
    /// The lines are all right, but not together.
    #[error("{name}: {message}")]
    Whole {
        /// What the source is called.
        name: String,
        /// What is wrong.
        message: String,
    },
}

/// What to do about lines that are wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mistakes {
    /// The first one is an error.
    #[default]
    Refuse,
    /// They are skipped and counted.
    Skip,
}

/// A history, and what was skipped.
#[derive(Debug)]
pub struct Reading {
    /// The history.
    pub log: Log,
    /// How many lines were skipped.
    pub skipped: u64,
    /// The first few of them.
    pub wrong: Vec<Wrong>,
    /// How many lines there were.
    pub lines: u64,
}

/// Wrong lines that are kept to be shown.
const SHOWN: usize = 5;

/// Reads a history from a source, which is called `name` in messages.
pub fn read(source: impl Read + Send, name: &str, mistakes: Mistakes) -> Result<Reading, Error> {
    let mut chunks = chunk::Chunks::new(source);
    let mut collected = collect::Collector::default();
    let mut failed = None;
    let mut reading = Reading { log: Log::default(), skipped: 0, wrong: Vec::new(), lines: 0 };
    parallel::pipeline(
        || chunks.next_parsed(),
        |parsed| {
            let parsed = match parsed {
                Ok(parsed) => parsed,
                Err(source) => {
                    failed = Some(Error::Source { name: name.to_owned(), source });
                    return false;
                }
            };
            reading.lines = parsed.last_line;
            let mut wrong = collected.take(&parsed);
            wrong.extend(parsed.wrong);
            wrong.sort_by_key(|wrong| wrong.line);
            if mistakes == Mistakes::Refuse && !wrong.is_empty() {
                failed = Some(Error::Line { name: name.to_owned(), wrong: wrong.swap_remove(0) });
                return false;
            }
            reading.skipped += wrong.len() as u64;
            let room = SHOWN - reading.wrong.len();
            reading.wrong.extend(wrong.into_iter().take(room));
            true
        },
    );
    if let Some(error) = failed {
        return Err(error);
    }
    reading.log =
        collected.finish().map_err(|message| Error::Whole { name: name.to_owned(), message })?;
    Ok(reading)
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.message)
    }
}

#[cfg(test)]
mod tests;
