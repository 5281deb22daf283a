//! The command line: one file per subcommand.
//!
//! [`main`] is what `src/main.rs` calls, and what a user's own three-line binary calls with
//! a registry that has their patterns in it.

/// Prints a line to standard error. Unlike `eprintln`, it does not panic where that is closed or
/// full: then nobody is left to tell.
macro_rules! complain {
    ($($what:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($what)*);
    }};
}

mod check;
mod compare;
mod completions;
mod exit;
mod explain;
mod explore;
mod histories;
mod hunt;
mod init;
mod lint;
mod list;
#[cfg(all(feature = "memcached", feature = "serve"))]
mod load;
mod matrix;
mod output;
mod replay;
mod report;
mod run;
mod schema;
#[cfg(feature = "serve")]
mod serve;
mod url;

pub use exit::Exit;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::pattern::Registry;
use crate::run::metrics;
use crate::scenario::{Known, MetricSpec};

#[derive(Parser)]
#[command(
    name = "staleproof",
    version,
    about = "Proves, or breaks, the way an application keeps a memcached copy of its database rows",
    after_help = "Examples:
  staleproof run scenarios/article            every claim of the article, a line each
  staleproof run my.toml --runs 100 --seed 7  one scenario, 100 runs from seed 7
  staleproof run my.toml --cache memcached://127.0.0.1:11211
  staleproof check history.jsonl              is this history linearizable?
  staleproof list patterns

Exit codes: 0 as expected, 1 a verdict differs, 2 wrong input, 3 unknown (a limit was reached),
4 nothing was tested, 5 the environment failed (dead server, full disk), 130 interrupted,
anything else a failure of the tool."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenario files and compare what happens with what they expect
    Run(run::Arguments),
    /// Judge recorded histories: linearizability, staleness, session guarantees
    Check(check::Arguments),
    /// Show results that were kept, as text, JSON, JUnit, Markdown or a page
    Report(report::Arguments),
    /// Search every schedule of a small configuration, and find the smallest that goes wrong
    Explore(explore::Arguments),
    /// Search every hazard's program under every strategy
    Matrix(matrix::Arguments),
    /// Look at many seeds until one goes wrong, and cut it down to the smallest schedule
    Hunt(hunt::Arguments),
    /// Run a counterexample again, step by step, on models or on real servers
    Replay(replay::Arguments),
    /// Explain a hazard, a pattern, a fault or a metric
    Explain(explain::Arguments),
    /// Compare two results; exits with 1 on a regression
    Compare(compare::Arguments),
    /// Write a first scenario, with comments
    Init(init::Arguments),
    /// Warn of unsafe settings and habits; exits with 1 when there are any
    Lint(lint::Arguments),
    /// Print completions for a shell
    Completions(completions::Arguments),
    /// List patterns, faults, hazards, metrics or scenarios
    List(list::Arguments),
    /// Put a scenario's workload on real servers, in real time, and count what is stale
    #[cfg(all(feature = "memcached", feature = "serve"))]
    Load(load::Arguments),
    /// Serve memcached's protocols on this machine, with faults on command
    #[cfg(feature = "serve")]
    Serve(serve::ServeArgs),
    /// Print the JSON Schema of scenario files, or of results
    Schema(schema::Arguments),
}

/// Runs the command line with these patterns and entities.
pub fn main(registry: Registry) -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let wrong = error.use_stderr();
            // Nobody is left to tell when not even the message can be printed.
            let _ = error.print();
            return if wrong { Exit::WrongInput.into() } else { Exit::AsExpected.into() };
        }
    };
    let exit = match arguments.command {
        Command::Run(arguments) => run::run(&arguments, &registry),
        Command::Check(arguments) => check::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Explore(arguments) => explore::run(&arguments, &registry),
        Command::Matrix(arguments) => matrix::run(&arguments, &registry),
        Command::Hunt(arguments) => hunt::run(&arguments, &registry),
        Command::Replay(arguments) => replay::run(&arguments, &registry),
        Command::Explain(arguments) => explain::run(&arguments, &registry),
        Command::Compare(arguments) => compare::run(&arguments),
        Command::Init(arguments) => init::run(&arguments),
        Command::Lint(arguments) => lint::run(&arguments, &registry),
        Command::Completions(shell) => completions::run::<Arguments>(&shell),
        Command::List(arguments) => list::run(&arguments, &registry),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => return ExitCode::from(serve::run(arguments)),
        #[cfg(all(feature = "memcached", feature = "serve"))]
        Command::Load(arguments) => load::run(&arguments, &registry),
        Command::Schema(arguments) => schema::run(&arguments),
    };
    crate::backend::stop_servers();
    exit.into()
}

/// Prints to standard output. A reader that went away (`| head`) is no failure of ours; a
/// full disk is one.
fn print(text: &str) -> Exit {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            complain!("standard output cannot be written: {error}");
            Exit::Environment
        }
        _ => Exit::AsExpected,
    }
}

/// What scenario files may refer to.
fn known<'a>(registry: &'a Registry, metrics: &'a [MetricSpec]) -> Known<'a> {
    Known {
        patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
        entities: registry.entities().iter().map(|entity| entity.name()).collect(),
        metrics,
    }
}

fn metric_specs() -> Vec<MetricSpec> {
    metrics::specs()
}
