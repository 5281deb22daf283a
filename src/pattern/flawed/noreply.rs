//! `noreply`: cache-aside whose delete is sent without asking for a reply.
//!
//! Wrong because nobody learns that it was lost, or that the server could not carry it out; and
//! the write is acknowledged before it has arrived.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use crate::operation::{Action, Op, Reply};
use crate::pattern::about::About;
use crate::pattern::carry_out::{carry_out, row_of};
use crate::pattern::read_through::read;
use crate::pattern::{Cx, Failure, Traits};

pub(crate) const ABOUT: About = About {
    name: "noreply",
    summary: "flawed: cache-aside whose deletes are sent without waiting for a reply",
    source: include_str!("noreply.rs"),
    traits: Traits::CACHING,
    settings: &[],
};

/// Sends deletes and does not look back.
pub(crate) async fn noreply(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    carry_out(cx, op, read, async |cx: &Cx, action: Action| {
        let change = cx.db.apply(&action).await?;
        let key = cx.key(row_of(&action));
        let mut delete = pin!(cx.cache.delete(&key));
        // The first poll sends the command; nobody polls again.
        poll_fn(|context| {
            let _ = delete.as_mut().poll(context);
            Poll::Ready(())
        })
        .await;
        Ok(change)
    })
    .await
}
