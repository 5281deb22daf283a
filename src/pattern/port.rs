//! The port behind `Cx`: where a pattern leaves commands and finds answers.
//!
//! It knows neither scheduler nor backend. Polling a call for the first time puts its
//! command into the outbox; whoever drives the pattern takes it from there, and puts the
//! answer into the call's slot before polling again.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::operation::OpId;
use crate::seed::{Purpose, Seed};
use crate::step::{Answer, Command};
use crate::time::Time;

/// A call's place among the calls under way.
pub(crate) type Ticket = u32;

#[derive(Debug)]
enum Slot {
    Free,
    Waiting,
    Ready(Answer),
}

/// A client's connection to whoever drives it.
#[derive(Debug)]
pub struct Port {
    slots: RefCell<Vec<Slot>>,
    outbox: RefCell<Vec<(Ticket, Command)>>,
    marks: RefCell<Vec<&'static str>>,
    now: Cell<Time>,
    op: Cell<OpId>,
    seed: Seed,
    draws: Cell<u64>,
    inert: Cell<bool>,
}

impl Port {
    pub(crate) fn new(seed: Seed) -> Port {
        Port {
            slots: RefCell::default(),
            outbox: RefCell::default(),
            marks: RefCell::default(),
            now: Cell::new(Time::ZERO),
            op: Cell::new(OpId::INITIAL),
            seed,
            draws: Cell::new(0),
            inert: Cell::new(false),
        }
    }

    /// Begins an operation: what it writes will carry its id.
    pub(crate) fn begin(&self, op: OpId) {
        self.op.set(op);
        self.draws.set(0);
    }

    /// Whatever a destructor still sends goes nowhere: the process is dead.
    pub(crate) fn make_inert(&self) {
        self.inert.set(true);
    }

    pub(crate) fn set_now(&self, now: Time) {
        self.now.set(now);
    }

    pub(crate) fn now(&self) -> Time {
        self.now.get()
    }

    pub(crate) fn op(&self) -> OpId {
        self.op.get()
    }

    /// A number for the pattern's own use, a function of seed, operation and count.
    pub(crate) fn random(&self) -> u64 {
        let count = self.draws.get();
        self.draws.set(count + 1);
        self.seed.draw(Purpose::Pattern, self.op.get().0, count)
    }

    pub(crate) fn mark(&self, name: &'static str) {
        self.marks.borrow_mut().push(name);
    }

    /// Moves the marks set since the last time into `into`.
    pub(crate) fn take_marks(&self, into: &mut Vec<&'static str>) {
        into.append(&mut self.marks.borrow_mut());
    }

    /// Moves the commands sent since the last time into `into`.
    pub(crate) fn take_outbox(&self, into: &mut Vec<(Ticket, Command)>) {
        into.append(&mut self.outbox.borrow_mut());
    }

    /// Puts the answer where the call will find it.
    pub(crate) fn answer(&self, ticket: Ticket, answer: Answer) {
        let mut slots = self.slots.borrow_mut();
        // A call that was dropped meanwhile has freed its slot; nobody wants the answer.
        if let Some(slot @ Slot::Waiting) = slots.get_mut(ticket as usize) {
            *slot = Slot::Ready(answer);
        }
    }

    /// Forgets every call: the operation was dropped.
    pub(crate) fn clear(&self) {
        self.slots.borrow_mut().clear();
        self.outbox.borrow_mut().clear();
    }

    fn send(&self, command: Command) -> Ticket {
        if self.inert.get() {
            return Ticket::MAX;
        }
        let mut slots = self.slots.borrow_mut();
        let ticket = match slots.iter().position(|slot| matches!(slot, Slot::Free)) {
            Some(free) => {
                slots[free] = Slot::Waiting;
                free
            }
            None => {
                slots.push(Slot::Waiting);
                slots.len() - 1
            }
        } as Ticket;
        self.outbox.borrow_mut().push((ticket, command));
        ticket
    }

    fn take(&self, ticket: Ticket) -> Option<Answer> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(ticket as usize)?;
        match std::mem::replace(slot, Slot::Free) {
            Slot::Ready(answer) => Some(answer),
            waiting => {
                *slot = waiting;
                None
            }
        }
    }

    /// A future that sends the command when first polled and resolves to its answer.
    pub(crate) fn call(&self, command: Command) -> Call<'_> {
        Call { port: self, state: CallState::Unsent(command) }
    }
}

/// One command under way.
pub(crate) struct Call<'a> {
    port: &'a Port,
    state: CallState,
}

enum CallState {
    Unsent(Command),
    Sent(Ticket),
    Done,
}

impl Future for Call<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        match std::mem::replace(&mut self.state, CallState::Done) {
            CallState::Unsent(command) => {
                self.state = CallState::Sent(self.port.send(command));
                Poll::Pending
            }
            CallState::Sent(ticket) => match self.port.take(ticket) {
                Some(answer) => Poll::Ready(answer),
                None => {
                    self.state = CallState::Sent(ticket);
                    Poll::Pending
                }
            },
            CallState::Done => panic!("a step's future was polled after it had finished"),
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // A call that the pattern gave up frees its slot, so that a late answer is dropped.
        if let CallState::Sent(ticket) = self.state
            && let Some(slot) = self.port.slots.borrow_mut().get_mut(ticket as usize)
        {
            *slot = Slot::Free;
        }
    }
}

/// Polls all futures until each has finished; their results, in order.
pub(crate) async fn join<F: Future + Unpin>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<Option<F>> = futures.into_iter().map(Some).collect();
    let mut results: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut pending = false;
        for (future, result) in futures.iter_mut().zip(&mut results) {
            if let Some(running) = future {
                match Pin::new(running).poll(context) {
                    Poll::Ready(value) => {
                        *result = Some(value);
                        *future = None;
                    }
                    Poll::Pending => pending = true,
                }
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    results.into_iter().map(|result| result.expect("every future has finished")).collect()
}
