//! Schedulers: who decides the order of steps.
//!
//! [`simulate`] runs a plan under the seeded scheduler, in virtual time, against any
//! backend: a backend only executes a step when its turn has come.

mod actor;
mod background;
mod calamity;
mod change_log;
mod checkpoint;
mod choice;
mod client;
mod clock;
mod effects;
mod error;
mod execute;
mod exhaust;
mod expiry;
mod fingerprint;
mod finish;
mod followers;
mod identity;
mod injector;
mod manual;
mod memory;
mod monitor;
mod network;
mod options;
mod pace;
mod pct;
mod program;
mod progress;
mod queue;
mod recorder;
mod replica;
mod reuse;
mod ring;
mod seeded;
mod send;
mod state;
mod stepper;
mod story;
mod symmetry;
mod terms;
mod walk;
mod without_doing;
mod world;
mod world_fault;
mod zone;

#[cfg(test)]
pub(crate) use checkpoint::Checkpoint;
pub use choice::Choice;
#[cfg(test)]
pub(crate) use effects::Effects;
pub use error::RunError;
pub use exhaust::{Effort, Search};
pub(crate) use exhaust::{OnServers, Servers, Visitor, exhaust};
#[cfg(test)]
pub(crate) use identity::Fold128;
#[cfg(all(feature = "memcached", feature = "serve"))]
pub(crate) use injector::{COMMITTED, Injector, Target, bit};
#[cfg(all(feature = "memcached", feature = "serve"))]
pub(crate) use memory::Memory;
pub use monitor::{NameOfRead, Named, Track};
pub use pace::{Extent, Timing};
pub use program::Program;
pub use recorder::Keep;
#[cfg(all(feature = "memcached", feature = "serve"))]
pub(crate) use ring::Ring;
pub use seeded::{Setup, simulate};
pub use stepper::Bounds;
pub(crate) use stepper::Stepper;
#[cfg(test)]
pub(crate) use symmetry::Places;
#[cfg(test)]
pub(crate) use terms::{leaving_out, terms_of};

/// Which node has a key, given the nodes' names.
pub fn route(node_names: &[String]) -> impl Fn(&crate::step::Key) -> crate::step::NodeId + use<> {
    let ring = (node_names.len() > 1).then(|| ring::Ring::new(node_names));
    move |key| ring.as_ref().map_or(crate::step::NodeId(0), |ring| ring.node(key))
}
pub use walk::Walker;
pub(crate) use walk::{Stride, walk};
