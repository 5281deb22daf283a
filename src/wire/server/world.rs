//! Faults of the world: restarts, flushes, evictions, jumps of the clock.

use std::sync::Arc;
use std::time::Duration;

use super::rules::{Victim, check_for_server};
use super::shared::Shared;
use crate::backend::Origin;
use crate::fault::{Fault, FaultProblem, What};
use crate::seed::{Purpose, Seed, below};
use crate::step::{CacheCommand, Footprint, Key, NodeId};

/// Checks a fault, arms it, and sees to it that it happens at its time. Needs a runtime.
pub(super) fn arm(shared: &Arc<Shared>, fault: Fault) -> Result<u64, FaultProblem> {
    check_for_server(&fault, shared.nodes.len())?;
    let timed = fault.at.is_some() || fault.every.is_some();
    let (at, every) = (fault.at, fault.every);
    let id = shared.rules().add(fault, shared.clock.elapsed());
    shared.update_armed();
    if timed {
        tokio::spawn(keep_time(shared.clone(), id, at, every));
    }
    Ok(id)
}

async fn keep_time(shared: Arc<Shared>, id: u64, at: Option<Duration>, every: Option<Duration>) {
    let mut wait = at.or(every).unwrap_or_default();
    loop {
        tokio::time::sleep(wait).await;
        let fault = shared.rules().timed(id, shared.clock.elapsed());
        if let Some((fault, victim)) = fault {
            let all = 0..shared.nodes.len();
            for node in all.filter(|node| concerns(&fault, *node)) {
                happen(&shared, node, fault.what, fault.by_seconds.unwrap_or(0), Some(&victim));
            }
        }
        match every {
            Some(period) if shared.rules().has(id) => wait = period,
            _ => return,
        }
    }
}

fn concerns(fault: &Fault, node: usize) -> bool {
    fault.nodes.as_ref().is_none_or(|nodes| nodes.iter().any(|n| usize::from(*n) == node))
}

/// Lets something happen to a node.
pub(super) fn happen(
    shared: &Shared,
    node: usize,
    what: What,
    by_seconds: i64,
    victim: Option<&Victim>,
) {
    let now = shared.clock.now();
    let state = &shared.nodes[node];
    match what {
        What::RestartNode => state.restart(now, false),
        What::FlushNode => {
            let flush = CacheCommand::FlushAll { delay: None };
            let mut footprint = Footprint::off();
            state.lock().execute(now, Origin::default(), &flush, &mut footprint);
        }
        What::Evict => {
            let key = match victim {
                Some(Victim::Key(key)) => Some(key.clone()),
                Some(Victim::Any(draw)) => any_key(shared, node, *draw),
                None => None,
            };
            if let Some(key) = key {
                state.lock().evict(now, &key);
            }
        }
        What::JumpClock => state.lock().jump(by_seconds),
        // These strike steps or last; a rule with another of these has been refused.
        _ => {}
    }
}

/// A key of a node, by a draw.
fn any_key(shared: &Shared, node: usize, draw: u64) -> Option<Key> {
    let draw = Seed(draw).draw(Purpose::FaultDetail, node as u64, 0);
    let now = shared.clock.now();
    let node = shared.nodes[node].lock();
    let count = node.entries(now).count() as u64;
    node.entries(now).nth(below(draw, count) as usize).map(|entry| entry.key.clone())
}

/// The number of a node as steps carry it.
pub(super) fn node_id(node: usize) -> NodeId {
    NodeId(node as u16)
}
