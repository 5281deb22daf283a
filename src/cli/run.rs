//! `staleproof run`: scenario files in, verdicts out.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::compare::Baseline;
use super::histories::Histories;
use super::output::{self, Format};
use super::{Exit, known, metric_specs, print, url};
use crate::pattern::Registry;
use crate::plan::Plan;
use crate::report::text::Colour;
use crate::report::{json, text};
use crate::run::{
    self, CacheChoice, DatabaseChoice, Error, Outcome, Progress, Run, ScenarioResult, Servers,
};
use crate::scenario::{self, Scenario};
use crate::schedule::RunError;
use crate::seed::Seed;

#[derive(Args)]
pub(super) struct Arguments {
    /// Scenario files, or folders of them
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// The seed of the first run, instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// How many runs, instead of the scenario's
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// The cache: `model`, `memcached[:PROGRAM]` (started for the run) or
    /// `memcached://HOST:PORT[,...]`, with `?protocol=meta|ascii|binary`, `clock=paced`
    #[arg(long, default_value = "model", value_parser = url::cache)]
    cache: CacheChoice,
    /// The database: `model[:PROFILE]` (sqlite, postgres, postgres-rr), `sqlite`,
    /// `sqlite:FILE`, `postgres[:FOLDER]` (started for the run with the programs in that
    /// folder), `postgres://USER:PASSWORD@HOST:PORT/DATABASE`, or the same with `mariadb`
    #[arg(long, default_value = "sqlite", value_parser = url::database)]
    database: DatabaseChoice,
    /// How results are printed
    #[arg(long, default_value = "text")]
    format: Format,
    /// Also write into this folder: a JSON file per scenario, each as soon as it is done, and
    /// in the end report.html, report.md and junit.xml over all
    #[arg(long)]
    out: Option<PathBuf>,
    /// Also write a report; the ending (.html, .md, .xml, .json, .txt) says its format
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
    /// Also write every run's history into this folder, for `staleproof check`
    #[arg(long, value_name = "FOLDER")]
    history: Option<PathBuf>,
    /// Compress those histories with zstd
    #[arg(long, requires = "history")]
    zstd: bool,
    /// Compare with these results (a file of `--format json`); a regression exits with 1
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Print what would be asked in the first run, and run nothing
    #[arg(long)]
    print_plan: bool,
}

/// Set by Ctrl-C.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    let scenarios = match load_all(arguments, registry) {
        Ok(scenarios) => scenarios,
        Err(exit) => return exit,
    };
    if arguments.print_plan {
        return print_plans(&scenarios, registry);
    }
    if let Some(Err(message)) = arguments.report.as_deref().map(Format::of) {
        complain!("{message}");
        return Exit::WrongInput;
    }
    let files = || scenarios.iter().map(|(file, _)| file.as_path());
    let baseline = match &arguments.baseline {
        None => None,
        Some(file) => match Baseline::read(file, files()) {
            Ok(baseline) => Some(baseline),
            Err(exit) => return exit,
        },
    };
    if let Some(folder) = &arguments.out
        && let Err(error) = make_writable(folder)
    {
        complain!("{}: cannot be written to: {error}; choose another --out", folder.display());
        return Exit::Environment;
    }
    // A second handler in one process is the only way to fail; the first one then serves.
    let _ = ctrlc::set_handler(interrupt);
    run::memory::keep_freed();
    execute(arguments, registry, &scenarios, baseline.as_ref())
}

/// The run under way is finished and its result kept; whoever asks again does not want that.
fn interrupt() {
    if INTERRUPTED.swap(true, Ordering::SeqCst) {
        std::process::exit(i32::from(Exit::Interrupted.code()));
    }
}

type Loaded = Vec<(PathBuf, Scenario)>;

/// Loads every file before the first run, so that a mistake in the last one costs nothing.
fn load_all(arguments: &Arguments, registry: &Registry) -> Result<Loaded, Exit> {
    let metrics = metric_specs();
    let known = known(registry, &metrics);
    let mut loaded = Vec::new();
    let mut wrong = false;
    for path in &arguments.paths {
        let files = scenario::find_files(path).unwrap_or_else(|problem| {
            complain!("{problem}");
            wrong = true;
            Vec::new()
        });
        for file in files {
            match scenario::load(&file, &known) {
                Ok(mut scenario) => {
                    scenario.seed = arguments.seed.unwrap_or(scenario.seed);
                    scenario.runs = arguments.runs.unwrap_or(scenario.runs);
                    if let Err(problem) = scenario.check_runs() {
                        complain!("{}: {problem}", file.display());
                        wrong = true;
                    }
                    loaded.push((file, scenario));
                }
                Err(problems) => {
                    problems.iter().for_each(|problem| complain!("{problem}"));
                    wrong = true;
                }
            }
        }
    }
    if wrong { Err(Exit::WrongInput) } else { Ok(loaded) }
}

fn print_plans(scenarios: &Loaded, registry: &Registry) -> Exit {
    let mut exit = Exit::AsExpected;
    for (file, scenario) in scenarios {
        let Some(entity) = registry.find_entity(&scenario.entity) else {
            return Exit::WrongInput;
        };
        let plan = Plan::draw(scenario, Seed(scenario.seed), &**entity);
        exit = exit.max(print(&format!("# {}, seed {}\n{plan}", file.display(), scenario.seed)));
    }
    exit
}

fn execute(
    arguments: &Arguments,
    registry: &Registry,
    scenarios: &Loaded,
    baseline: Option<&Baseline>,
) -> Exit {
    let servers = Servers { cache: arguments.cache.clone(), database: arguments.database.clone() };
    let mut results = Vec::new();
    let mut exit = Exit::AsExpected;
    for (file, scenario) in scenarios {
        let name = file.display().to_string();
        let histories = arguments.history.as_ref().map(|folder| Histories {
            folder: folder.clone(),
            stem: stem(file),
            zstd: arguments.zstd,
            failed: false,
        });
        let mut bar = Bar::new(&name, histories);
        let result = run::run(scenario, &name, registry, &servers, &mut bar);
        if let Some(error) = bar.error.take() {
            complain!("{name}: {error}");
            exit = exit.max(exit_of_error(&error));
        }
        if bar.finish() {
            exit = exit.max(Exit::Environment);
            break;
        }
        match result {
            Ok(mut result) => {
                result.reproduce = text::reproduce(&result, &options(arguments));
                exit = exit.max(exit_of(&result));
                exit = exit.max(keep(arguments, file, &result));
                results.push(result);
            }
            Err(error) => {
                complain!("{name}: {error}");
                exit = exit.max(exit_of_error(&error));
            }
        }
        if INTERRUPTED.load(Ordering::SeqCst) {
            exit = Exit::Interrupted;
            break;
        }
    }
    let shown = show(arguments, &results);
    let compared = baseline.map_or(Exit::AsExpected, |baseline| baseline.compare(&results));
    exit.max(shown).max(compared)
}

fn exit_of(result: &ScenarioResult) -> Exit {
    match result.outcome {
        Outcome::AsExpected => Exit::AsExpected,
        Outcome::Differs => Exit::Differs,
        Outcome::NotTested => Exit::NotTested,
    }
}

pub(super) fn exit_of_error(error: &Error) -> Exit {
    match error {
        Error::Run { source: RunError::Backend(_), .. } => Exit::Environment,
        Error::Panicked { .. } => Exit::Panicked,
        _ => Exit::WrongInput,
    }
}

/// Creates the folder where it is missing and a file in it for a moment, so that hours of
/// runs do not end at a folder that takes no results.
fn make_writable(folder: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let trial = folder.join(format!(".staleproof-{}.partial", std::process::id()));
    std::fs::write(&trial, "")?;
    std::fs::remove_file(&trial)
}

/// Writes a result into the folder for results, if there is one.
fn keep(arguments: &Arguments, file: &Path, result: &ScenarioResult) -> Exit {
    let Some(folder) = &arguments.out else { return Exit::AsExpected };
    output::write(&folder.join(format!("{}.json", stem(file))), &json::render(result))
}

/// A scenario file's path as one name.
fn stem(file: &Path) -> String {
    let name: Vec<String> = file
        .with_extension("")
        .components()
        .filter_map(|part| match part {
            std::path::Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    name.join("-")
}

/// Prints the results and writes the reports that were asked for.
fn show(arguments: &Arguments, results: &[ScenarioResult]) -> Exit {
    let mut exit = print(&output::render(results, arguments.format, output::colour()));
    if let Some(folder) = &arguments.out {
        exit = exit.max(output::write_reports(folder, results));
    }
    if let Some(path) = &arguments.report {
        let format = Format::of(path).expect("the ending was looked at before the first run");
        exit = exit.max(output::write(path, &output::render(results, format, Colour::Off)));
    }
    exit
}

/// The options that a reproduction needs beside the seed.
fn options(arguments: &Arguments) -> String {
    let mut options = String::new();
    if arguments.cache != CacheChoice::Model {
        options.push_str(&format!(" --cache '{}'", arguments.cache));
    }
    if arguments.database != DatabaseChoice::default() {
        options.push_str(&format!(" --database '{}'", arguments.database));
    }
    options
}

/// A progress bar, on a terminal, for what takes longer than a second.
struct Bar {
    name: String,
    started: Instant,
    bar: Option<ProgressBar>,
    histories: Option<Histories>,
    /// Why there are fewer runs than were asked for.
    error: Option<Error>,
}

impl Bar {
    fn new(name: &str, histories: Option<Histories>) -> Bar {
        Bar { name: name.to_owned(), started: Instant::now(), bar: None, histories, error: None }
    }

    /// Removes the bar; says whether a history could not be written.
    fn finish(self) -> bool {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
        self.histories.is_some_and(|histories| histories.failed)
    }
}

impl Progress for Bar {
    fn ran(&mut self, seed: Seed, run: &Run) {
        if let Some(histories) = &mut self.histories {
            histories.write(seed, run);
        }
    }

    fn failed(&mut self, error: Error) {
        self.error = Some(error);
    }

    fn run_done(&mut self, done: u64, of: u64) -> bool {
        let slow = self.started.elapsed() > Duration::from_secs(1);
        if slow && self.bar.is_none() && std::io::stderr().is_terminal() {
            let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} runs {eta}")
                .expect("the template is well-formed");
            let bar = ProgressBar::new(of).with_style(style).with_message(self.name.clone());
            self.bar = Some(bar);
        }
        if let Some(bar) = &self.bar {
            bar.set_position(done);
        }
        let stopped = self.histories.as_ref().is_some_and(|histories| histories.failed);
        done == of || !(stopped || INTERRUPTED.load(Ordering::SeqCst))
    }
}
