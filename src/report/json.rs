//! The result as JSON: stable bytes for a scenario and a seed, whatever the machine.

use crate::run::ScenarioResult;

/// One result, indented, with a newline at the end. Its schema is that of
/// [`ScenarioResult`] (`staleproof schema result`).
pub fn render(result: &ScenarioResult) -> String {
    let mut text = serde_json::to_string_pretty(result).expect("a result has only string keys");
    text.push('\n');
    text
}
