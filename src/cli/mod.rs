//! The command line: one file per subcommand.
//!
//! [`main`] is what `src/main.rs` calls, and what a user's own three-line binary calls with
//! a registry that has their patterns in it.

mod exit;
mod list;
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
  staleproof list patterns

Exit codes: 0 as expected, 1 a verdict differs, 2 wrong input, 4 nothing was tested,
5 the environment failed (dead server, full disk), 130 interrupted."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run scenario files and compare what happens with what they expect
    Run(run::Arguments),
    /// List patterns, faults, metrics or scenarios
    List(list::Arguments),
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
        Command::List(arguments) => list::run(&arguments, &registry),
        #[cfg(feature = "serve")]
        Command::Serve(arguments) => return ExitCode::from(serve::run(arguments)),
        Command::Schema(arguments) => schema::run(&arguments),
    };
    exit.into()
}

/// Prints to standard output. A reader that went away (`| head`) is no failure of ours; a
/// full disk is one.
fn print(text: &str) -> Exit {
    use std::io::{ErrorKind, Write};
    let mut out = std::io::stdout();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            eprintln!("standard output cannot be written: {error}");
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
