//! How much of time a search has to look at, and when the choices of a schedule happen.
//!
//! Where no pause is as long as a step can take, and no item can expire before all is done, every
//! order of the steps can happen, and time decides nothing: all steps and pauses together fit into
//! the time that any one step may take. Else the search looks at what has its length.

use super::finding::Finding;
use super::replay;
use super::search::{Models, node_names};
use super::subject::Subject;
use crate::fault::What;
use crate::schedule::{Choice, Extent, RunError, Servers, Timing};

/// The times of a schedule's choices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moments {
    /// By choice, in nanoseconds since the start; empty where only their order counts.
    pub times: Vec<u64>,
    /// By node, how far its clock was into its second at the start.
    pub phases: Vec<u64>,
}

/// How much of time decides, when operations took so long at the most.
pub(crate) fn needed(subject: &Subject, extent: &Extent) -> Timing {
    let scenario = &subject.scenario;
    let plan = subject.plan();
    let (mut paused, mut longest) = (0_u64, 0_u64);
    for client in plan.clients() {
        let mut whole = 0_u64;
        for (number, op) in client.ops.iter().enumerate() {
            let id = crate::operation::OpId::new(client.id, number as u32 + 1);
            let (waits, sleeps) = extent.of(id);
            paused = paused.saturating_add(op.wait).saturating_add(sleeps);
            whole = whole.saturating_add(waits).saturating_add(sleeps).saturating_add(op.wait);
        }
        longest = longest.max(whole);
    }
    let nanos = |duration: std::time::Duration| duration.as_nanos() as u64;
    let faults = if subject.bounds.faults == 0 { &[][..] } else { &scenario.faults[..] };
    let delays = faults.iter().filter_map(|fault| fault.delay).map(nanos);
    let delayed = delays.max().unwrap_or(0).saturating_mul(u64::from(subject.bounds.faults));
    let (paused, longest) = (paused.saturating_add(delayed), longest.saturating_add(delayed));
    let shortest = nanos(scenario.cache.timeout.min(scenario.database.timeout));
    let jumps = faults.iter().any(|fault| fault.what == What::JumpClock);
    let may_expire = |seconds: i64| {
        let least = u64::try_from(seconds - 1).unwrap_or(0).saturating_mul(1_000_000_000);
        jumps || subject.bounds.advances > 0 || longest > least
    };
    if extent.ttl.is_some_and(may_expire) {
        Timing::Expiry
    } else if paused >= shortest || scenario.database.replica_lag.is_some() {
        Timing::Pauses
    } else {
        Timing::Order
    }
}

/// Does something with as much of time as it needs, beginning with the least: what it was done
/// with at last says how long everything took.
pub(crate) fn with_enough<T>(
    subject: &Subject,
    mut run: impl FnMut(Timing) -> Result<(T, Extent), RunError>,
) -> Result<(T, Extent), RunError> {
    let mut timing = needed(subject, &Extent::default());
    loop {
        let (result, extent) = run(timing)?;
        let more = needed(subject, &extent);
        if more <= timing {
            return Ok((result, extent));
        }
        timing = more;
    }
}

/// When the choices of a schedule can have happened, at the earliest; no times where only their
/// order counts. `None` when they cannot have happened at different moments.
pub(crate) fn moments(subject: &Subject, choices: &[Choice]) -> Result<Option<Moments>, RunError> {
    let plan = subject.plan();
    let names = node_names(subject);
    let mut program = subject.program(&plan, &names);
    program.timing = Timing::Expiry;
    program.solves = true;
    program.symmetry = false;
    let mut moments = None;
    Models::of(subject).with(&mut |cache, database| {
        let mut stepper = program.start(cache, database)?;
        for choice in choices {
            match stepper.take(*choice) {
                Err(RunError::NothingLeft { .. }) => return Ok(()),
                taken => taken?,
            };
        }
        let timed = choices.iter().any(|choice| choice.is_about_time());
        let decides = timed || needed(subject, stepper.extent()) > Timing::Order;
        moments = Some(match stepper.solution(names.len()).filter(|_| decides) {
            Some((times, phases)) => Moments { times, phases },
            None => Moments::default(),
        });
        Ok(())
    })?;
    Ok(moments)
}

/// What is wrong when choices happen at the moments that they need; `None` where they lead
/// somewhere else then: of an item whose tick was taken for unknown, more was taken for feasible.
pub(crate) fn in_time(
    subject: &Subject,
    choices: &[Choice],
) -> Result<Option<Vec<Finding>>, RunError> {
    let Some(moments) = moments(subject, choices)? else { return Ok(None) };
    let names = node_names(subject);
    let mut found = None;
    Models::at(subject, &moments.phases).with(&mut |cache, database| {
        let (replayed, _) = replay::run(subject, choices, &moments, &names, cache, database)?;
        found = replayed.divergence.is_none().then_some(replayed.findings);
        Ok(())
    })?;
    Ok(found)
}
