//! `staleproof list`: what there is.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::{Exit, known, metric_specs, print};
use crate::fault::What;
use crate::pattern::Registry;
use crate::scenario;

#[derive(Args)]
#[command(
    after_help = "Three strategies of the literature are not built in, as no stock memcached \
can carry them: Gumball (the server notes the time of each miss and each delete, and compares), \
TxCache (entries are valid for intervals of database snapshots), and the reader leases of Gray and \
Cheriton (an entry ends at a time fixed before its fill)."
)]
pub(super) struct Arguments {
    /// What to list
    what: Kind,
    /// The folder whose scenarios are listed
    #[arg(default_value = "scenarios")]
    folder: PathBuf,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    Patterns,
    Faults,
    Hazards,
    Metrics,
    Scenarios,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    let mut out = String::new();
    match arguments.what {
        Kind::Patterns => {
            for entry in registry.patterns() {
                let _ = writeln!(out, "{:<26} {}", entry.name, entry.summary);
            }
        }
        Kind::Faults => {
            for what in What::ALL {
                let _ = writeln!(out, "{:<16} {}", what.name(), what.summary());
            }
        }
        Kind::Hazards => {
            for hazard in crate::hazard::all() {
                let mark = if hazard.not_here.is_some() { "-" } else { " " };
                let _ = writeln!(out, "{mark} {:<30} {}", hazard.id, hazard.needs);
            }
        }
        Kind::Metrics => {
            for metric in metric_specs() {
                let kind = format!("{:?}", metric.kind).to_lowercase();
                let _ = writeln!(out, "{:<24} {kind:<9} {}", metric.name, metric.summary);
            }
        }
        Kind::Scenarios => return scenarios(&arguments.folder, registry),
    }
    print(&out)
}

fn scenarios(folder: &Path, registry: &Registry) -> Exit {
    let files = match scenario::find_files(folder) {
        Ok(files) => files,
        Err(problem) => {
            complain!("{problem}");
            return Exit::WrongInput;
        }
    };
    let metrics = metric_specs();
    let known = known(registry, &metrics);
    let mut exit = Exit::AsExpected;
    for file in files {
        match scenario::load(&file, &known) {
            Ok(scenario) => {
                let line = format!("{:<52} {}\n", file.display().to_string(), scenario.claim);
                exit = exit.max(print(&line));
            }
            Err(problems) => {
                problems.iter().for_each(|problem| complain!("{problem}"));
                exit = Exit::WrongInput;
            }
        }
    }
    exit
}
