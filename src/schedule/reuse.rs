//! Connections that are used again although a reply is outstanding: `on-timeout = "reuse"`.
//!
//! Replies come in order and carry no name, so from then on every caller reads the reply
//! that was meant for the one before (connection-desync), until the kinds differ and the
//! client notices. A reply that a fault loses comes here too: the connection lives, so only
//! its caller has lost it.

use super::world::World;
use crate::scenario::OnTimeout;
use crate::step::{Answer, CacheReply, Command, ConnectionId, StepError};

impl World<'_> {
    /// Whether a connection is used again when a caller has stopped waiting for a reply.
    pub(super) fn reuses(&self, connection: ConnectionId) -> bool {
        let state = self.state.network.connection(connection);
        self.fixed.rules.on_timeout == OnTimeout::Reuse && !state.is_database && !state.closed
    }

    /// A caller has stopped waiting: what the server answers, or has answered, stays on the
    /// connection.
    pub(super) fn leave_unread(&mut self, flight: usize) {
        let connection = self.flight(flight).connection;
        if !self.reuses(connection) {
            return;
        }
        if let Some(answer @ Answer::Cache(_)) = self.flight_mut(flight).answer.take() {
            self.state.network.connection_mut(connection).unread.push_back(answer);
        }
    }

    /// What the caller of a step reads when its own answer has come.
    pub(super) fn read_reply(&mut self, flight: usize, own: Answer) -> Answer {
        let connection = self.flight(flight).connection;
        let unread = &mut self.state.network.connection_mut(connection).unread;
        if unread.is_empty() || !matches!(own, Answer::Cache(_)) {
            return own;
        }
        unread.push_back(own);
        let first = unread.pop_front().expect("there are two at least");
        if fits(&self.flight(flight).command, &first) {
            return first;
        }
        self.state.network.connection_mut(connection).unread.clear();
        self.give_up(connection);
        Answer::Error(StepError::ConnectionLost)
    }
}

fn fits(command: &Command, answer: &Answer) -> bool {
    match (command, answer) {
        (Command::Cache(command), Answer::Cache(reply)) => CacheReply::answers(reply, command),
        _ => false,
    }
}
