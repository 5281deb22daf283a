//! Warnings about settings and habits that are allowed and yet unsafe, each with a name.

use std::fmt;

use super::{Run, metrics};
use crate::fault::{Fault, What};
use crate::history::record::{Reported, StepKind, StepRecord};
use crate::operation::{OpId, OpKind};
use crate::scenario::{Comparison, Scenario};
use crate::step::StepId;
use crate::time::Time;

/// A warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Its name, by which it can be allowed.
    pub name: &'static str,
    /// What is unsafe, and what to do.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{}]", self.message, self.name)
    }
}

const NAMES: [&str; 11] = [
    "ttl-never",
    "ttl-over-30-days",
    "ttl-shorter-than-run",
    "sliding-ttl",
    "delete-in-transaction",
    "noreply-mutation",
    "failover-of-mutations",
    "retried-mutations",
    "fault-cannot-strike",
    "expectation-cannot-fail",
    "no-expectation",
];

/// The names of all warnings.
pub fn names() -> Vec<&'static str> {
    NAMES.to_vec()
}

/// 30 days: the longest relative expiry of memcached.
const THIRTY_DAYS: i64 = 2_592_000;

/// What the file alone shows.
pub fn scenario(scenario: &Scenario) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let mut warn = |name, message: String| warnings.push(Warning { name, message });
    match scenario.cache.ttl_seconds {
        Some(0) => warn(
            "ttl-never",
            "`cache.ttl-seconds = 0` is for ever: a stale entry never heals; set an expiry".into(),
        ),
        Some(ttl) if ttl > THIRTY_DAYS => warn(
            "ttl-over-30-days",
            format!(
                "`cache.ttl-seconds = {ttl}` is more than 30 days: memcached reads it as a date \
                 in 1970 and the entry expires at once; use at most {THIRTY_DAYS}"
            ),
        ),
        _ => {}
    }
    if scenario.cache.retries > 0 {
        warn(
            "retried-mutations",
            format!(
                "`cache.retries = {}` sends mutations again whose reply was lost: a late first \
                 copy may overwrite what came between; retry reads only",
                scenario.cache.retries
            ),
        );
    }
    // By its name: which node a key goes to is not the pattern's to see.
    if scenario.pattern.contains("failover") {
        warn(
            "failover-of-mutations",
            "the pattern sends mutations to another node when one is away: what that one holds \
             is stale when it comes back; let mutations fail"
                .into(),
        );
    }
    for fault in &scenario.faults {
        if let Some(reason) = cannot_strike(scenario, fault) {
            warn("fault-cannot-strike", format!("fault `{fault}` cannot strike: {reason}"));
        }
    }
    expectations(scenario, &mut warn);
    warnings
}

fn cannot_strike(scenario: &Scenario, fault: &Fault) -> Option<String> {
    if fault.probability == Some(0.0) {
        return Some("its probability is 0".to_owned());
    }
    if fault.budget == Some(0) {
        return Some("its budget is 0".to_owned());
    }
    let most = 64 * operations(scenario);
    if fault.nth.is_some_and(|nth| nth > most) {
        return Some(format!("the workload has not as many steps as `nth` ({})", fault.nth?));
    }
    if fault.what == What::Crash && operations(scenario) == 0 {
        return Some("there is no operation to crash".to_owned());
    }
    None
}

fn operations(scenario: &Scenario) -> u64 {
    let workload = &scenario.workload;
    if workload.groups.is_empty() {
        return u64::from(workload.clients) * u64::from(workload.operations);
    }
    let of = |group: &crate::scenario::Group| match &group.script {
        Some(script) => u64::from(group.clients) * script.len() as u64,
        None => {
            u64::from(group.clients) * u64::from(group.operations.unwrap_or(workload.operations))
        }
    };
    workload.groups.iter().map(of).sum()
}

fn expectations(scenario: &Scenario, warn: &mut dyn FnMut(&'static str, String)) {
    let expect = &scenario.expect;
    if expect.all.is_empty()
        && expect.each.is_empty()
        && expect.some.is_empty()
        && scenario.accept.is_empty()
    {
        warn("no-expectation", "nothing is expected, so nothing can differ; add `[expect]`".into());
    }
    for (section, map) in
        [("expect", &expect.all), ("expect.each", &expect.each), ("expect.some", &expect.some)]
    {
        for (name, wanted) in map {
            let Some(metric) = metrics::find(name) else { continue };
            let Ok(comparison) = Comparison::parse(wanted, metric.kind) else { continue };
            // No metric is negative, and a share of one thing in itself is at most 1.
            let shares = ["p_stale", "p_stale_hits", "hit_ratio"];
            let extremes: &[f64] = match shares.contains(&name.as_str()) {
                true => &[0.0, 0.5, 1.0],
                false if metric.kind == crate::scenario::MetricKind::Verdict => continue,
                false => &[0.0, 0.5, 1.0, 1e18],
            };
            if extremes.iter().all(|value| comparison.holds(*value)) {
                warn(
                    "expectation-cannot-fail",
                    format!("`{section}.{name} = \"{comparison}\"` always holds; say a bound"),
                );
            }
        }
    }
}

/// What one run shows of the pattern's habits.
pub fn habits(scenario: &Scenario, run: &Run) -> Vec<Warning> {
    let mut warnings = Vec::new();
    let steps = &run.history.steps;
    let touches =
        |step: &&StepRecord| matches!(step.kind, StepKind::CacheTouch | StepKind::CacheGat);
    if let Some(step) = steps.iter().find(touches) {
        warnings.push(Warning {
            name: "sliding-ttl",
            message: format!(
                "{} of {} gives an entry a new expiry when it is read: a stale entry that is \
                 read often never expires",
                step.kind.name(),
                step.op
            ),
        });
    }
    if let Some(step) = unheard_mutation(run) {
        warnings.push(Warning {
            name: "noreply-mutation",
            message: format!(
                "{} of {} was not waited for, and its operation is acknowledged: a lost one is \
                 never noticed; wait for the reply",
                step.kind.name(),
                step.op
            ),
        });
    }
    if let Some(step) = mutation_in_transaction(steps) {
        let step = &steps[step.0 as usize];
        warnings.push(Warning {
            name: "delete-in-transaction",
            message: format!(
                "{} of {} comes before the commit of its transaction: a reader can fill the \
                 cache with the old row in between; invalidate after the commit",
                step.kind.name(),
                step.op
            ),
        });
    }
    let duration = run.history.phases.quiescent.nanos() / 1_000_000_000;
    if let Some(ttl) = scenario.cache.ttl_seconds.filter(|ttl| *ttl > 0)
        && (ttl as u64) <= duration
        && scenario.expect.all.contains_key("bad_entries")
    {
        warnings.push(Warning {
            name: "ttl-shorter-than-run",
            message: format!(
                "entries live {ttl} s and the run takes {duration} s: what is stale may have \
                 expired before the audit looks"
            ),
        });
    }
    warnings
}

/// A mutation of the cache whose answer was still to come when its write was acknowledged.
fn unheard_mutation(run: &Run) -> Option<&StepRecord> {
    let ended: rustc_hash::FxHashMap<OpId, Time> = run
        .history
        .ops
        .iter()
        .filter(|op| op.kind != OpKind::Read && op.reported == Reported::Ok)
        .map(|op| (op.id, op.end))
        .collect();
    let mutates = |step: &&StepRecord| step.kind.is_cache() && step.kind.writes();
    let mut mutations = run.history.steps.iter().filter(mutates);
    mutations.find(|step| ended.get(&step.op).is_some_and(|end| step.answered > *end))
}

/// A delete or set between its operation's `begin` and `commit`.
fn mutation_in_transaction(steps: &[StepRecord]) -> Option<StepId> {
    let mut open: Vec<(OpId, Option<usize>)> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let place = open.iter().position(|(op, _)| *op == step.op);
        match (step.kind, place) {
            (StepKind::DbBegin, None) => open.push((step.op, None)),
            (StepKind::DbCommit, Some(place)) => {
                if let (_, Some(first)) = open.swap_remove(place) {
                    return Some(StepId(first as u64));
                }
            }
            (StepKind::DbRollback, Some(place)) => drop(open.swap_remove(place)),
            (kind, Some(place)) if kind.is_cache() && kind.writes() => {
                open[place].1.get_or_insert(number);
            }
            _ => {}
        }
    }
    None
}
