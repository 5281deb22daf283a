//! Hunting: many seeds of a program of any size, until one goes wrong.
//!
//! Each seed is one schedule, and says by itself which; so the result depends on the seeds
//! alone, not on how many threads took them. Threads take the next seed from one counter: one
//! that is done early takes more. Every seed that was taken is finished, so all seeds below
//! the lowest that fails have been looked at.

use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::finding::Finding;
use super::judge::{self, Question};
use super::search::{Models, node_names};
use super::subject::Subject;
use super::timing::with_enough;
use super::untested;
use crate::history::record::History;
use crate::operation::OpKind;
use crate::run::Sample;
use crate::schedule::{Choice, Extent, RunError, Servers, Stride, Timing, Walker, route, walk};
use crate::seed::Seed;

/// The version of the JSON lines; a reader refuses others.
pub const HUNT_FORMAT: u32 = 1;

/// A part of the seeds, for one of several machines: of each `of` seeds the `number`-th,
/// counted from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

/// Which seeds are looked at, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hunt {
    /// The first seed of all parts.
    pub from: u64,
    /// Seeds of all parts together.
    pub seeds: u64,
    /// The part that is looked at here.
    pub shard: Shard,
    /// Threads; they do not change the result.
    pub threads: usize,
    /// Whether to go on after a seed has failed, and count them all.
    pub count: bool,
    /// Whether each seed goes without some kinds of faults.
    pub swarm: bool,
}

impl Hunt {
    /// These seeds, until the lowest that fails.
    pub fn over(from: u64, seeds: u64) -> Hunt {
        let shard = Shard { number: 0, of: 1 };
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Hunt { from, seeds, shard, threads, count: false, swarm: false }
    }

    /// How many seeds the part has.
    fn share(&self) -> u64 {
        self.seeds.saturating_sub(self.shard.number).div_ceil(self.shard.of)
    }

    fn seed(&self, place: u64) -> u64 {
        let offset = place.wrapping_mul(self.shard.of).wrapping_add(self.shard.number);
        Seed(self.from).of_run(offset).0
    }
}

/// A seed that went wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// How it chose.
    pub walker: Walker,
    /// Choices of its schedule.
    pub choices: usize,
    /// What is wrong at its end.
    pub findings: Vec<Finding>,
}

/// What a hunt came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hunted {
    /// Schedules that were looked at: up to the lowest seed that failed, or all.
    pub schedules: u64,
    /// Seeds that failed: the lowest, or all in their order.
    pub failures: Vec<Failure>,
    /// Schedules that were cut off because they took too long.
    pub cut: u64,
    /// Reads in the schedules that show nothing; 0 where the hunt ended at one that fails.
    pub reads: u64,
    /// Why not all seeds were looked at.
    pub stopped: Option<String>,
    /// Why, where nothing failed, something was not tested: faults that never took effect.
    pub not_tested: Vec<String>,
}

impl Hunted {
    /// What it says where nothing failed.
    pub fn sample(&self) -> Sample {
        Sample::of_each(self.schedules - self.cut, self.reads)
    }
}

/// One schedule by chance, and what is wrong at its end.
pub(crate) struct Walked {
    pub findings: Vec<Finding>,
    pub choices: Vec<Choice>,
    pub history: History,
    pub ended: bool,
}

/// Walks through a program once, by a seed of its own.
pub(crate) fn walk_once(
    subject: &Subject,
    seed: Seed,
    walker: Walker,
    swarm: bool,
) -> Result<Walked, RunError> {
    let walk = |timing| walk_timed(subject, timing, seed, walker, swarm);
    Ok(with_enough(subject, walk)?.0)
}

fn walk_timed(
    subject: &Subject,
    timing: Timing,
    seed: Seed,
    walker: Walker,
    swarm: bool,
) -> Result<(Walked, Extent), RunError> {
    let plan = subject.plan();
    let names = node_names(subject);
    let mut program = subject.program(&plan, &names);
    program.timing = timing;
    let node_of = route(&names);
    let question = Question::of(subject, &node_of);
    let stride = Stride { seed, walker, operations: plan.operations(), swarm };
    let mut walked = None;
    Models::of(subject).with(&mut |cache, database| {
        let mut stepper = program.start(cache, database)?;
        let ended = walk(&mut stepper, stride)?;
        let (choices, deadlocks) = (stepper.choices().to_vec(), stepper.deadlocks());
        let (history, cache, database) = stepper.at_rest()?;
        let findings = match ended {
            true => judge::judge(history, cache, database, deadlocks, &question)?,
            false => Vec::new(),
        };
        let extent = stepper.extent().clone();
        let history = stepper.take_history();
        walked = Some((Walked { findings, choices, history, ended }, extent));
        Ok(())
    })?;
    Ok(walked.expect("the servers ran it"))
}

/// What the threads have in common.
struct Shared<'a> {
    hunt: &'a Hunt,
    next: AtomicU64,
    /// The lowest place that failed.
    lowest: AtomicU64,
    reads: AtomicU64,
    /// Places that failed, and those whose schedules were cut off.
    seen: Mutex<Vec<(u64, Seen)>>,
    stopped: Mutex<Option<String>>,
    /// Rules of faults that took effect.
    struck: Mutex<Vec<bool>>,
}

enum Seen {
    Failed(Failure),
    Cut,
    Broken(RunError),
}

/// Looks at seeds of a program; `watch` is asked before each whether to go on.
pub fn hunt(
    subject: &Subject,
    hunt: &Hunt,
    watch: &(dyn Fn() -> ControlFlow<String> + Sync),
) -> Result<Hunted, RunError> {
    let shared = Shared {
        hunt,
        next: AtomicU64::new(0),
        lowest: AtomicU64::new(u64::MAX),
        reads: AtomicU64::new(0),
        seen: Mutex::new(Vec::new()),
        stopped: Mutex::new(None),
        struck: Mutex::new(vec![false; subject.scenario.faults.len()]),
    };
    if hunt.threads < 2 {
        look(&shared, subject, watch);
    } else {
        std::thread::scope(|scope| {
            for _ in 0..hunt.threads {
                scope.spawn(|| look(&shared, subject, watch));
            }
        });
    }
    conclude(shared, subject)
}

/// What one thread does.
fn look(shared: &Shared<'_>, subject: &Subject, watch: &(dyn Fn() -> ControlFlow<String> + Sync)) {
    let mut subject = subject.clone();
    let note = |place, seen| {
        shared.seen.lock().expect("no thread panics with the lock").push((place, seen));
    };
    loop {
        if shared.next.load(Ordering::Relaxed) >= shared.hunt.share() {
            return;
        }
        if let ControlFlow::Break(reason) = watch() {
            *shared.stopped.lock().expect("no thread panics with the lock") = Some(reason);
            return;
        }
        let place = shared.next.fetch_add(1, Ordering::Relaxed);
        let passed = !shared.hunt.count && place > shared.lowest.load(Ordering::Relaxed);
        if place >= shared.hunt.share() || passed {
            return;
        }
        let seed = shared.hunt.seed(place);
        subject.scenario.seed = seed;
        let walker = Walker::of(Seed(seed));
        match walk_once(&subject, Seed(seed), walker, shared.hunt.swarm) {
            Ok(walked) if !walked.ended => note(place, Seen::Cut),
            Ok(walked) if walked.findings.is_empty() => {
                let reads = walked.history.ops.iter().filter(|op| op.kind == OpKind::Read).count();
                shared.reads.fetch_add(reads as u64, Ordering::Relaxed);
                let mut struck = shared.struck.lock().expect("no thread panics with the lock");
                untested::note(&walked.history, &subject.scenario.faults, &mut struck);
            }
            Ok(walked) => {
                shared.lowest.fetch_min(place, Ordering::Relaxed);
                let (choices, findings) = (walked.choices.len(), walked.findings);
                note(place, Seen::Failed(Failure { seed, walker, choices, findings }));
            }
            Err(error) => {
                shared.lowest.fetch_min(place, Ordering::Relaxed);
                note(place, Seen::Broken(error));
            }
        }
    }
}

fn conclude(shared: Shared<'_>, subject: &Subject) -> Result<Hunted, RunError> {
    let hunt = shared.hunt;
    let mut seen = shared.seen.into_inner().expect("no thread panicked with the lock");
    seen.sort_by_key(|(place, _)| *place);
    let lowest = shared.lowest.into_inner();
    let ends_early = !hunt.count && lowest != u64::MAX;
    let taken = shared.next.into_inner().min(hunt.share());
    let schedules = if ends_early { lowest + 1 } else { taken };
    let mut hunted = Hunted {
        schedules,
        failures: Vec::new(),
        cut: 0,
        reads: if ends_early { 0 } else { shared.reads.into_inner() },
        stopped: shared.stopped.into_inner().expect("no thread panicked with the lock"),
        not_tested: Vec::new(),
    };
    for (_, seen) in seen.into_iter().filter(|(place, _)| *place < schedules) {
        match seen {
            Seen::Failed(failure) => hunted.failures.push(failure),
            Seen::Cut => hunted.cut += 1,
            Seen::Broken(error) => return Err(error),
        }
    }
    if schedules == hunt.share() || ends_early {
        hunted.stopped = None;
    }
    if hunted.failures.is_empty() && hunted.schedules > 0 {
        let struck = shared.struck.into_inner().expect("no thread panicked with the lock");
        hunted.not_tested = untested::reasons(subject, &untested::never(subject, &struck));
    }
    Ok(hunted)
}
