//! What a [`Stepper`] keeps of items that will be gone by themselves.

use super::choice::Choice;
use super::clock::{Clock, SECOND, UNKNOWN};
use super::error::RunError;
use super::stepper::Stepper;
use super::world::World;
use super::world_fault::Aim;
use crate::fault::What;
use crate::history::record::StepResult;
use crate::step::{CacheCommand, Command, Key, NodeId, Ttl};
use crate::time::Time;

/// An item that a step gives an expiry, if it does what it is to do.
pub(super) struct Stored {
    pub node: NodeId,
    pub key: Key,
    pub seconds: i64,
    /// Whether it does so to an item that is there too.
    pub certain: bool,
}

impl Stepper<'_> {
    /// Nodes that a rule restarts tick anew.
    pub(super) fn restart_clocks(&mut self, rule: u16, aim: Aim) {
        let fault = self.world.fault(rule);
        let nodes = match aim {
            Aim::Node(node) => Some(vec![node.0]),
            _ => fault.nodes.clone(),
        };
        if let Some(clock) =
            self.progress.clock.as_mut().filter(|_| fault.what == What::RestartNode)
        {
            clock.restart(|node| nodes.as_ref().is_none_or(|nodes| nodes.contains(&node.0)));
        }
    }

    pub(super) fn follow_items(&mut self, executed: Option<&Stored>) {
        let now = self.world.now();
        let clock = self.progress.clock.as_mut().expect("there is one");
        if !clock.expires {
            return;
        }
        let left = |world: &World<'_>, node, key: &Key| {
            let expiry = world.expiry(node, key).filter(|at| *at < Time::UNTOLD)?;
            Some(expiry.0.saturating_sub(now.0).div_ceil(SECOND as u64) as i64)
        };
        for place in (0..clock.items.len()).rev() {
            let (node, key) = (clock.items[place].node, clock.items[place].key.clone());
            match left(&self.world, node, &key) {
                // The clock jumps by whole seconds.
                Some(seconds) => {
                    let item = &mut clock.items[place];
                    let jumped = item.seconds - seconds;
                    item.seconds = seconds;
                    item.tick = item.tick.map(|tick| match tick {
                        UNKNOWN => UNKNOWN,
                        known => known - jumped,
                    });
                }
                None => clock.forget(node, &key),
            }
        }
        let Some(Stored { node, key, seconds: _, certain }) = executed else { return };
        if let Some(left) = left(&self.world, *node, key)
            && (*certain || clock.item(*node, key).is_none())
        {
            clock.store(*node, key, left);
        }
    }

    /// What a step may store with an expiry, before it takes effect.
    pub(super) fn stores(&self, choice: Choice) -> Option<(usize, Stored)> {
        let flight = self.flight_of(choice)?;
        let state = self.world.flight(flight);
        let Command::Cache(command) = &state.command else { return None };
        let Ttl(seconds) = command.ttl().filter(|ttl| ttl.0 > 0)?;
        let certain = !matches!(command, CacheCommand::MetaGet(get) if get.touch.is_none());
        let (node, key) = (state.node, command.key()?.clone());
        let step = state.step.0 as usize;
        Some((step, Stored { node, key, seconds, certain }))
    }

    /// Whether a step that took effect did what it was to do.
    pub(super) fn has_stored(&self, step: usize) -> bool {
        let step = self.world.history().steps.get(step);
        step.is_some_and(|step| {
            step.order > 0
                && matches!(
                    step.result,
                    StepResult::Done | StepResult::Found | StepResult::Lease(_)
                )
        })
    }

    /// Items that cannot be there any more are taken away before what is left is judged.
    pub(super) fn expire_what_is_over(&mut self) -> Result<(), RunError> {
        let over = self.progress.clock.as_ref().map(Clock::over).unwrap_or_default();
        for (node, key) in over {
            self.world.expire_item(node, &key)?;
            self.progress.clock.as_mut().expect("there is one").forget(node, &key);
        }
        Ok(())
    }
}
