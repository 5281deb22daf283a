//! Load: real threads, real time, real servers, and the same pattern code.
//!
//! A thread per client with connections of its own polls the pattern's futures and carries out
//! each step by blocking on a socket (`client`, `link`). Nothing is kept per operation:
//! what is wrong is counted while it happens, from the versions that the database gives its rows
//! (`versions`), so a run of any length needs the same memory. A history for `staleproof check` is
//! written down on the way where it is asked for (`scribe`). At the end the load stops,
//! background work drains, and every row is compared with its entry, without touching it
//! (`audit`). [`run`] puts it together; [`Outcome`] is what comes out.
//!
//! What goes wrong is real: `proxy` sits between each client and each node, `chaos` stops,
//! kills and flushes servers and writes rows behind the application's back, `harms` has the
//! database cut, refuse and deadlock single statements; `rules` says which faults of a scenario
//! that covers.
//!
//! All clients live on one machine and read one monotonic clock, so intervals of staleness need
//! no allowance for clocks that differ.

mod audit;
mod chaos;
mod client;
mod database_link;
mod evidence;
pub mod fault;
mod harms;
mod link;
mod log;
mod outcome;
mod proxy;
mod rules;
mod scribe;
mod stage;
mod tally;
mod versions;

pub use audit::Entries;
pub use outcome::{Latency, Outcome, Staleness, Struck};
pub use tally::Snapshot;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::{Duration, Instant};

use crate::backend::BackendError;
use crate::pattern::Registry;
use crate::run::Servers;
use crate::scenario::Scenario;
use crate::seed::Seed;

use self::client::{Client, Finished};
use self::fault::RealFault;
use self::stage::Stage;
use self::tally::Live;

/// How much load, for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Clients, each a thread.
    pub clients: u32,
    /// How long is measured.
    pub duration: Duration,
    /// How long the load runs before.
    pub warm_up: Duration,
    /// Operations per second of all clients together, begun whether or not earlier ones are
    /// slow; without it each client begins its next operation when the one before has ended.
    pub rate: Option<f64>,
    /// What is asked.
    pub seed: Seed,
    /// What goes wrong, beside the scenario's faults.
    pub faults: Vec<RealFault>,
    /// Where the history goes, for `staleproof check`.
    pub history: Option<PathBuf>,
}

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The environment failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// What was asked for cannot be done.
    #[error("{0}")]
    Input(String),
    /// The history cannot be written.
    #[error("{0}")]
    Output(String),
}

/// Where the load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
enum Phase {
    WarmUp,
    Measured,
    /// Clients stop.
    Healing,
    /// Clients have stopped; background work stops when a round finds nothing.
    Draining,
}

/// What all threads look at.
struct Shared {
    phase: AtomicU8,
    start: Instant,
}

impl Shared {
    fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Relaxed) {
            0 => Phase::WarmUp,
            1 => Phase::Measured,
            2 => Phase::Healing,
            _ => Phase::Draining,
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }
}

/// How often whoever watches is told.
const WATCH_EVERY: Duration = Duration::from_millis(250);

/// Puts a scenario's workload on real servers. `watch` is told how it goes, four times a second,
/// and stops it by answering `false`: what was measured until then is the result.
pub fn run(
    scenario: &Scenario,
    registry: &Registry,
    servers: &Servers,
    options: &Options,
    watch: &mut dyn FnMut(&Snapshot) -> bool,
) -> Result<Outcome, LoadError> {
    let mut stage = Stage::set(scenario, registry, servers, options)?;
    let shared = Arc::new(Shared { phase: AtomicU8::new(0), start: Instant::now() });
    stage.arm(shared.start)?;
    let live: Vec<Arc<Live>> = (0..stage.threads()).map(|_| Arc::default()).collect();
    let mut threads = Vec::new();
    for (number, live) in live.iter().enumerate() {
        let seat = stage.seat(number, Arc::clone(&shared), Arc::clone(live));
        let (seat, database) = match seat {
            Ok(seat) => seat,
            Err(error) => {
                stage.calm();
                shared.enter(Phase::Draining);
                return Err(error);
            }
        };
        threads.push(std::thread::spawn(move || Client::new(seat, database).map(Client::run)));
    }
    let failed = || threads.iter().any(std::thread::JoinHandle::is_finished);
    let mut interrupted = !wait(options.warm_up, &live, &failed, watch);
    let before = tally::sum(&live);
    shared.enter(Phase::Measured);
    let begun = Instant::now();
    if !interrupted {
        interrupted = !wait(options.duration, &live, &failed, watch);
    }
    let elapsed = begun.elapsed();
    let (faults, not_tested) = stage.calm();
    shared.enter(Phase::Healing);
    let mut outcome = Outcome::new(scenario, options, elapsed, stage.describe());
    outcome.interrupted = interrupted;
    outcome.warm_up_operations = before.operations;
    let mut problem = None;
    for (number, thread) in threads.into_iter().enumerate() {
        if number == stage.clients() {
            shared.enter(Phase::Draining);
        }
        match thread.join() {
            Ok(Ok(Finished { tally, problem: ended })) => {
                outcome.take(&tally);
                problem = ended.or(problem);
            }
            Ok(Err(error)) => problem = Some(error),
            Err(_) => problem = Some(LoadError::Input("a client's thread panicked".to_owned())),
        }
    }
    // What was measured is kept; a server that died in the middle is said beside it.
    outcome.problem = problem.map(|error| error.to_string());
    match stage.audit() {
        Ok(entries) => outcome.entries = entries,
        Err(error) => outcome.note(&error.to_string()),
    }
    outcome.evictions = stage.evictions();
    outcome.faults = faults;
    outcome.not_tested = not_tested;
    match stage.recorded() {
        Some(Ok(count)) => outcome.recorded = Some(count),
        Some(Err(problem)) => outcome.note(&problem),
        None => {}
    }
    outcome.close();
    Ok(outcome)
}

/// Waits, unless a thread ends early or the watcher has enough; says whether to go on.
fn wait(
    duration: Duration,
    live: &[Arc<Live>],
    failed: &dyn Fn() -> bool,
    watch: &mut dyn FnMut(&Snapshot) -> bool,
) -> bool {
    let end = Instant::now() + duration;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return true;
        }
        std::thread::sleep(left.min(WATCH_EVERY));
        if failed() || !watch(&tally::sum(live)) {
            return false;
        }
    }
}
