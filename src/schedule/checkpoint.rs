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

use super::change_log::ChangeLog;
use super::error::RunError;
use super::identity::Event;
use super::monitor::Monitor;
use super::recorder::Recorder;
use super::replica::Replica;
use super::state::{Client, Connection, Flight, Process, Task};
use super::stepper::{Background, Bounds, Sleeper, Stepper};
use super::world::World;
use crate::history::record::StepKind;
use crate::operation::OpId;
use crate::pattern::Port;
use crate::step::ConnectionId;
use crate::time::Time;

/// What a stepper held.
pub(crate) struct Checkpoint {
    world: Saved,
    bounds: Bounds,
    flying: Vec<usize>,
    sleeping: Vec<(Time, Sleeper)>,
    locked: Vec<usize>,
    hanging: Vec<ConnectionId>,
    background: Vec<Option<Background>>,
    invoked: Vec<bool>,
    lasting: Vec<bool>,
    monitor: Monitor,
    deadlocks: u32,
    choices: usize,
}

impl Stepper<'_> {
    /// A copy of the state between two choices; `None` where servers cannot be copied.
    pub fn save(&self) -> Option<Checkpoint> {
        Some(Checkpoint {
            world: self.world.save()?,
            bounds: self.bounds,
            flying: self.flying.clone(),
            sleeping: self.sleeping.clone(),
            locked: self.locked.clone(),
            hanging: self.hanging.clone(),
            background: self.background.clone(),
            invoked: self.invoked.clone(),
            lasting: self.lasting.clone(),
            monitor: self.monitor.clone(),
            deadlocks: self.deadlocks,
            choices: self.choices.len(),
        })
    }

    /// Goes back to a state on the way to this one.
    pub fn restore(&mut self, saved: &Checkpoint) -> Result<(), RunError> {
        self.bounds = saved.bounds;
        self.flying.clone_from(&saved.flying);
        self.sleeping.clone_from(&saved.sleeping);
        self.locked.clone_from(&saved.locked);
        self.hanging.clone_from(&saved.hanging);
        self.background.clone_from(&saved.background);
        self.invoked.clone_from(&saved.invoked);
        self.lasting.clone_from(&saved.lasting);
        self.monitor.clone_from(&saved.monitor);
        self.deadlocks = saved.deadlocks;
        self.choices.truncate(saved.choices);
        self.world.restore(&saved.world)
    }
}

/// What a world held.
struct Saved {
    cache: Box<dyn Any>,
    database: Box<dyn Any>,
    clients: Vec<SavedClient>,
    processes: Vec<Process>,
    flights: Vec<Option<Flight>>,
    free: Vec<usize>,
    connections: Vec<Connection>,
    recorder: Recorder,
    replica: Option<Replica>,
    log: Option<ChangeLog>,
    now: Time,
    bypasses: u32,
    bypass_connection: Option<ConnectionId>,
    under_way: usize,
    active: usize,
}

/// A client whose future is left out.
struct SavedClient {
    client: Client,
    doing: Doing,
    abandoned: Vec<u32>,
    asked_name: bool,
}

#[derive(Clone, Copy)]
enum Doing {
    Nothing,
    Operation,
    Tick,
}

impl World<'_> {
    /// A copy of all that there is between two choices; `None` where servers cannot be copied.
    fn save(&self) -> Option<Saved> {
        debug_assert!(self.enabled.is_empty(), "what can happen at once has happened");
        Some(Saved {
            cache: self.cache.save()?,
            database: self.database.save()?,
            clients: self.clients.iter().map(SavedClient::of).collect(),
            processes: self.processes.clone(),
            flights: self.flights.clone(),
            free: self.free.clone(),
            connections: self.connections.clone(),
            recorder: self.recorder.clone(),
            replica: self.replica.clone(),
            log: self.log.clone(),
            now: self.now,
            bypasses: self.bypasses,
            bypass_connection: self.bypass_connection,
            under_way: self.under_way,
            active: self.active,
        })
    }

    /// Goes back to where a copy was made.
    fn restore(&mut self, saved: &Saved) -> Result<(), RunError> {
        self.cache.restore(&*saved.cache);
        self.database.restore(&*saved.database);
        self.processes.clone_from(&saved.processes);
        self.flights.clone_from(&saved.flights);
        self.free.clone_from(&saved.free);
        self.connections.clone_from(&saved.connections);
        self.recorder.become_like(&saved.recorder);
        self.replica.clone_from(&saved.replica);
        self.log.clone_from(&saved.log);
        self.now = saved.now;
        self.bypasses = saved.bypasses;
        self.bypass_connection = saved.bypass_connection;
        self.under_way = saved.under_way;
        self.active = saved.active;
        for (place, client) in saved.clients.iter().enumerate() {
            self.restore_client(place, client)?;
        }
        Ok(())
    }

    fn restore_client(&mut self, place: usize, saved: &SavedClient) -> Result<(), RunError> {
        let client = &mut self.clients[place];
        let stands_there = client.moved == saved.client.moved;
        client.become_like(&saved.client);
        client.port.set_asked_name(saved.asked_name);
        if stands_there {
            return Ok(());
        }
        client.task = Task::Idle;
        let (port, cx) = (Rc::clone(&client.port), Rc::clone(&client.cx));
        // What a destructor has sent goes nowhere.
        port.reset();
        let pattern = Rc::clone(&self.processes[saved.client.process].pattern);
        let op = saved.client.current.id;
        let mut task = match saved.doing {
            Doing::Nothing => {
                port.keep_abandoned(&saved.abandoned);
                return Ok(());
            }
            Doing::Operation => {
                port.begin(op);
                let number = saved.client.begun - 1;
                let op = self.plan.op(saved.client.id, number, &*self.app.entity);
                Task::Op(pattern.start(cx, op.expect("it was begun before")))
            }
            Doing::Tick => {
                port.begin(op);
                Task::Tick(pattern.start_tick(cx))
            }
        };
        port.keep_abandoned(&saved.client.trail.abandoned);
        if let Err(step) = tell_again(&mut task, &port, &saved.client.trail.events) {
            return Err(self.not_deterministic(op, step));
        }
        self.clients[place].task = task;
        Ok(())
    }

    pub(super) fn not_deterministic(&self, op: OpId, step: u32) -> RunError {
        RunError::NotDeterministic { pattern: self.entry.name.clone(), op, step }
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

impl SavedClient {
    fn of(client: &Client) -> SavedClient {
        let doing = match client.task {
            Task::Idle => Doing::Nothing,
            Task::Op(_) => Doing::Operation,
            Task::Tick(_) => Doing::Tick,
        };
        let abandoned = client.port.abandoned();
        let asked_name = client.port.asked_name();
        SavedClient { client: client.without_future(), doing, abandoned, asked_name }
    }
}
