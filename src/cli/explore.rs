//! `staleproof explore`: every schedule of a small configuration.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use super::{Exit, known, metric_specs, print, url};
use crate::explore::{
    Counterexample, ExploreResult, Limits, Sizes, Subject, explore_on_servers, explore_scenario,
};
use crate::pattern::Registry;
use crate::report::exploration;
use crate::report::text::Colour;
use crate::run::{CacheChoice, DatabaseChoice, Place, Servers};
use crate::scenario::{self, Property, Scenario};
use crate::schedule::{Effort, RunError};
use crate::time::parse_duration;

#[derive(Args)]
#[command(after_help = "Examples:
  staleproof explore scenarios/article/07-write-through-reader-fills.toml
  staleproof explore my.toml --readers 2 --writers 2 --faults 1
  staleproof explore my.toml --pattern lease --property reads
  staleproof explore my.toml --readers 1 --writers 1 --cache memcached --database postgres

The bound that was searched is printed. `holds` speaks of every schedule within it; a limit
(--max-schedules, --max-time) that is reached gives `unknown`, exit code 3; a counterexample that
there was no time to cut down is shown as it was found. On real servers every
schedule is run from the start, on servers of our own that are emptied for it: small bounds only.")]
pub(super) struct Arguments {
    /// Scenario files, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Another pattern than the scenario's
    #[arg(long)]
    pattern: Option<String>,
    /// Clients that read every key once, instead of the scenario's clients
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=16))]
    readers: Option<u32>,
    /// Clients that update every key once, instead of the scenario's clients
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=16))]
    writers: Option<u32>,
    /// Keys, with --readers and --writers
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=16))]
    keys: Option<u32>,
    /// Faults that strike in one schedule at the most
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=8))]
    faults: Option<u32>,
    /// Steps that may take longer than their timeouts: clients that are so slow
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=8))]
    pauses: Option<u32>,
    /// What is asked of every schedule: final-state, reads, linearizability, sessions, reports,
    /// load
    #[arg(long, value_delimiter = ',', value_parser = property)]
    property: Vec<Property>,
    /// Give up after so many schedules
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    max_schedules: Option<u64>,
    /// Give up after so long
    #[arg(long, value_parser = parse_duration)]
    max_time: Option<Duration>,
    /// The cache: `model`, or `memcached[:PROGRAM]` started for each schedule
    #[arg(long, default_value = "model", value_parser = url::cache)]
    cache: CacheChoice,
    /// The database, as for `run`
    #[arg(long, default_value = "model", value_parser = url::database)]
    database: DatabaseChoice,
    /// Write the smallest counterexample of each scenario into this folder
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print results as JSON, a line for each scenario
    #[arg(long)]
    json: bool,
}

fn property(text: &str) -> Result<Property, String> {
    let names: Vec<&str> = Property::ALL.iter().map(|property| property.name()).collect();
    Property::find(text).ok_or_else(|| format!("known are {}", names.join(", ")))
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    if let CacheChoice::Memcached(real) = &arguments.cache
        && let Place::Servers(_) = real.place
    {
        complain!(
            "--cache {}: every schedule needs an empty server; use `--cache memcached`, which \
             starts them",
            arguments.cache
        );
        return Exit::WrongInput;
    }
    let scenarios = match load(arguments, registry) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    if let Some(folder) = &arguments.out
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        complain!("{}: cannot be created: {error}; choose another --out", folder.display());
        return Exit::Environment;
    }
    let mut exit = Exit::AsExpected;
    for (file, scenario) in &scenarios {
        exit = exit.max(one(arguments, registry, file, scenario));
    }
    exit
}

fn load(arguments: &Arguments, registry: &Registry) -> Result<Vec<(PathBuf, Scenario)>, Exit> {
    let metrics = metric_specs();
    let known = known(registry, &metrics);
    let mut loaded = Vec::new();
    let mut exit = Exit::AsExpected;
    let mut complain = |problem: String| {
        complain!("{problem}");
        exit = Exit::WrongInput;
    };
    if let Some(pattern) = &arguments.pattern
        && registry.find(pattern).is_none()
    {
        complain(format!("unknown pattern `{pattern}`; see `staleproof list patterns`"));
    }
    for path in &arguments.paths {
        match scenario::find_files(path) {
            Err(problem) => complain(problem.to_string()),
            Ok(files) => {
                for file in files {
                    match scenario::load(&file, &known) {
                        Ok(scenario) => loaded.push((file, scenario)),
                        Err(problems) => problems.iter().for_each(|p| complain(p.to_string())),
                    }
                }
            }
        }
    }
    if exit == Exit::AsExpected { Ok(loaded) } else { Err(exit) }
}

fn one(arguments: &Arguments, registry: &Registry, file: &Path, scenario: &Scenario) -> Exit {
    let name = file.display().to_string();
    let mut scenario = scenario.clone();
    if let Some(pattern) = &arguments.pattern
        && *pattern != scenario.pattern
    {
        scenario.pattern.clone_from(pattern);
        scenario.settings.clear();
        // What was expected was expected of the scenario's own pattern.
        (scenario.explore.expect, scenario.explore.hazard) = (None, None);
    }
    let subject = match subject(arguments, registry, &scenario) {
        Ok(subject) => subject,
        Err(problem) => {
            complain!("{name}: {problem}");
            return Exit::WrongInput;
        }
    };
    let limits = Limits { schedules: arguments.max_schedules.unwrap_or(u64::MAX) };
    let started = Instant::now();
    let mut watch = |_: &Effort| match arguments.max_time {
        Some(most) if started.elapsed() > most => {
            ControlFlow::Break(format!("{} s went by", most.as_secs_f64()))
        }
        _ => ControlFlow::Continue(()),
    };
    let servers = Servers { cache: arguments.cache.clone(), database: arguments.database.clone() };
    let on_models = servers.cache == CacheChoice::Model
        && matches!(servers.database, DatabaseChoice::Model | DatabaseChoice::ModelOf(_));
    let explored = match on_models {
        true => explore_scenario(&subject, &name, limits, &mut watch).map(|result| (result, None)),
        false => explore_on_servers(&subject, &servers, &name, limits, &mut watch)
            .map(|(result, on)| (result, Some(on))),
    };
    match explored {
        Ok((result, on)) => show(arguments, file, &result, on.as_deref()),
        Err(error) => {
            complain!("{name}: {error}");
            match error {
                RunError::Backend(_) => Exit::Environment,
                _ => Exit::WrongInput,
            }
        }
    }
}

fn subject(
    arguments: &Arguments,
    registry: &Registry,
    scenario: &Scenario,
) -> Result<Subject, String> {
    let sizes =
        Sizes { readers: arguments.readers, writers: arguments.writers, keys: arguments.keys };
    let explore = &scenario.explore;
    let nobody = |given: Option<u32>, own: Option<u32>| given.or(own) == Some(0);
    if nobody(sizes.readers, explore.readers) && nobody(sizes.writers, explore.writers) {
        return Err("neither readers nor writers: give --readers or --writers 1 or more".to_owned());
    }
    let mut subject = Subject::of(scenario, registry, sizes).map_err(|error| error.to_string())?;
    if let DatabaseChoice::ModelOf(profile) = arguments.database {
        subject.scenario.database.profile = profile;
    }
    if let Some(faults) = arguments.faults {
        subject.allow_faults(faults);
    }
    if let Some(pauses) = arguments.pauses {
        subject.bounds.advances = pauses;
    }
    if !arguments.property.is_empty() {
        subject.properties.clone_from(&arguments.property);
    }
    Ok(subject)
}

fn show(arguments: &Arguments, file: &Path, result: &ExploreResult, on: Option<&str>) -> Exit {
    let mut exit = exit_of(result);
    let mut shown = match arguments.json {
        true => {
            let mut text = serde_json::to_string(result).expect("plain data can be written");
            text.push('\n');
            text
        }
        false => exploration::text(result, colour()),
    };
    if let (Some(on), false) = (on, arguments.json) {
        // The first schedule that was met is shown; nothing is cut down on real servers.
        shown = shown.replacen("  small schedule for ", "  a schedule for ", 1);
        shown.push_str(&format!("  on {on}, each schedule from the start\n"));
    }
    if let (Some(folder), Some(counterexample)) = (&arguments.out, &result.counterexample) {
        match keep(folder, file, &result.pattern, counterexample) {
            Ok(path) if !arguments.json => {
                shown.push_str(&format!("  replay: staleproof replay {}\n", path.display()));
            }
            Ok(_) => {}
            Err(problem) => {
                complain!("{problem}");
                exit = exit.max(Exit::Environment);
            }
        }
    } else if result.counterexample.is_some() && !arguments.json {
        shown.push_str("  keep it: the same command with --out FOLDER, then `staleproof replay`\n");
    }
    exit.max(print(&shown))
}

/// Writes a counterexample into a folder; says where.
pub(super) fn keep(
    folder: &Path,
    file: &Path,
    pattern: &str,
    counterexample: &Counterexample,
) -> Result<PathBuf, String> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let path = folder.join(format!("{stem}-{pattern}.json"));
    match std::fs::write(&path, counterexample.to_json()) {
        Ok(()) => Ok(path),
        Err(error) => Err(format!("{}: cannot be written: {error}", path.display())),
    }
}

/// Colour on a terminal, unless `NO_COLOR` says otherwise.
pub(super) fn colour() -> Colour {
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    if std::io::stdout().is_terminal() && !plain { Colour::On } else { Colour::Off }
}

fn exit_of(result: &ExploreResult) -> Exit {
    if !result.not_tested.is_empty() {
        return Exit::NotTested;
    }
    match (result.as_expected, result.verdict.as_str()) {
        (Some(true), _) => Exit::AsExpected,
        (Some(false), _) => Exit::Differs,
        (None, "holds") => Exit::AsExpected,
        (None, "violated") => Exit::Differs,
        _ => Exit::Unknown,
    }
}
