//! Executing a request on a node and writing its reply.

use super::counters::Counters;
use super::request::{Answer, Framing, Request, Work};
use super::{binary_reply, render, stats};
use crate::backend::Origin;
use crate::backend::memcached_model::{Limits, Node};
use crate::step::{CacheCommand, CacheRefusal, CacheReply, Footprint, Key, Ttl};
use crate::time::Time;

/// Executes a request and appends what the server answers, which may be nothing.
pub fn perform(node: &mut Node, now: Time, origin: Origin, request: &Request, out: &mut Vec<u8>) {
    let mut counters = Counters::default();
    perform_from((node, &mut counters), now, origin, request, (0, usize::MAX), out);
}

/// Like [`perform`], but stops within a multi-get when the replies exceed a limit, so that
/// nobody can have all values of a node copied for one request. Gives the number of the key
/// to go on with.
pub(super) fn perform_from(
    (node, counters): (&mut Node, &mut Counters),
    now: Time,
    origin: Origin,
    request: &Request,
    (first, limit): (usize, usize),
    out: &mut Vec<u8>,
) -> Option<usize> {
    match &request.work {
        Work::One(command, extras) => {
            let reply = node.execute_with(now, origin, command, *extras, &mut Footprint::off());
            counters.note(node, command, &reply);
            counters.take_evicted(node);
            write(node, now, request, command, &reply, out);
        }
        Work::Many { keys, touch, too_long } => {
            for (number, key) in keys.iter().enumerate().skip(first) {
                if out.len() > limit {
                    return Some(number);
                }
                let before = out.len();
                let fetched = (key, *touch);
                fetch((node, counters), now, origin, fetched, &request.framing, out);
                if *too_long {
                    out.truncate(before);
                }
            }
            if *too_long {
                render::line(out, render::refusal(CacheRefusal::BadCommandLine));
            } else {
                render::line(out, "END");
            }
        }
        Work::TooLarge { removes, .. } => {
            counters.note_other(&request.work);
            if let Some(key) = removes {
                node.evict(now, key);
            }
            refuse(&request.framing, out);
        }
        Work::Inspect { key } => {
            counters.note_other(&request.work);
            render::inspected(out, node, now, key);
        }
        Work::Stats(group) => {
            stats::write((node, counters), now, *group, &request.framing, out);
        }
        Work::MemoryLimit(bytes) => {
            node.set_limits(now, Limits { bytes: Some(*bytes), ..node.limits() });
            counters.take_evicted(node);
            if request.framing == Framing::Classic(Answer::Wanted) {
                render::line(out, "OK");
            }
        }
    }
    None
}

/// One key of a multi-get: a step of its own.
fn fetch(
    (node, counters): (&mut Node, &mut Counters),
    now: Time,
    origin: Origin,
    (key, touch): (&Key, Option<Ttl>),
    framing: &Framing,
    out: &mut Vec<u8>,
) {
    let key = key.clone();
    let command = match touch {
        Some(ttl) => CacheCommand::GetAndTouch { key, ttl },
        None => CacheCommand::Get { key },
    };
    let reply = node.execute(now, origin, &command, &mut Footprint::off());
    counters.note(node, &command, &reply);
    if let (CacheReply::Found(item), Some(key)) = (&reply, command.key()) {
        render::value(out, key, item, *framing == Framing::Values { cas: true });
    }
}

fn write(
    node: &Node,
    now: Time,
    request: &Request,
    command: &CacheCommand,
    reply: &CacheReply,
    out: &mut Vec<u8>,
) {
    match &request.framing {
        Framing::Classic(Answer::Suppressed) => {}
        Framing::Classic(Answer::Wanted) => render::classic(out, reply),
        Framing::Values { cas } => {
            if let (CacheReply::Found(item), Some(key)) = (reply, command.key()) {
                render::value(out, key, item, *cas);
            }
            render::line(out, "END");
        }
        Framing::Meta(framing) => {
            let trace = node.trace();
            render::Meta { framing, command, trace, node, now }.write(out, reply);
        }
        Framing::Binary(framing) => {
            binary_reply::write(framing, command.key(), reply, node.trace(), out);
        }
    }
}

/// The reply to a store whose value is too large.
fn refuse(framing: &Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Classic(Answer::Suppressed) => {}
        Framing::Binary(framing) => binary_reply::too_large(framing, out),
        _ => render::line(out, render::refusal(CacheRefusal::TooLarge)),
    }
}

/// What a fault makes the server say instead of executing a request.
pub(super) fn fail(framing: &Framing, out: &mut Vec<u8>) {
    match framing {
        Framing::Classic(Answer::Suppressed) => {}
        Framing::Binary(framing) => binary_reply::fault(framing, out),
        _ => render::line(out, "SERVER_ERROR fault injected"),
    }
}
