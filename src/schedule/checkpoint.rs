//! Going back to an earlier state of a world without running again what led there.
//!
//! All that a world holds can be copied but for the futures of its patterns. A future is a
//! function of what its operation was told, so it is made anew and told the same once more.
//! That also shows whether it is such a function: when it now sends something else the pattern
//! is not deterministic, and nothing that was searched would mean anything.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use super::actor::{Actor, Doing, Standing, Task};
use super::error::RunError;
use super::identity::Event;
use super::progress::Progress;
use super::state::State;
use super::stepper::Stepper;
use super::terms::counts;
use super::world::World;
use crate::history::record::StepKind;
use crate::operation::OpId;
use crate::pattern::Port;

/// What a stepper held.
pub(crate) struct Checkpoint {
    world: Saved,
    progress: Progress,
}

impl Stepper<'_> {
    /// A copy of the state between two choices; `None` where servers cannot be copied.
    pub fn save(&self) -> Option<Checkpoint> {
        Some(Checkpoint { world: self.world.save()?, progress: self.progress.clone() })
    }

    /// Goes back to a state on the way to this one.
    pub fn restore(&mut self, saved: &Checkpoint) -> Result<(), RunError> {
        self.progress.become_like(&saved.progress);
        self.world.restore(&saved.world)
    }
}

/// What a world held.
struct Saved {
    cache: Box<dyn Any>,
    database: Box<dyn Any>,
    state: State,
    /// By client.
    standings: Vec<Standing>,
}

impl World<'_> {
    /// A copy of all that there is between two choices; `None` where servers cannot be copied.
    fn save(&self) -> Option<Saved> {
        debug_assert!(self.enabled.is_empty(), "what can happen at once has happened");
        Some(Saved {
            cache: self.cache.save()?,
            database: self.database.save()?,
            state: self.state.clone(),
            standings: self.actors.iter().map(Actor::standing).collect(),
        })
    }

    /// Goes back to where a copy was made.
    fn restore(&mut self, saved: &Saved) -> Result<(), RunError> {
        self.cache.restore(&*saved.cache);
        self.database.restore(&*saved.database);
        self.state.become_like(&saved.state);
        for (client, standing) in saved.standings.iter().enumerate() {
            self.restore_actor(client, standing)?;
        }
        Ok(())
    }

    /// Makes a client's future stand where it stood. The client's trail, which is back already,
    /// says what the future had been told.
    fn restore_actor(&mut self, client: usize, standing: &Standing) -> Result<(), RunError> {
        let Standing { doing, moved, abandoned, asked_name } = standing;
        let (state, actor) = (&self.state.clients[client], &mut self.actors[client]);
        let stands_there = actor.moved == *moved;
        if counts("copy Standing.moved") {
            actor.moved = *moved;
        }
        if counts("copy Standing.asked_name") {
            actor.port.set_asked_name(*asked_name);
        }
        if stands_there {
            return Ok(());
        }
        actor.task = Task::Idle;
        let (port, cx) = (Rc::clone(&actor.port), Rc::clone(&actor.cx));
        // What a destructor has sent goes nowhere.
        port.reset();
        let pattern = Rc::clone(&self.state.processes[state.process].pattern);
        let op = state.current.id;
        let mut task = match doing {
            Doing::Nothing => {
                port.keep_abandoned(abandoned);
                return Ok(());
            }
            Doing::Operation => {
                port.begin(op);
                let op = self.fixed.plan.op(state.id, state.begun - 1, &*self.fixed.app.entity);
                Task::Op(pattern.start(cx, op.expect("it was begun before")))
            }
            Doing::Tick => {
                port.begin(op);
                Task::Tick(pattern.start_tick(cx))
            }
        };
        port.keep_abandoned(&state.trail.abandoned);
        if let Err(step) = tell_again(&mut task, &port, &state.trail.events) {
            return Err(self.not_deterministic(op, step));
        }
        self.actors[client].task = task;
        Ok(())
    }

    pub(super) fn not_deterministic(&self, op: OpId, step: u32) -> RunError {
        RunError::NotDeterministic { pattern: self.fixed.entry.name.clone(), op, step }
    }
}
/// Tells a new future what an earlier one was told; the number of the step at which they
/// differ when they do.
fn tell_again(task: &mut Task, port: &Port, events: &[Event]) -> Result<(), u32> {
    let mut steps = 0;
    for event in events {
        match event {
            Event::Polled(shown) => {
                port.set_now(*shown);
                if !is_pending(task) {
                    return Err(steps + 1);
                }
            }
            Event::Sent(kind) => {
                steps += 1;
                let again = port.take_sent().map(|(_, command)| StepKind::of(&command));
                if again != Some(*kind) {
                    return Err(steps);
                }
            }
            Event::Told(ticket, answer) => port.answer(*ticket, answer.clone()),
        }
    }
    while port.take_mark().is_some() {}
    match port.take_sent() {
        Some(_) => Err(steps + 1),
        None => Ok(()),
    }
}

fn is_pending(task: &mut Task) -> bool {
    let mut context = Context::from_waker(Waker::noop());
    let polled = catch_unwind(AssertUnwindSafe(|| match task {
        Task::Idle => Poll::Pending,
        Task::Op(op) => op.as_mut().poll(&mut context).map(drop),
        Task::Tick(tick) => tick.as_mut().poll(&mut context).map(drop),
    }));
    matches!(polled, Ok(Poll::Pending))
}

#[cfg(test)]
impl Stepper<'_> {
    /// A part in which this state differs from the one of a copy.
    pub fn difference(&self, saved: &Checkpoint) -> Option<&'static str> {
        let (state, other) = (&self.world.state, &saved.world.state);
        let standings: Vec<Standing> = self.world.actors.iter().map(Actor::standing).collect();
        let stand_alike = standings.iter().zip(&saved.world.standings).all(|(one, other)| {
            // `moved` tells executions apart.
            let Standing { doing, moved: _, abandoned, asked_name } = one;
            (doing, abandoned, asked_name) == (&other.doing, &other.abandoned, &other.asked_name)
        });
        match () {
            () if self.progress != saved.progress => Some("progress"),
            () if !stand_alike => Some("an actor"),
            () => state.difference(other),
        }
    }
}
