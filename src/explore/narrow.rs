//! From a seed that went wrong to the smallest schedule that does.
//!
//! The program of a seed is too big to be searched whole. So first it is cut down to the
//! operations that the finding names, or if these alone do not go wrong, to more and more of
//! those around them; what is left, if it is small, is searched and shrunk as an exploration
//! is. A program that is still big is walked through under several seeds instead, and cut down
//! from there.

use std::collections::BTreeSet;

use super::counterexample::Counterexample;
use super::finding::Finding;
use super::hunt::{Failure, Walked, walk_once};
use super::parts::{few_rows, script};
use super::search::Watch;
use super::smallest::{as_found, is_same, smallest_within};
use super::subject::Subject;
use crate::check::{States, cause, reads};
use crate::history::record::{History, KeyId, StepRecord};
use crate::operation::{OpId, OpKind};
use crate::plan::Plan;
use crate::schedule::{RunError, Walker};
use crate::seed::Seed;
use crate::time::Time;

/// Programs of at most so many operations are searched.
const SEARCHED_MAX: usize = 8;
/// Schedules that the search for one candidate may take.
const CANDIDATE_SCHEDULES_MAX: u64 = 20_000;
/// Seeds under which a program that is not searched is walked through.
const WALKS: u64 = 64;
/// How often a program is cut down by walking.
const ROUNDS_MAX: usize = 12;

/// The smallest schedule for what lasts longest of all that is wrong in a failure; its own
/// schedule when none smaller is found within the limits.
pub fn narrow(
    subject: &Subject,
    failure: &Failure,
    swarm: bool,
    watch: Watch<'_>,
) -> Result<Option<Counterexample>, RunError> {
    let rank = |finding: &&Finding| (std::cmp::Reverse(finding.lasts), finding.kind);
    let Some(finding) = failure.findings.iter().min_by_key(rank) else { return Ok(None) };
    let mut subject = subject.clone();
    subject.scenario.seed = failure.seed;
    let mut walked = walk_once(&subject, Seed(failure.seed), failure.walker, swarm)?;
    let mut finding = finding.clone();
    let mut is_cut = false;
    for _ in 0..ROUNDS_MAX {
        let whole = subject.plan();
        let mut next = None;
        for keep in levels(&walked.history, &finding, &whole) {
            if let Some(mut found) = search_few(&subject, &whole, &keep, &finding, watch)? {
                if is_cut || keep.len() < whole.operations() {
                    let all = "not all operations of the program were searched";
                    found.small.get_or_insert(all.to_owned());
                }
                return Ok(Some(found));
            }
            if keep.len() < whole.operations() && keep.len() > SEARCHED_MAX {
                let part = cut(&subject, &whole, &keep);
                if let Some(again) = walk_again(&part, &finding)? {
                    next = Some((part, again));
                    break;
                }
            }
        }
        let Some((part, again)) = next else { break };
        (subject, walked, is_cut) = (part, again, true);
        let same = walked.findings.iter().find(|found| is_same(found, &finding));
        finding = same.expect("it was looked for").clone();
    }
    let small = format!("more than {SEARCHED_MAX} operations were walked through");
    as_found(&subject, &finding, &walked.choices, Some(small)).map(Some)
}

/// Searches the program of these operations, with no more rows than they need, and then with
/// all, where the rows' numbers may matter.
fn search_few(
    subject: &Subject,
    whole: &Plan,
    keep: &BTreeSet<OpId>,
    finding: &Finding,
    watch: Watch<'_>,
) -> Result<Option<Counterexample>, RunError> {
    if keep.len() > SEARCHED_MAX {
        return Ok(None);
    }
    let part = cut(subject, whole, keep);
    for candidate in [few_rows(&part), part] {
        let found = smallest_within(&candidate, finding, CANDIDATE_SCHEDULES_MAX, watch)?;
        if found.is_some() {
            return Ok(found);
        }
    }
    Ok(None)
}

/// A schedule of a program that comes to the same finding.
fn walk_again(subject: &Subject, finding: &Finding) -> Result<Option<Walked>, RunError> {
    for number in 0..WALKS {
        let seed = Seed(subject.scenario.seed).of_run(number);
        let walker = if number % 2 == 0 { Walker::Priorities } else { Walker::Random };
        let walked = walk_once(subject, seed, walker, false)?;
        if walked.findings.iter().any(|found| is_same(found, finding)) {
            return Ok(Some(walked));
        }
    }
    Ok(None)
}

/// Sets of operations, each with those before it: what the finding names; what was done to
/// its key meanwhile; all that was done to its key; the clients' other operations; all.
fn levels(history: &History, finding: &Finding, plan: &Plan) -> Vec<BTreeSet<OpId>> {
    let all: BTreeSet<OpId> = plan
        .clients()
        .iter()
        .flat_map(|client| (1..=client.ops.len()).map(|n| OpId::new(client.id, n as u32)))
        .collect();
    let key = (0..history.keys.len()).map(|number| KeyId(number as u32));
    let key = key.into_iter().find(|key| history.keys.name(*key).to_string() == finding.key);
    // Few enough are searched whole.
    if all.len() <= SEARCHED_MAX {
        return vec![all];
    }
    let Some(key) = key else { return vec![all] };
    let named = named(history, key, finding);
    let of_key: BTreeSet<OpId> =
        history.steps.iter().filter(|step| step.key == Some(key)).map(|step| step.op).collect();
    let span = span(history, &named);
    let meanwhile = history.ops.iter().filter(|op| {
        named.contains(&op.id)
            || (of_key.contains(&op.id) && op.start <= span.1 && op.end >= span.0)
    });
    let mut meanwhile: BTreeSet<OpId> = meanwhile.map(|op| op.id).collect();
    meanwhile.extend(&named);
    let clients: Vec<_> = named.iter().map(|op| op.client()).collect();
    let theirs = all.iter().copied().filter(|op| clients.contains(&op.client()));
    let theirs = theirs.chain(of_key.iter().copied()).collect();
    let mut levels = vec![named, meanwhile, of_key, theirs, all.clone()];
    levels.iter_mut().for_each(|level| level.retain(|op| all.contains(op)));
    levels.dedup();
    levels.retain(|level| !level.is_empty());
    levels
}

/// The operations that explain a finding about a key.
fn named(history: &History, key: KeyId, finding: &Finding) -> BTreeSet<OpId> {
    let states = States::new(history);
    let mut named = BTreeSet::new();
    if let Some(class) = finding.kind.class() {
        let cached = last_value(history, key, Time::NEVER);
        if let Some(cause) = cause::find(history, &states, key, class, cached) {
            let steps = [cause.installed, cause.read, cause.commit, cause.invalidated];
            named.extend(steps.into_iter().flatten().map(|id| history.steps[id.0 as usize].op));
            named.extend(cause.superseded);
        }
    }
    let bad = |op: &&crate::history::record::OpRecord| {
        op.key == key
            && op.kind == OpKind::Read
            && reads::judge_one(op, &states) != reads::Judgement::Fresh
    };
    if let Some(read) = history.ops.iter().find(bad) {
        named.extend([read.id, read.value]);
        let installs = |step: &&StepRecord| is_install(step, key) && step.value == read.value;
        let of_value = history.steps.iter().filter(installs);
        let before = of_value.filter(|step| step.executed <= read.end);
        named.extend(before.max_by_key(|step| step.order).map(|step| step.op));
        let later = states.place(key, read.value).map_or(0, |place| place + 1);
        named.extend(states.of(key).get(later).map(|state| state.writer));
    }
    named
}

fn is_install(step: &StepRecord, key: KeyId) -> bool {
    step.key == Some(key) && step.kind.is_cache() && step.kind.writes() && step.value != OpId::NONE
}

fn last_value(history: &History, key: KeyId, until: Time) -> Option<OpId> {
    let installs = history.steps.iter().filter(|step| {
        is_install(step, key)
            && step.executed <= until
            && step.result == crate::history::record::StepResult::Done
    });
    installs.max_by_key(|step| step.order).map(|step| step.value)
}

/// From when to when some operations were under way.
fn span(history: &History, named: &BTreeSet<OpId>) -> (Time, Time) {
    let ops = history.ops.iter().filter(|op| named.contains(&op.id));
    let (starts, ends): (Vec<Time>, Vec<Time>) = ops.map(|op| (op.start, op.end)).unzip();
    let from = starts.into_iter().min().unwrap_or(Time::ZERO);
    (from, ends.into_iter().max().unwrap_or(Time::NEVER))
}

/// The program of these operations alone, by clients that have any.
fn cut(subject: &Subject, whole: &Plan, keep: &BTreeSet<OpId>) -> Subject {
    let mut part = subject.clone();
    let workload = &mut part.scenario.workload;
    workload.groups = Vec::new();
    for client in whole.clients() {
        let lines = whole.script(client).into_iter().enumerate();
        let kept = lines.filter(|(n, _)| keep.contains(&OpId::new(client.id, *n as u32 + 1)));
        let kept: Vec<String> = kept.map(|(_, line)| line).collect();
        if !kept.is_empty() {
            workload.groups.push(script(kept));
        }
    }
    workload.rows_per_read = 1;
    workload.processes = workload.processes.min(workload.groups.len().max(1) as u32);
    part
}
