//! `staleproof hunt`: many seeds of a scenario until something breaks, then the smallest
//! schedule that does.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;

use super::explore::keep;
use super::{Exit, known, metric_specs, print, url};
use crate::explore::{Counterexample, Failure, HUNT_FORMAT, Hunt, Hunted, Shard, Subject};
use crate::explore::{hunt, narrow};
use crate::pattern::Registry;
use crate::report::exploration;
use crate::run::DatabaseChoice;
use crate::scenario::{self, Scenario};
use crate::time::parse_duration;

#[derive(Args)]
#[command(after_help = "Examples:
  staleproof hunt my.toml
  staleproof hunt my.toml --time 10min --swarm --faults 2 --out found
  staleproof hunt my.toml --seeds 1000000 --count --jsonl --shard 1/4 > part1.jsonl

Each seed is one schedule of the scenario's operations: half of the seeds take any step that can
happen, the others go by priorities (PCT). The lowest seed that fails is the result, whatever the
number of threads; its operations are then cut down to the smallest program and schedule.

Exit codes: 0 nothing found, 1 found, 2 wrong input, 3 a limit was reached, 4 nothing found, but a
fault of the scenario never took effect.")]
pub(super) struct Arguments {
    /// The scenario file
    file: PathBuf,
    /// Seeds to look at, over all shards [default: 1000, or no end with --time]
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: Option<u64>,
    /// How long to look, as in 30s
    #[arg(long, value_parser = parse_duration)]
    time: Option<Duration>,
    /// The first seed [default: the scenario's]
    #[arg(long, value_name = "SEED")]
    from: Option<u64>,
    /// Another pattern than the scenario's
    #[arg(long)]
    pattern: Option<String>,
    /// Faults that strike in one schedule at the most
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=64))]
    faults: Option<u32>,
    /// Steps that may take longer than their timeouts: clients that are so slow
    #[arg(long, value_parser = clap::value_parser!(u32).range(0..=64))]
    pauses: Option<u32>,
    /// The rules of the model that is hunted on: `model`, or `model:PROFILE`
    #[arg(long, default_value = "model", value_parser = model)]
    database: DatabaseChoice,
    /// Each seed goes without some kinds of faults, which then hide no others
    #[arg(long)]
    swarm: bool,
    /// Do not stop at a seed that fails; count them all
    #[arg(long)]
    count: bool,
    /// Only the i-th of every n seeds, for one of n machines
    #[arg(long, value_name = "i/n", value_parser = shard)]
    shard: Option<Shard>,
    /// Threads [default: one a core]; they do not change what is found
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1024))]
    threads: Option<u64>,
    /// Print a JSON line for each failing seed and one in the end; they merge by concatenation
    #[arg(long)]
    jsonl: bool,
    /// Write the counterexample into this folder
    #[arg(long)]
    out: Option<PathBuf>,
}

fn shard(text: &str) -> Result<Shard, String> {
    let parts = text.split_once('/');
    let numbers = parts.and_then(|(i, n)| Some((i.parse::<u64>().ok()?, n.parse::<u64>().ok()?)));
    match numbers {
        Some((number, of)) if (1..=of).contains(&number) => Ok(Shard { number: number - 1, of }),
        _ => Err(format!("`{text}` is not a part: write 1/4 to 4/4 for four machines")),
    }
}

fn model(text: &str) -> Result<DatabaseChoice, String> {
    match url::database(text)? {
        model @ (DatabaseChoice::Model | DatabaseChoice::ModelOf(_)) => Ok(model),
        _ => Err(
            "a hunt walks through states of the models; write `model:postgres` for the rules of \
                  PostgreSQL, and confirm what is found with `staleproof replay FILE --database \
                  postgres`"
                .to_owned(),
        ),
    }
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    let subject = match subject(arguments, registry) {
        Ok(subject) => subject,
        Err(problems) => {
            problems.iter().for_each(|problem| complain!("{problem}"));
            return Exit::WrongInput;
        }
    };
    if subject.plan().operations() == 0 {
        complain!("{}: no client does anything: nothing was tested", arguments.file.display());
        return Exit::NotTested;
    }
    if let Some(folder) = &arguments.out
        && let Err(error) = std::fs::create_dir_all(folder)
    {
        complain!("{}: cannot be created: {error}; choose another --out", folder.display());
        return Exit::Environment;
    }
    let endless = if arguments.time.is_some() { u64::MAX } else { 1_000 };
    let from = arguments.from.unwrap_or(subject.scenario.seed);
    let mut wanted = Hunt::over(from, arguments.seeds.unwrap_or(endless));
    (wanted.count, wanted.swarm) = (arguments.count, arguments.swarm);
    wanted.shard = arguments.shard.unwrap_or(wanted.shard);
    wanted.threads = arguments.threads.map_or(wanted.threads, |threads| threads as usize);
    let started = Instant::now();
    let watch = || match arguments.time {
        Some(most) if started.elapsed() > most => {
            ControlFlow::Break(format!("{} s went by", most.as_secs_f64()))
        }
        _ => ControlFlow::Continue(()),
    };
    let found = hunt(&subject, &wanted, &watch).and_then(|hunted| {
        let smallest = match hunted.failures.first() {
            Some(lowest) => {
                narrow(&subject, lowest, wanted.swarm, &mut |_| ControlFlow::Continue(()))?
            }
            None => None,
        };
        Ok((hunted, smallest))
    });
    match found {
        Ok((hunted, smallest)) => show(arguments, &wanted, &hunted, smallest.as_ref()),
        Err(error) => {
            complain!("{}: {error}", arguments.file.display());
            Exit::WrongInput
        }
    }
}

fn subject(arguments: &Arguments, registry: &Registry) -> Result<Subject, Vec<String>> {
    let metrics = metric_specs();
    let loaded = scenario::load(&arguments.file, &known(registry, &metrics));
    let mut scenario: Scenario = loaded
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<String>>())?;
    if let Some(pattern) = &arguments.pattern
        && *pattern != scenario.pattern
    {
        if registry.find(pattern).is_none() {
            let problem = format!("unknown pattern `{pattern}`; see `staleproof list patterns`");
            return Err(vec![problem]);
        }
        scenario.pattern.clone_from(pattern);
        scenario.settings.clear();
    }
    let subject = Subject::whole(&scenario, registry);
    let mut subject = subject.map_err(|error| vec![error.to_string()])?;
    if let DatabaseChoice::ModelOf(profile) = arguments.database {
        subject.scenario.database.profile = profile;
    }
    if let Some(faults) = arguments.faults {
        subject.allow_faults(faults);
    }
    subject.bounds.advances = arguments.pauses.unwrap_or(subject.bounds.advances);
    Ok(subject)
}

fn show(
    arguments: &Arguments,
    wanted: &Hunt,
    hunted: &Hunted,
    smallest: Option<&Counterexample>,
) -> Exit {
    let mut exit = match (hunted.failures.is_empty(), hunted.cut, limit(arguments, hunted)) {
        (false, ..) => Exit::Differs,
        (true, 0, None) if !hunted.not_tested.is_empty() => Exit::NotTested,
        (true, 0, None) if hunted.schedules > 0 => Exit::AsExpected,
        _ => Exit::Unknown,
    };
    let mut shown = match arguments.jsonl {
        true => lines(arguments, wanted, hunted),
        false => text(arguments, hunted, smallest),
    };
    if let (Some(folder), Some(smallest)) = (&arguments.out, smallest) {
        let kept = keep(folder, &arguments.file, &smallest.scenario.pattern, smallest);
        match kept {
            Ok(path) if !arguments.jsonl => {
                let _ = writeln!(shown, "  replay: staleproof replay {}", path.display());
            }
            Ok(_) => {}
            Err(problem) => {
                complain!("{problem}");
                exit = exit.max(Exit::Environment);
            }
        }
    }
    exit.max(print(&shown))
}

/// Why fewer seeds were looked at than were asked for.
fn limit<'a>(arguments: &Arguments, hunted: &'a Hunted) -> Option<&'a str> {
    // Time alone is no limit but what was asked for.
    hunted.stopped.as_deref().filter(|_| arguments.seeds.is_some())
}

fn reproduce(arguments: &Arguments, seed: u64) -> String {
    let file = arguments.file.display().to_string();
    let mut line = format!(
        "staleproof hunt {} --seeds 1 --from {seed}",
        crate::report::text::shell_path(&file)
    );
    if let Some(pattern) = &arguments.pattern {
        let _ = write!(line, " --pattern {pattern}");
    }
    if let Some(faults) = arguments.faults {
        let _ = write!(line, " --faults {faults}");
    }
    if let Some(pauses) = arguments.pauses {
        let _ = write!(line, " --pauses {pauses}");
    }
    if arguments.database != DatabaseChoice::Model {
        let _ = write!(line, " --database {}", arguments.database);
    }
    line.push_str(if arguments.swarm { " --swarm" } else { "" });
    line
}

fn text(arguments: &Arguments, hunted: &Hunted, smallest: Option<&Counterexample>) -> String {
    let mut out = String::new();
    let (count, failing) = (hunted.schedules, hunted.failures.len());
    let Some(lowest) = hunted.failures.first() else {
        let _ = match count {
            0 => writeln!(out, "nothing was looked at"),
            _ => writeln!(out, "{}", hunted.sample().sentence_of("schedule")),
        };
        for reason in &hunted.not_tested {
            let _ = writeln!(out, "  not tested: {reason}");
        }
        if let Some(reason) = limit(arguments, hunted) {
            let _ = writeln!(out, "  not every seed was looked at: {reason}");
        }
        if hunted.cut > 0 {
            let _ = writeln!(out, "  {} schedules were cut off: too many steps", hunted.cut);
        }
        return out;
    };
    let _ = match arguments.count {
        true => writeln!(out, "found in {failing} of {count} schedules"),
        false => writeln!(out, "found in schedule {count}"),
    };
    let Failure { seed, walker, choices, findings } = lowest;
    let _ = writeln!(out, "  the lowest seed is {seed}: {choices} choices, {}", walker.name());
    for finding in findings {
        let _ = writeln!(out, "  found    {finding}");
    }
    if let Some(smallest) = smallest {
        out.push_str(&exploration::smallest(smallest));
    }
    let _ = writeln!(out, "  reproduce: {}", reproduce(arguments, *seed));
    out
}

/// A line for each failing seed, and one over all.
fn lines(arguments: &Arguments, wanted: &Hunt, hunted: &Hunted) -> String {
    let mut out = String::new();
    for failure in &hunted.failures {
        let line = json!({
            "format": HUNT_FORMAT,
            "type": "failure",
            "scenario": arguments.file.display().to_string(),
            "seed": failure.seed,
            "walker": failure.walker.name(),
            "choices": failure.choices,
            "findings": failure.findings,
            "reproduce": reproduce(arguments, failure.seed),
        });
        let _ = writeln!(out, "{line}");
    }
    let mut line = json!({
        "format": HUNT_FORMAT,
        "type": "summary",
        "scenario": arguments.file.display().to_string(),
        "from": wanted.from,
        "seeds": wanted.seeds,
        "shard": format!("{}/{}", wanted.shard.number + 1, wanted.shard.of),
        "schedules": hunted.schedules,
        "failing": hunted.failures.len(),
        "cut": hunted.cut,
        "lowest": hunted.failures.first().map(|failure| failure.seed),
        "stopped": hunted.stopped,
    });
    if hunted.failures.is_empty() {
        let sample = hunted.sample();
        line["reads"] = json!(sample.reads);
        line["bound"] = json!(sample.bound);
        line["not_tested"] = json!(hunted.not_tested);
    }
    let _ = writeln!(out, "{line}");
    out
}
