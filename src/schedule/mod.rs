//! Schedulers: who decides the order of steps.
//!
//! [`simulate`] runs a plan under the seeded scheduler, in virtual time, against any
//! backend: a backend only executes a step when its turn has come.

mod calamity;
mod error;
mod execute;
mod finish;
mod injector;
mod memory;
mod recorder;
mod replica;
mod ring;
mod seeded;
mod send;
mod state;
mod world;

pub use error::RunError;
pub use recorder::Keep;
pub use seeded::{Setup, simulate};

/// Which node has a key, given the nodes' names.
pub fn route(node_names: &[String]) -> impl Fn(&crate::step::Key) -> crate::step::NodeId + use<> {
    let ring = (node_names.len() > 1).then(|| ring::Ring::new(node_names));
    move |key| ring.as_ref().map_or(crate::step::NodeId(0), |ring| ring.node(key))
}
