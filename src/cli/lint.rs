//! `staleproof lint`: what a scenario allows but a careful team would not.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, known, metric_specs, print};
use crate::pattern::Registry;
use crate::run::{self, DatabaseChoice, Servers, lint};
use crate::scenario;
use crate::seed::Seed;

#[derive(Args)]
pub(super) struct Arguments {
    /// Scenario files, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Allow this warning, by its name; may be given several times
    #[arg(long, value_name = "NAME", value_parser = lint::names())]
    allow: Vec<String>,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    let metrics = metric_specs();
    let known = known(registry, &metrics);
    let mut exit = Exit::AsExpected;
    let mut files = 0;
    for path in &arguments.paths {
        let found = scenario::find_files(path).unwrap_or_else(|problem| {
            complain!("{problem}");
            exit = Exit::WrongInput;
            Vec::new()
        });
        for file in found {
            files += 1;
            match scenario::load(&file, &known) {
                Ok(scenario) => {
                    let name = file.display().to_string();
                    exit = exit.max(one(arguments, registry, &scenario, &name));
                }
                Err(problems) => {
                    problems.iter().for_each(|problem| complain!("{problem}"));
                    exit = exit.max(Exit::WrongInput);
                }
            }
        }
    }
    if exit == Exit::AsExpected {
        let many = if files == 1 { "file" } else { "files" };
        return print(&format!("{files} {many}, no warnings\n"));
    }
    exit
}

/// Looks at a scenario, and at one run of it on the models: some habits show only there.
fn one(
    arguments: &Arguments,
    registry: &Registry,
    scenario: &scenario::Scenario,
    file: &str,
) -> Exit {
    let servers = Servers { database: DatabaseChoice::Model, ..Servers::default() };
    let run = match run::run_once(scenario, registry, &servers, Seed(scenario.seed)) {
        Ok(run) => run,
        Err(error) => {
            complain!("{file}: {error}");
            return Exit::WrongInput;
        }
    };
    let mut warnings = lint::scenario(scenario);
    warnings.extend(lint::habits(scenario, &run));
    warnings.retain(|warning| !arguments.allow.iter().any(|name| name == warning.name));
    let text: String = warnings.iter().map(|warning| format!("{file}: {warning}\n")).collect();
    let printed = print(&text);
    if warnings.is_empty() { printed } else { printed.max(Exit::Differs) }
}
