//! `staleproof replay`: counterexamples again, step by step, on models or real servers.

use std::path::PathBuf;

use clap::Args;

use super::{Exit, explore::colour, known, metric_specs, print, url};
use crate::explore::{Confirmation, Confirmed, Counterexample, Replayed};
use crate::pattern::Registry;
use crate::report::exploration;
use crate::run::{CacheChoice, DatabaseChoice, Servers};

#[derive(Args)]
#[command(after_help = "Examples:
  staleproof replay stale-set.json
  staleproof replay stale-set.json --cache memcached --database sqlite
  staleproof replay reports/counterexamples.json --cache memcached --confirm reports/confirmed.json

Exit codes: 0 confirmed (the same finding after the same schedule), 1 not confirmed, 2 not a
counterexample, 5 a server failed.")]
pub(super) struct Arguments {
    /// Files that `explore --out`, `hunt --out` or `matrix` wrote
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// Of a file of many only these, by name: `stale-set/cache-aside`, or `stale-set` for all
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// The cache, as for `run`
    #[arg(long, default_value = "model", value_parser = url::cache)]
    cache: CacheChoice,
    /// The database, as for `run`
    #[arg(long, default_value = "model", value_parser = url::database)]
    database: DatabaseChoice,
    /// A name for these servers in the file of --confirm
    #[arg(long, default_value = "memcached and sqlite")]
    label: String,
    /// Note in this file what was confirmed and what was not, and print a line for each
    #[arg(long)]
    confirm: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    let mut all = Vec::new();
    for file in &arguments.files {
        match Counterexample::load(file) {
            Ok(examples) => all.extend(examples),
            Err(error) => {
                complain!("{error}");
                return Exit::WrongInput;
            }
        }
    }
    if !arguments.only.is_empty() {
        let is_wanted = |name: &str| {
            let hazard = name.split('/').next().unwrap_or(name);
            arguments.only.iter().any(|only| only == name || only == hazard)
        };
        all.retain(|(name, _)| is_wanted(name));
    }
    if all.is_empty() {
        complain!("no counterexample has a name that --only gives");
        return Exit::WrongInput;
    }
    let metrics = metric_specs();
    let known = known(registry, &metrics);
    for (name, example) in &all {
        if let Some(problem) = example.problems(&known).first() {
            complain!("{name}: this is not a whole counterexample: its scenario has {problem}");
            return Exit::WrongInput;
        }
    }
    match &arguments.confirm {
        Some(path) => confirm(arguments, registry, &all, path),
        None => show(arguments, registry, &all),
    }
}

fn servers(arguments: &Arguments) -> Servers {
    Servers { cache: arguments.cache.clone(), database: arguments.database.clone() }
}

fn show(arguments: &Arguments, registry: &Registry, all: &[(String, Counterexample)]) -> Exit {
    let servers = servers(arguments);
    let mut exit = Exit::AsExpected;
    for (name, example) in all {
        exit = exit.max(match example.replay(registry, &servers) {
            Ok((replayed, names)) => {
                let shown = exploration::replay(example, &replayed, &names, colour());
                let verdict = match example.is_confirmed_by(&replayed) {
                    true => Exit::AsExpected,
                    false => Exit::Differs,
                };
                verdict.max(print(&shown))
            }
            Err(error) => {
                complain!("{name}: {error}");
                super::run::exit_of_error(&error)
            }
        });
    }
    exit
}

/// Replays all and notes each; a server that fails ends it, and what was found is kept.
fn confirm(
    arguments: &Arguments,
    registry: &Registry,
    all: &[(String, Counterexample)],
    path: &std::path::Path,
) -> Exit {
    let mut confirmed = match Confirmed::load(path) {
        Ok(confirmed) => confirmed,
        Err(problem) => {
            complain!("{problem}");
            return Exit::WrongInput;
        }
    };
    let servers = servers(arguments);
    let mut exit = Exit::AsExpected;
    let mut count = 0;
    for (name, example) in all {
        let what = match example.replay(registry, &servers) {
            Ok((replayed, _)) => confirmation(example, &replayed),
            Err(error) => Confirmation::NotTested(error.to_string()),
        };
        let line = match &what {
            Confirmation::Confirmed => {
                count += 1;
                format!("confirmed      {name}\n")
            }
            Confirmation::Differs(how) => {
                exit = exit.max(Exit::Differs);
                format!("differs        {name}: {how}\n")
            }
            Confirmation::NotTested(why) => format!("not tested     {name}: {why}\n"),
        };
        exit = exit.max(print(&line));
        confirmed.note(name, &arguments.label, what);
    }
    if let Err(error) = std::fs::write(path, confirmed.to_json()) {
        complain!("{}: cannot be written: {error}", path.display());
        return Exit::Environment;
    }
    exit.max(print(&format!("{count} of {} confirmed on {}\n", all.len(), arguments.label)))
}

fn confirmation(example: &Counterexample, replayed: &Replayed) -> Confirmation {
    if example.is_confirmed_by(replayed) {
        return Confirmation::Confirmed;
    }
    Confirmation::Differs(match &replayed.divergence {
        Some(divergence) => format!(
            "at number {}: recorded {}, happened {}",
            divergence.number, divergence.recorded, divergence.happened
        ),
        None => {
            let found: Vec<String> = replayed.findings.iter().map(ToString::to_string).collect();
            format!("the schedule went through, and found: {}", found.join("; "))
        }
    })
}
