//! Patterns: how an application reads and writes rows that it also keeps in a cache.
//!
//! A pattern is an `async fn(&Cx, Op) -> Result<Reply, Failure>`, or a type that implements
//! [`Pattern`] when it has settings or background work. [`Cx`] is its only source of
//! stores, time and randomness; each `.await` on it is one step that a scheduler orders.
//! The built-in ones are in files of their own, a short one each, here, in `strategy/`
//! and, known to be wrong, in `flawed/`;
//! [`Registry`] lists them and takes a user's.

mod about;
mod built_in;
mod cache_aside;
mod carry_out;
mod cx;
mod failure;
mod flawed;
mod handles;
mod log;
mod no_cache;
mod port;
mod read_through;
mod registry;
mod strategy;
mod write_behind;
mod write_through;

pub use about::SettingSpec;
pub use cx::Cx;
pub(crate) use cx::{App, Opened};
pub use failure::Failure;
pub use handles::{Cache, CasOutcome, Change, Database, Local};
pub(crate) use log::outbox_table;
pub use log::{Log, Notice, Outbox};
pub use port::Port;
pub use registry::{Entry, Registry, Settings, Traits};

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;

use crate::operation::{Op, Reply};

/// An application's way of reading and writing.
///
/// One instance serves all clients of a process and dies with it: state in `self` is state
/// that a crash loses. State that clients share and that matters belongs in `cx.local`,
/// whose accesses are steps.
pub trait Pattern: 'static {
    /// Carries out one operation.
    fn run(&self, cx: &Cx, op: Op) -> impl Future<Output = Result<Reply, Failure>>;

    /// One round of background work (a flusher, a relay); called again and again.
    fn tick(&self, cx: &Cx) -> impl Future<Output = Result<Tick, Failure>> {
        let _ = cx;
        async { Ok(Tick::Idle) }
    }
}

impl<F> Pattern for F
where
    F: AsyncFn(&Cx, Op) -> Result<Reply, Failure> + 'static,
{
    async fn run(&self, cx: &Cx, op: Op) -> Result<Reply, Failure> {
        self(cx, op).await
    }
}

/// Whether a round of background work found anything to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tick {
    /// There was nothing to do.
    Idle,
    /// Something was done; there may be more.
    Worked,
}

/// An operation under way.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Reply, Failure>>>>;
/// A round of background work under way.
pub(crate) type Ticking = Pin<Box<dyn Future<Output = Result<Tick, Failure>>>>;

/// A pattern whose type is forgotten.
pub(crate) trait AnyPattern {
    fn start(self: Rc<Self>, cx: Rc<Cx>, op: Op) -> Running;
    fn start_tick(self: Rc<Self>, cx: Rc<Cx>) -> Ticking;
}

impl<P: Pattern> AnyPattern for P {
    fn start(self: Rc<Self>, cx: Rc<Cx>, op: Op) -> Running {
        Box::pin(async move { self.run(&cx, op).await })
    }

    fn start_tick(self: Rc<Self>, cx: Rc<Cx>) -> Ticking {
        Box::pin(async move { self.tick(&cx).await })
    }
}
