//! `staleproof explain`: a hazard, a pattern, a fault or a metric, in full.

use std::fmt::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{Exit, known, metric_specs, metrics, print};
use crate::explore::{Folklore, Limits, Sizes, Subject, explore_scenario};
use crate::fault::What;
use crate::hazard::{self, Hazard, shipped};
use crate::metric::{Metric, Needs, Source};
use crate::pattern::{Entry, Registry};
use crate::report::{exploration, folklore};
use crate::scenario::{self, MetricKind, MetricSpec, nearest};

/// Schedules that the search for a hazard's smallest counterexample may take.
const SCHEDULES_MAX: u64 = 100_000;

#[derive(Args)]
pub(super) struct Arguments {
    /// The name of a hazard, a pattern, a fault or a metric, as `staleproof list` prints it;
    /// or `folklore`: what is often said about caches, answered by searching
    name: String,
    /// A folder of hazards' scenarios, instead of those in the program; a hazard's smallest
    /// schedule is searched for in its own
    #[arg(long)]
    scenarios: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments, registry: &Registry) -> Exit {
    let name = arguments.name.as_str();
    if name == "folklore" {
        return match Folklore::shipped().answer(registry) {
            Ok((answers, _)) => print(&folklore::text(&answers)),
            Err(problem) => {
                complain!("{problem}");
                Exit::WrongInput
            }
        };
    }
    let texts: Vec<String> = [
        hazard::find(name).map(|found| of_hazard(found, arguments.scenarios.as_deref(), registry)),
        registry.find(name).map(of_pattern),
        What::ALL.iter().find(|what| what.name() == name).map(|what| of_fault(*what)),
        metrics::find(name).map(of_metric),
    ]
    .into_iter()
    .flatten()
    .collect();
    if texts.is_empty() {
        complain!("error: {}", unknown(name, registry));
        return Exit::WrongInput;
    }
    print(&texts.join("\n"))
}

fn unknown(name: &str, registry: &Registry) -> String {
    let metrics = metric_specs();
    let names = hazard::all().iter().map(|hazard| hazard.id.as_str());
    let names = names.chain(registry.patterns().iter().map(|entry| entry.name.as_str()));
    let names = names.chain(What::ALL.iter().map(|what| what.name()));
    let remedy = match nearest(name, names.chain(metrics.iter().map(|metric| metric.name))) {
        Some(likely) => format!("did you mean `{likely}`?"),
        None => "`staleproof list hazards`, `list patterns`, `list faults` and `list metrics` \
            name what there is"
            .to_owned(),
    };
    format!("`{name}` is no hazard, pattern, fault or metric; {remedy}")
}

fn of_hazard(hazard: &Hazard, scenarios: Option<&Path>, registry: &Registry) -> String {
    let mut out = format!("hazard {}: {}\n\n", hazard.id, hazard.section.words());
    let _ = writeln!(out, "needs       {}", hazard.needs);
    let _ = writeln!(out, "effect      {}", hazard.direction.words());
    let _ = writeln!(out, "duration    {}", hazard.duration.words());
    for (number, step) in hazard.steps.iter().enumerate() {
        let head = if number == 0 { "steps" } else { "" };
        let _ = writeln!(out, "{head:<8} {:>2} {step}", number + 1);
    }
    let list = |names: &[String]| match names {
        [] => "no built-in pattern".to_owned(),
        names => names.join(", "),
    };
    let _ = writeln!(out, "vulnerable  {}", list(&hazard.vulnerable));
    let _ = writeln!(out, "defences    {}", list(&hazard.defences));
    if let Some(reason) = &hazard.not_here {
        let _ = writeln!(out, "not here    {reason}");
        return out;
    }
    match smallest(&hazard.id, scenarios, registry) {
        Ok(drawn) => out.push_str(&drawn),
        Err(reason) => {
            let _ = writeln!(out, "no picture  {reason}");
        }
    }
    out
}

/// The smallest schedule of a hazard's own scenario, searched for now; a scenario that is not
/// to be searched says how it is seen instead.
fn smallest(id: &str, folder: Option<&Path>, registry: &Registry) -> Result<String, String> {
    let metrics = metric_specs();
    let known = known(registry, &metrics);
    let file = folder.unwrap_or(Path::new("scenarios/hazards")).join(format!("{id}.toml"));
    let loaded = match shipped::scenario(id).filter(|_| folder.is_none()) {
        Some(text) => scenario::parse(&file, text, &known),
        None => scenario::load(&file, &known),
    };
    let scenario =
        loaded.map_err(|problems| problems.first().map(ToString::to_string).unwrap_or_default())?;
    if scenario.explore.hazard.is_none() {
        return Ok(format!("see it      staleproof run {}\n", file.display()));
    }
    let subject = Subject::of(&scenario, registry, Sizes::default()).map_err(|e| e.to_string())?;
    let limits = Limits { schedules: SCHEDULES_MAX };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let name = file.display().to_string();
    let result = explore_scenario(&subject, &name, limits, go_on).map_err(|e| e.to_string())?;
    let mut out = format!("see it      staleproof explore {name}\n");
    if let Some(counterexample) = &result.counterexample {
        let _ = writeln!(out, "\n{} under {}, {}", name, scenario.pattern, result.bound);
        out.push_str(&exploration::smallest(counterexample));
    }
    Ok(out)
}

fn of_pattern(entry: &Entry) -> String {
    let mut out = format!("pattern {}: {}\n", entry.name, entry.summary);
    if !entry.text.is_empty() {
        let _ = writeln!(out, "\n{}", entry.text);
    }
    for setting in entry.settings {
        let _ = writeln!(
            out,
            "\nsetting {} (default {}): {}",
            setting.name, setting.default, setting.summary
        );
    }
    let named = |pick: fn(&Hazard) -> &Vec<String>| -> Vec<&str> {
        let hazards = hazard::all().iter();
        hazards.filter(|h| pick(h).contains(&entry.name)).map(|h| h.id.as_str()).collect()
    };
    let (open, closed) = (named(|h| &h.vulnerable), named(|h| &h.defences));
    if !open.is_empty() {
        let _ = writeln!(out, "\nopen to: {}", open.join(", "));
    }
    if !closed.is_empty() {
        let _ = writeln!(out, "\ncloses: {}", closed.join(", "));
    }
    out
}

fn of_fault(what: What) -> String {
    let kind = match (what.strikes_steps(), what.lasts()) {
        (true, _) => "strikes steps: say which with `on`",
        (false, true) => "lasts for a window of time: say `from` and `until`",
        (false, false) => "happens at a point in time or at a step: say `at`, `every` or `on`",
    };
    format!("fault {}: {}\n\n{kind}\n", what.name(), what.summary())
}

fn of_metric(metric: &Metric) -> String {
    let MetricSpec { name, kind, summary } = metric.spec(Source::Run);
    let (unit, example) = match kind {
        MetricKind::Count => ("a number of things", "0"),
        MetricKind::Share => ("a part of a whole, from 0 to 1", "\">= 0.5\""),
        MetricKind::Ratio => ("an average, from 0 on", "\"<= 2\""),
        MetricKind::Duration => ("a time, with its unit: `ns`, `us`, `ms`, `s`", "\"<= 300s\""),
        MetricKind::Verdict => ("`holds`, `violated` or `unknown`", "\"holds\""),
    };
    let mut out = format!("metric {name}: {summary}\n\n");
    let _ = writeln!(out, "is          {unit}");
    let _ = writeln!(out, "expect it   {name} = {example}");
    let _ = writeln!(
        out,
        "            under [expect] of all runs together, under [expect.each] of each"
    );
    let _ = writeln!(out, "            run, under [expect.some] of at least one");
    if metric.needs(Source::Run, Needs::VirtualTime) {
        let _ =
            writeln!(out, "needs       a cache whose clock is virtual; not tested on a real one");
    }
    out
}
