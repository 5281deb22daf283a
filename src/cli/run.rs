//! `staleproof run`: scenario files in, verdicts out.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use super::{Exit, known, metric_specs, print, url};
use crate::pattern::Registry;
use crate::plan::Plan;
use crate::report::text::Colour;
use crate::report::{json, text};
use crate::run::{
    self, CacheChoice, DatabaseChoice, Error, Outcome, Progress, ScenarioResult, Servers,
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
    /// The cache: `model` or `memcached://HOST:PORT[,...]`
    #[arg(long, default_value = "model", value_parser = url::cache)]
    cache: CacheChoice,
    /// The database: `model`, `sqlite` or `sqlite:FILE`
    #[arg(long, default_value = "sqlite", value_parser = url::database)]
    database: DatabaseChoice,
    /// How results are printed
    #[arg(long, default_value = "text")]
    format: Format,
    /// Also write one JSON file per scenario into this folder, each as soon as it is done
    #[arg(long)]
    out: Option<PathBuf>,
    /// Print what would be asked in the first run, and run nothing
    #[arg(long)]
    print_plan: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
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
    if let Some(folder) = &arguments.out
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        eprintln!("{}: cannot be created: {error}; choose another --out", folder.display());
        return Exit::Environment;
    }
    // A second handler in one process is the only way to fail; the first one then serves.
    let _ = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst));
    execute(arguments, registry, &scenarios)
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
            eprintln!("{problem}");
            wrong = true;
            Vec::new()
        });
        for file in files {
            match scenario::load(&file, &known) {
                Ok(mut scenario) => {
                    scenario.seed = arguments.seed.unwrap_or(scenario.seed);
                    scenario.runs = arguments.runs.unwrap_or(scenario.runs);
                    loaded.push((file, scenario));
                }
                Err(problems) => {
                    problems.iter().for_each(|problem| eprintln!("{problem}"));
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

fn execute(arguments: &Arguments, registry: &Registry, scenarios: &Loaded) -> Exit {
    let servers = Servers { cache: arguments.cache.clone(), database: arguments.database.clone() };
    let mut results = Vec::new();
    let mut exit = Exit::AsExpected;
    for (file, scenario) in scenarios {
        let name = file.display().to_string();
        let mut bar = Bar::new(&name);
        let result = run::run(scenario, &name, registry, &servers, &mut bar);
        bar.finish();
        match result {
            Ok(result) => {
                exit = exit.max(exit_of(&result));
                if let Err(error) = keep(arguments, file, &result) {
                    eprintln!("{error}");
                    exit = exit.max(Exit::Environment);
                }
                results.push(result);
            }
            Err(error) => {
                eprintln!("{name}: {error}");
                exit = exit.max(exit_of_error(&error));
            }
        }
        if INTERRUPTED.load(Ordering::SeqCst) {
            exit = Exit::Interrupted;
            break;
        }
    }
    exit.max(print(&shown(arguments, &results)))
}

fn exit_of(result: &ScenarioResult) -> Exit {
    match result.outcome {
        Outcome::AsExpected => Exit::AsExpected,
        Outcome::Differs => Exit::Differs,
        Outcome::NotTested => Exit::NotTested,
    }
}

fn exit_of_error(error: &Error) -> Exit {
    match error {
        Error::Run { source: RunError::Backend(_), .. } => Exit::Environment,
        _ => Exit::WrongInput,
    }
}

/// Writes a result beside its final name and renames it, so that no half file is ever seen.
fn keep(arguments: &Arguments, file: &Path, result: &ScenarioResult) -> Result<(), String> {
    let Some(folder) = &arguments.out else { return Ok(()) };
    let name: Vec<String> = file
        .with_extension("")
        .components()
        .filter_map(|part| match part {
            std::path::Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    let path = folder.join(format!("{}.json", name.join("-")));
    let partial = path.with_extension("json.partial");
    std::fs::write(&partial, json::render(result))
        .and_then(|()| std::fs::rename(&partial, &path))
        .map_err(|error| {
            format!("{}: cannot be written: {error}; choose another --out", path.display())
        })
}

fn shown(arguments: &Arguments, results: &[ScenarioResult]) -> String {
    if arguments.format == Format::Json {
        return results.iter().map(json::render).collect();
    }
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let terminal = std::io::stdout().is_terminal();
    let colour = if terminal && !plain { Colour::On } else { Colour::Off };
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
            out.push_str(&format!("  {}\n", text::reproduce(result, &options(arguments))));
        }
    }
    out
}

/// The options that a reproduction needs beside the seed.
fn options(arguments: &Arguments) -> String {
    let mut options = String::new();
    if let CacheChoice::Memcached(servers) = &arguments.cache {
        options.push_str(&format!(" --cache memcached://{}", servers.join(",")));
    }
    match &arguments.database {
        DatabaseChoice::Sqlite => {}
        DatabaseChoice::Model => options.push_str(" --database model"),
        DatabaseChoice::SqliteFile(file) => {
            options.push_str(&format!(" --database sqlite:{}", file.display()));
        }
    }
    options
}

/// A progress bar, on a terminal, for what takes longer than a second.
struct Bar {
    name: String,
    started: Instant,
    bar: Option<ProgressBar>,
}

impl Bar {
    fn new(name: &str) -> Bar {
        Bar { name: name.to_owned(), started: Instant::now(), bar: None }
    }

    fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Bar {
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
        done == of || !INTERRUPTED.load(Ordering::SeqCst)
    }
}
