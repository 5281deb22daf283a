//! What a client runs: its pattern's future, and the port behind it. A future cannot be copied, so
//! this is no part of the [`State`](super::state::State); it is made anew from the client's trail.

use std::rc::Rc;

use crate::pattern::{App, Cx, Port, Running, Ticking};
use crate::seed::Seed;

/// What a client is doing.
pub(super) enum Task {
    Idle,
    Op(Running),
    Tick(Ticking),
}

/// The running side of a client.
pub(super) struct Actor {
    pub port: Rc<Port>,
    pub cx: Rc<Cx>,
    pub task: Task,
    /// Another number whenever the future moves on, is made or dropped: of two moments with the
    /// same one it stands at the same place.
    pub moved: u64,
}

/// What a copy of the state has to keep of an actor, since the client's trail does not tell it.
#[derive(Clone, Debug)]
pub(super) struct Standing {
    pub doing: Doing,
    pub moved: u64,
    /// Calls of earlier operations whose answers are still to come.
    pub abandoned: Vec<u32>,
    /// Whether the pattern has asked who its client is, in this operation or an earlier one.
    pub asked_name: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Doing {
    Nothing,
    Operation,
    Tick,
}

impl Actor {
    pub fn new(seed: Seed, app: &Rc<App>) -> Actor {
        let port = Rc::new(Port::new(seed));
        let cx = Rc::new(Cx::new(Rc::clone(&port), Rc::clone(app)));
        Actor { port, cx, task: Task::Idle, moved: 0 }
    }

    pub fn doing(&self) -> Doing {
        match self.task {
            Task::Idle => Doing::Nothing,
            Task::Op(_) => Doing::Operation,
            Task::Tick(_) => Doing::Tick,
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.task, Task::Idle)
    }

    pub fn standing(&self) -> Standing {
        Standing {
            doing: self.doing(),
            moved: self.moved,
            abandoned: self.port.abandoned(),
            asked_name: self.port.asked_name(),
        }
    }
}
