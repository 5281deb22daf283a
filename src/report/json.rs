//! The result as JSON: stable bytes for a scenario and a seed, whatever the machine.

use serde::Deserialize;

use crate::run::{FORMAT, ScenarioResult};

/// One result, indented, with a newline at the end. Its schema is that of
/// [`ScenarioResult`] (`staleproof schema result`).
pub fn render(result: &ScenarioResult) -> String {
    let mut text = serde_json::to_string_pretty(result).expect("a result has only string keys");
    text.push('\n');
    text
}

/// Why a text is not a result that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is of another version.
    #[error(
        "is a result of format {found}, this staleproof reads format {FORMAT}; write it anew \
         with `staleproof run ... --out DIR`"
    )]
    Version {
        /// The version that it says.
        found: u64,
    },
    /// It has no version at all.
    #[error("is no result of `staleproof run` (`format` is missing); results are written by --out")]
    Foreign,
    /// It holds nothing.
    #[error("is empty; was the run that should have written it aborted?")]
    Empty,
    /// It is not what the version promises.
    #[error("is no complete result: {0}; was the run that wrote it aborted?")]
    Malformed(#[from] serde_json::Error),
}

/// Reads a text that [`render`] wrote, or several one after another.
pub fn parse(text: &str) -> Result<Vec<ScenarioResult>, ReadError> {
    let mut results = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>() {
        let document = document?;
        match document.get("format").and_then(serde_json::Value::as_u64) {
            Some(found) if found != u64::from(FORMAT) => return Err(ReadError::Version { found }),
            None => return Err(ReadError::Foreign),
            _ => results.push(ScenarioResult::deserialize(document)?),
        }
    }
    if results.is_empty() { Err(ReadError::Empty) } else { Ok(results) }
}
