//! The audit's read of a real server, which must change nothing that a later reply tells.

use super::{Memcached, meta, text, text_command};
use crate::backend::BackendError;
use crate::step::{CacheCommand, CacheReply, ConnectionId, Key, NodeId, Remaining};

impl Memcached {
    /// A meta get that bumps nothing (`u`); of an item whose token that would take, a classic get.
    pub(super) fn peek(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        command: &CacheCommand,
        key: &Key,
    ) -> Result<CacheReply, BackendError> {
        let get = CacheCommand::Get { key: key.clone() };
        if !self.nodes[usize::from(node.0)].marks.has(key) || !text::differs(&get) {
            let reply = self.exchange(node, connection, &meta::encode(command))?;
            return Ok(meta::reply(command, reply));
        }
        let reply = self.text(node, connection, &get)?;
        let CacheReply::Found(mut item) = reply else { return Ok(reply) };
        item.stale = true;
        item.remaining = self.remaining(node, key)?;
        Ok(CacheReply::Found(item))
    }

    /// How long an item will stay, asked in a way that takes no token.
    fn remaining(&self, node: NodeId, key: &Key) -> Result<Remaining, BackendError> {
        let reply = text_command(self.server(node), &format!("me {key}"))?;
        let told = reply.split(' ').find_map(|word| word.strip_prefix("exp="));
        // 1.6.18 tells what remains with a minus, so that -1 is "never" and also "1 s".
        let seconds = told.and_then(|told| told.trim_start_matches('-').parse().ok());
        Ok(match seconds {
            Some(seconds) if told != Some("-1") => Remaining::Seconds(seconds),
            _ => Remaining::Never,
        })
    }
}
