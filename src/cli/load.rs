//! `staleproof load`: a scenario's workload on real servers, in real time.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::{Exit, known, metric_specs, print, url};
use crate::load::fault::RealFault;
use crate::load::{self, LoadError, Options, Snapshot};
use crate::pattern::Registry;
use crate::run::{CacheChoice, DatabaseChoice, Servers};
use crate::scenario;
use crate::seed::Seed;
use crate::time::parse_duration;

#[derive(Args)]
pub(super) struct Arguments {
    /// The scenario: its pattern, mix, keys, rows, timeouts and TTL count, its runs do not
    scenario: PathBuf,
    /// The cache: `memcached[:PROGRAM]` (started for the load) or `memcached://HOST:PORT[,...]`
    #[arg(long, default_value = "memcached", value_parser = url::cache)]
    cache: CacheChoice,
    /// The database: `sqlite`, `sqlite:FILE`, or a server
    #[arg(long, default_value = "sqlite", value_parser = url::database)]
    database: DatabaseChoice,
    /// How many clients, each a thread with connections of its own
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=4096))]
    clients: u32,
    /// How long is measured
    #[arg(long, default_value = "10s", value_parser = parse_duration)]
    duration: Duration,
    /// How long the load runs before
    #[arg(long, default_value = "1s", value_parser = parse_duration)]
    warm_up: Duration,
    /// Operations per second of all clients together, each counted from its arrival; without
    /// it, a client asks again as soon as it has its answer
    #[arg(long, value_parser = rate)]
    rate: Option<f64>,
    /// The seed, instead of the scenario's
    #[arg(long)]
    seed: Option<u64>,
    /// A real fault, as in `do = "stop-node", at = "2s", every = "5s", lasts = "500ms"`; may be
    /// given several times. Kinds: delay, throttle, reset-mid-reply, one-way, half-open (on the
    /// wire), stop-node, kill-node, restart-warm, flush-node, shrink-memory, leave-ring; and of a
    /// database server cut-before-commit, cut-after-commit, statement-error, lock-timeout,
    /// deadlock, serialization-failure (one client's next statement), restart-database; and of
    /// PostgreSQL's log of commits, where the pattern reads it, log-gap, log-replay, log-reorder
    #[arg(long = "fault", value_parser = RealFault::parse)]
    faults: Vec<RealFault>,
    /// Also write the history, as it happens, to this file, for `staleproof check`
    #[arg(long, value_name = "FILE")]
    history: Option<PathBuf>,
    /// How the result is printed
    #[arg(long, default_value = "text")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e9 => Ok(rate),
        _ => Err("a rate is a number of operations per second above 0, at most 1e9".to_owned()),
    }
}

/// Set by Ctrl-C.
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    let metrics = metric_specs();
    let loaded = scenario::load(&arguments.scenario, &known(registry, &metrics));
    let scenario = match loaded {
        Ok(scenario) => scenario,
        Err(problems) => {
            problems.iter().for_each(|problem| complain!("{problem}"));
            return Exit::WrongInput;
        }
    };
    // A second handler in one process is the only way to fail; the first one then serves.
    let _ = ctrlc::set_handler(|| INTERRUPTED.store(true, Ordering::SeqCst));
    let servers = Servers { cache: arguments.cache.clone(), database: arguments.database.clone() };
    let options = Options {
        clients: arguments.clients,
        duration: arguments.duration,
        warm_up: arguments.warm_up,
        rate: arguments.rate,
        seed: Seed(arguments.seed.unwrap_or(scenario.seed)),
        faults: arguments.faults.clone(),
        history: arguments.history.clone(),
    };
    let mut progress = Progress::new();
    let outcome = load::run(&scenario, registry, &servers, &options, &mut |snapshot| {
        progress.show(snapshot);
        !INTERRUPTED.load(Ordering::SeqCst)
    });
    progress.clear();
    let outcome = match outcome {
        Ok(outcome) => outcome,
        Err(error) => {
            complain!("{}: {error}", arguments.scenario.display());
            return match error {
                LoadError::Backend(_) | LoadError::Output(_) => Exit::Environment,
                LoadError::Input(_) => Exit::WrongInput,
            };
        }
    };
    let shown = match arguments.format {
        Format::Text => outcome.to_string(),
        Format::Json => serde_json::to_string_pretty(&outcome).expect("it is plain data") + "\n",
    };
    let exit = match (&outcome.problem, outcome.operations) {
        (Some(_), _) => Exit::Environment,
        (None, _) if INTERRUPTED.load(Ordering::SeqCst) => Exit::Interrupted,
        (None, operations) if operations == 0 || !outcome.not_tested.is_empty() => Exit::NotTested,
        (None, _) => Exit::AsExpected,
    };
    exit.max(print(&shown))
}

/// A line on the terminal that says how it goes.
struct Progress {
    shown: bool,
    terminal: bool,
    last: (Instant, Snapshot),
}

impl Progress {
    fn new() -> Progress {
        let terminal = std::io::stderr().is_terminal();
        Progress { shown: false, terminal, last: (Instant::now(), Snapshot::default()) }
    }

    fn show(&mut self, now: &Snapshot) {
        if !self.terminal {
            return;
        }
        let (then, before) = self.last;
        let seconds = then.elapsed().as_secs_f64().max(1e-3);
        let rate = (now.operations - before.operations) as f64 / seconds;
        let reads = (now.reads - before.reads).max(1) as f64;
        let hits = (now.hits - before.hits) as f64 / reads;
        // Nobody is left to tell when the terminal is gone.
        let _ = write!(
            std::io::stderr(),
            "\r\x1b[2K{rate:.0} operations/s  hit ratio {hits:.3}  stale so far {}  errors {}",
            now.stale,
            now.errors
        );
        self.last = (Instant::now(), *now);
        self.shown = true;
    }

    fn clear(&self) {
        if self.shown {
            let _ = write!(std::io::stderr(), "\r\x1b[2K");
        }
    }
}
