//! Judges what was measured by what was expected, and says what was not tested.

use std::collections::BTreeMap;

use super::measure::Measure;
use super::metrics::{self, CLAIM};
use super::result::{ClaimVerdict, Expectation, FORMAT, Outcome, ScenarioResult, Struck};
use super::{Sample, Tally, series};
use crate::backend::{Clock, Means};
use crate::fault::What;
use crate::metric::{self, Metric, Needs, Source};
use crate::pattern::Entry;
use crate::scenario::{Comparison, Number, Scenario};
use crate::step::Ttl;
use crate::time::human;

/// The result of all runs.
pub(super) fn judge(
    scenario: &Scenario,
    name: &str,
    entry: &Entry,
    default_ttl: Ttl,
    tally: Tally,
) -> ScenarioResult {
    let mut whole = Measure::empty(scenario.faults.len());
    for (_, measure) in &tally.each {
        whole.add(measure);
    }
    let lag = clock_lag(scenario, default_ttl, &tally);
    let claim_verdict = claim(scenario, &whole).filter(|_| lag.is_none());
    let mut expectations = expectations(scenario, &whole, &tally, claim_verdict);
    expectations.extend(tally.known.iter().flat_map(|known| known.judge(scenario)));
    if lag.is_some() {
        expectations.iter_mut().for_each(unjudged);
    }
    let mut not_tested = not_tested(scenario, entry, &whole, &tally, &expectations);
    not_tested.extend(lag);
    let outcome = match () {
        () if expectations.iter().any(|e| e.met == Some(false)) => Outcome::Differs,
        () if !not_tested.is_empty() => Outcome::NotTested,
        () => Outcome::AsExpected,
    };
    let sample = sample(scenario, &whole, &tally, claim_verdict, &expectations);
    let told = metric::of(Source::Run).into_iter().filter(|metric| metric.name != CLAIM);
    let value = |m: &Metric| {
        let value = (m.value)(&whole).map(Number::as_f64);
        m.shows(value).then(|| (m.name.to_owned(), value))
    };
    let faults = scenario.faults.iter().zip(&whole.strikes);
    let shown = tally.shown.map(|(shown, _)| shown).unwrap_or_default();
    let series = series::build(&tally.each, &whole, &tally.visibility, shown);
    ScenarioResult {
        format: FORMAT,
        scenario: name.to_owned(),
        claim: scenario.claim.clone(),
        pattern: scenario.pattern.clone(),
        cache: tally.cache,
        database: tally.database,
        seed: scenario.seed,
        runs: whole.runs,
        outcome,
        claim_verdict,
        sample: sample.filter(|_| outcome != Outcome::NotTested),
        expectations,
        not_tested,
        metrics: told.filter_map(value).collect(),
        faults: faults
            .map(|(fault, struck)| Struck {
                fault: fault.to_string(),
                struck: *struck,
                level: level(fault.what, tally.means),
            })
            .collect(),
        hazards: tally.hazards,
        findings: tally.findings,
        marks: tally.marks,
        series,
        definition: toml::to_string(scenario).expect("a scenario that was read can be written"),
        reproduce: String::new(),
    }
}

/// What was measured says nothing about this expectation.
fn unjudged(expectation: &mut Expectation) {
    expectation.measured = None;
    expectation.met = None;
    expectation.seed = None;
}

/// At which level a fault struck, and by what it was emulated.
fn level(what: What, means: Means) -> String {
    let by = match what {
        What::Evict => means.evict,
        What::RestartNode => means.restart,
        _ => "",
    };
    if by.is_empty() { "step".to_owned() } else { format!("step ({by})") }
}

/// A claim is broken when everything that would break it was measured, and not when something was
/// measured that speaks against it. Of what was not measured nothing is said.
fn claim(scenario: &Scenario, whole: &Measure) -> Option<ClaimVerdict> {
    if scenario.broken_if.is_empty() {
        return None;
    }
    let breaks = scenario.broken_if.iter().map(|(name, wanted)| {
        let metric = metrics::find(name).expect("names are checked when a scenario is loaded");
        let comparison = Comparison::parse(wanted, metric.kind).expect("checked at loading");
        (metric.value)(whole).map(|value| comparison.holds(value))
    });
    let breaks: Vec<Option<bool>> = breaks.collect();
    match () {
        () if breaks.contains(&Some(false)) => Some(ClaimVerdict::NotObserved),
        () if breaks.contains(&None) => None,
        () => Some(ClaimVerdict::Broken),
    }
}

fn breaks(scenario: &Scenario, measure: &Measure) -> bool {
    scenario.broken_if.iter().all(|(name, wanted)| {
        let metric = metrics::find(name).expect("names are checked when a scenario is loaded");
        let comparison = Comparison::parse(wanted, metric.kind).expect("checked at loading");
        (metric.value)(measure).is_some_and(|value| comparison.holds(value))
    })
}

/// The sample in which no violation was seen: of the claim, or, in a scenario without
/// `broken-if`, of an upper limit that every run kept by itself.
fn sample(
    scenario: &Scenario,
    whole: &Measure,
    tally: &Tally,
    claim: Option<ClaimVerdict>,
    expectations: &[Expectation],
) -> Option<Sample> {
    let (runs, reads) = (whole.runs, whole.reads.reads);
    if !scenario.broken_if.is_empty() {
        let unseen = claim == Some(ClaimVerdict::NotObserved);
        return unseen.then(|| match tally.each.iter().any(|(_, run)| breaks(scenario, run)) {
            true => Sample::of_all(runs, reads),
            false => Sample::of_each(runs, reads),
        });
    }
    let met = |e: &Expectation| e.met == Some(true) && matches!(e.scope.as_str(), "all" | "each");
    let unmet = expectations.iter().any(|e| e.met == Some(false));
    let kept = expectations.iter().filter(|e| met(e)).any(|e| is_limit_of_runs(e, tally));
    (kept && !unmet).then(|| Sample::of_each(runs, reads))
}

/// Whether an expectation is an upper limit that every run kept by itself.
fn is_limit_of_runs(expectation: &Expectation, tally: &Tally) -> bool {
    let Some(metric) = metrics::find(&expectation.metric) else { return false };
    let wanted = toml::Value::String(expectation.wanted.clone());
    let comparison = Comparison::parse(&wanted, metric.kind).expect("it was written as one");
    let keeps = |measure| (metric.value)(measure).is_some_and(|value| comparison.holds(value));
    comparison.holds(Number::Whole(0)) && tally.each.iter().all(|(_, measure)| keeps(measure))
}

fn expectations(
    scenario: &Scenario,
    whole: &Measure,
    tally: &Tally,
    claim: Option<ClaimVerdict>,
) -> Vec<Expectation> {
    let mut all = Vec::new();
    let expect = &scenario.expect;
    let mut judge = |scope: &str, map: &BTreeMap<String, toml::Value>| {
        for (name, wanted) in map {
            let metric = metrics::find(name).expect("names are checked when a scenario is loaded");
            let comparison = Comparison::parse(wanted, metric.kind).expect("checked at loading");
            let timed = metric.needs(Source::Run, Needs::VirtualTime);
            let untestable = timed && !tally.clock.follows();
            let value = |measure: &Measure| match (name.as_str(), claim) {
                (CLAIM, Some(ClaimVerdict::Broken)) => Some(Number::Whole(1)),
                (CLAIM, Some(ClaimVerdict::NotObserved)) => Some(Number::Whole(0)),
                _ if untestable => None,
                _ => (metric.value)(measure),
            };
            let (measured, seed) = decide(scope, whole, tally, &comparison, &value);
            all.push(Expectation {
                scope: scope.to_owned(),
                metric: name.clone(),
                wanted: comparison.to_string(),
                measured: measured.map(Number::as_f64),
                met: measured.map(|measured| comparison.holds(measured)),
                seed,
            });
        }
    };
    judge("all", &expect.all);
    judge("each", &expect.each);
    judge("some", &expect.some);
    all
}

/// The value that decides, and the run that it is from.
fn decide(
    scope: &str,
    whole: &Measure,
    tally: &Tally,
    comparison: &Comparison,
    value: &dyn Fn(&Measure) -> Option<Number>,
) -> (Option<Number>, Option<u64>) {
    let mut values = tally.each.iter().map(|(seed, measure)| (value(measure), Some(*seed)));
    let holds =
        |(value, _): &(Option<Number>, Option<u64>)| value.is_some_and(|v| comparison.holds(v));
    let first = values.clone().next().unwrap_or((None, None));
    match scope {
        "each" => values.find(|value| !holds(value)).unwrap_or(first),
        "some" => values.find(holds).unwrap_or(first),
        _ => (value(whole), None),
    }
}

/// What this scenario was meant to test and did not.
fn not_tested(
    scenario: &Scenario,
    entry: &Entry,
    whole: &Measure,
    tally: &Tally,
    expectations: &[Expectation],
) -> Vec<String> {
    let mut reasons = Vec::new();
    if whole.runs < scenario.runs {
        reasons.push(format!("interrupted after {} of {} runs", whole.runs, scenario.runs));
    }
    if whole.reads.reads + whole.writes == 0 {
        reasons.push("no operation was carried out".to_owned());
    }
    for (fault, struck) in scenario.faults.iter().zip(&whole.strikes) {
        if *struck == 0 {
            reasons.push(fault.never_took_effect());
        }
    }
    let speaks_of_hits =
        expectations.iter().any(|e| matches!(e.metric.as_str(), "hits" | "hit_ratio"));
    if entry.traits.caches && whole.reads.reads > 0 && whole.reads.hits == 0 && !speaks_of_hits {
        reasons.push("the cache never had a hit".to_owned());
    }
    for expectation in expectations.iter().filter(|e| e.met.is_none()) {
        reasons.push(format!("`{}` was not measured here", expectation.metric));
    }
    if whole.healed.is_none() {
        reasons.push(
            "entries may have expired before everything had come to rest, and whether they were \
             wrong is not known"
                .to_owned(),
        );
    }
    let unreachable = whole.entries(crate::check::audit::Class::Unreachable);
    if unreachable > 0 {
        reasons.push(format!("{unreachable} entries were unreachable at the audit"));
    }
    if tally.clock != Clock::Virtual && scenario.cache.limited() {
        reasons.push(
            "`items-max` and `bytes-max` are the model's; a real server's memory is counted in \
             megabytes"
                .to_owned(),
        );
    }
    reasons.extend(tally.untested.iter().cloned());
    reasons.extend(tally.known.iter().flat_map(|known| known.incomplete()));
    reasons
}

/// Why nothing that was measured counts: a real server's clock does not follow virtual time, so
/// entries that should have expired during the run were still there.
fn clock_lag(scenario: &Scenario, default_ttl: Ttl, tally: &Tally) -> Option<String> {
    let Ttl(ttl) = scenario.cache.ttl(default_ttl);
    let seconds = tally.duration.nanos() / 1_000_000_000;
    let outlived = ttl > 0 && seconds + 1 >= ttl as u64;
    (outlived && !tally.clock.follows()).then(|| {
        format!(
            "entries live {ttl} s and the run takes {} of virtual time, which the real server's \
             clock does not follow",
            human(tally.duration.nanos())
        )
    })
}
