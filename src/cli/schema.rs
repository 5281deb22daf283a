//! `staleproof schema`: the JSON Schemas of our formats.

use clap::{Args, ValueEnum};

use super::{Exit, print};
use crate::run::ScenarioResult;
use crate::scenario::Scenario;

#[derive(Args)]
pub(super) struct Arguments {
    /// Which format
    #[arg(default_value = "scenario")]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// Scenario files, for completion and checks in editors
    Scenario,
    /// What `run --format json` and `--out` write
    Result,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let schema = match arguments.format {
        Format::Scenario => schemars::schema_for!(Scenario),
        Format::Result => schemars::schema_for!(ScenarioResult),
    };
    let text = serde_json::to_string_pretty(&schema).expect("a schema has only string keys");
    print(&format!("{text}\n"))
}
