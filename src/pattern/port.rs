//! The port behind `Cx`: where a pattern leaves commands and finds answers.
//!
//! It knows neither scheduler nor backend. Polling a call for the first time puts its
//! command into the outbox; whoever drives the pattern takes it from there, and puts the
//! answer into the call's slot before polling again.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::operation::{ClientId, OpId};
use crate::seed::{Purpose, Seed};
use crate::step::{Answer, Command};
use crate::time::Time;

/// A call's place among the calls under way.
pub(crate) type Ticket = u32;

#[derive(Debug)]
enum Slot {
    Free,
    Waiting,
    /// The call was given up; its answer is still to come, and nobody else must get it.
    Abandoned,
    Ready(Answer),
}

/// A client's connection to whoever drives it.
#[derive(Debug)]
pub struct Port {
    slots: RefCell<Vec<Slot>>,
    outbox: RefCell<VecDeque<(Ticket, Command)>>,
    marks: RefCell<VecDeque<&'static str>>,
    now: Cell<Time>,
    op: Cell<OpId>,
    seed: Seed,
    draws: Cell<u64>,
    inert: Cell<bool>,
    asked_time: Cell<bool>,
    asked_name: Cell<bool>,
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
            asked_time: Cell::new(false),
            asked_name: Cell::new(false),
        }
    }

    /// Begins an operation: what it writes will carry its id.
    pub(crate) fn begin(&self, op: OpId) {
        self.op.set(op);
        self.draws.set(0);
        self.asked_time.set(false);
    }

    /// Whatever a destructor still sends goes nowhere: the process is dead.
    pub(crate) fn make_inert(&self) {
        self.inert.set(true);
    }

    pub(crate) fn set_now(&self, now: Time) {
        self.now.set(now);
    }

    pub(crate) fn now(&self) -> Time {
        self.asked_time.set(true);
        self.now.get()
    }

    /// Whether the pattern has looked at the time since the operation began.
    pub(crate) fn asked_time(&self) -> bool {
        self.asked_time.get()
    }

    pub(crate) fn op(&self) -> OpId {
        self.asked_name.set(true);
        self.op.get()
    }

    /// Who carries out the operation. Background work is alone in its process, so that it
    /// learns nothing by this.
    pub(crate) fn client(&self) -> ClientId {
        let client = self.op.get().client();
        self.asked_name.set(self.asked_name.get() || client.is_ordinary());
        client
    }

    /// Whether the pattern has ever asked for what tells its client from others.
    pub(crate) fn asked_name(&self) -> bool {
        self.asked_name.get()
    }

    /// Goes back to when it had, or had not.
    pub(crate) fn set_asked_name(&self, asked: bool) {
        self.asked_name.set(asked);
    }

    /// A number for the pattern's own use, a function of seed, operation and count.
    pub(crate) fn random(&self) -> u64 {
        self.asked_name.set(true);
        let count = self.draws.get();
        self.draws.set(count + 1);
        self.seed.draw(Purpose::Pattern, self.op.get().0, count)
    }

    pub(crate) fn mark(&self, name: &'static str) {
        self.marks.borrow_mut().push_back(name);
    }

    /// Takes the oldest mark.
    #[inline]
    pub(crate) fn take_mark(&self) -> Option<&'static str> {
        self.marks.borrow_mut().pop_front()
    }

    /// Takes the command that was sent first.
    #[inline]
    pub(crate) fn take_sent(&self) -> Option<(Ticket, Command)> {
        self.outbox.borrow_mut().pop_front()
    }

    /// Puts the answer where the call will find it.
    pub(crate) fn answer(&self, ticket: Ticket, answer: Answer) {
        let mut slots = self.slots.borrow_mut();
        match slots.get_mut(ticket as usize) {
            Some(slot @ Slot::Waiting) => *slot = Slot::Ready(answer),
            Some(slot @ Slot::Abandoned) => *slot = Slot::Free,
            _ => {}
        }
    }

    /// Calls of earlier operations whose answers are still to come: later calls cannot have their
    /// places.
    pub(crate) fn abandoned(&self) -> Vec<Ticket> {
        let slots = self.slots.borrow();
        let abandoned = slots.iter().enumerate();
        let abandoned = abandoned.filter(|(_, slot)| matches!(slot, Slot::Abandoned));
        abandoned.map(|(place, _)| place as Ticket).collect()
    }

    /// Keeps these places from later calls, as calls that were abandoned do.
    pub(crate) fn keep_abandoned(&self, tickets: &[Ticket]) {
        let mut slots = self.slots.borrow_mut();
        for ticket in tickets {
            while slots.len() <= *ticket as usize {
                slots.push(Slot::Free);
            }
            slots[*ticket as usize] = Slot::Abandoned;
        }
    }

    /// As it was when it was made.
    pub(crate) fn reset(&self) {
        self.clear();
        self.marks.borrow_mut().clear();
        self.inert.set(false);
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
        self.outbox.borrow_mut().push_back((ticket, command));
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

    /// A future that sends the command when first polled and resolves to its answer. When
    /// there is none it sends the command again, up to `retries` times.
    pub(crate) fn call(&self, command: Command, retries: u32) -> Call<'_> {
        Call { port: self, command: Some(command), retries, ticket: None }
    }
}

/// One command under way.
pub(crate) struct Call<'a> {
    port: &'a Port,
    /// The command to send next; kept while there are retries left.
    command: Option<Command>,
    retries: u32,
    ticket: Option<Ticket>,
}

impl Call<'_> {
    fn send(&mut self) -> Poll<Answer> {
        let command = match self.retries {
            0 => self.command.take(),
            _ => self.command.clone(),
        };
        let command = command.expect("a step's future is not polled after it has finished");
        self.ticket = Some(self.port.send(command));
        Poll::Pending
    }
}

impl Future for Call<'_> {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Answer> {
        let Some(ticket) = self.ticket else { return self.send() };
        match self.port.take(ticket) {
            None => Poll::Pending,
            Some(Answer::Error(_)) if self.retries > 0 => {
                self.retries -= 1;
                self.send()
            }
            Some(answer) => {
                self.ticket = None;
                self.command = None;
                Poll::Ready(answer)
            }
        }
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        // A slot that were free before its answer came would be given to another call, which
        // would then be handed the wrong answer.
        if let Some(ticket) = self.ticket
            && let Some(slot) = self.port.slots.borrow_mut().get_mut(ticket as usize)
        {
            *slot = match slot {
                Slot::Waiting => Slot::Abandoned,
                _ => Slot::Free,
            };
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
