//! Executing a request on a node and writing its reply.

use super::request::{Answer, Framing, Request, Stats, Work};
use super::{binary_reply, render};
use crate::backend::Origin;
use crate::backend::memcached_model::{ITEM_BYTES_MAX, Limits, Node, VERSION};
use crate::step::{CacheCommand, CacheRefusal, CacheReply, Footprint, Key, Ttl};
use crate::time::Time;

/// Executes a request and appends what the server answers, which may be nothing.
pub fn perform(node: &mut Node, now: Time, origin: Origin, request: &Request, out: &mut Vec<u8>) {
    perform_from(node, now, origin, request, (0, usize::MAX), out);
}

/// Like [`perform`], but stops within a multi-get when the replies exceed a limit, so that
/// nobody can have all values of a node copied for one request. Gives the number of the key
/// to go on with.
pub(super) fn perform_from(
    node: &mut Node,
    now: Time,
    origin: Origin,
    request: &Request,
    (first, limit): (usize, usize),
    out: &mut Vec<u8>,
) -> Option<usize> {
    match &request.work {
        Work::One(command, extras) => {
            let reply = node.execute_with(now, origin, command, *extras, &mut Footprint::off());
            write(node, now, request, command, &reply, out);
        }
        Work::Many { keys, touch, too_long } => {
            for (number, key) in keys.iter().enumerate().skip(first) {
                if out.len() > limit {
                    return Some(number);
                }
                let before = out.len();
                fetch(node, now, origin, (key, *touch), &request.framing, out);
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
            if let Some(key) = removes {
                node.evict(now, key);
            }
            refuse(&request.framing, out);
        }
        Work::Inspect { key } => render::inspected(out, node, now, key),
        Work::Stats(stats) => write_stats(node, now, *stats, &request.framing, out),
        Work::MemoryLimit(bytes) => {
            node.set_limits(now, Limits { bytes: Some(*bytes), ..node.limits() });
            if request.framing == Framing::Classic(Answer::Wanted) {
                render::line(out, "OK");
            }
        }
    }
    None
}

/// One key of a multi-get: a step of its own.
fn fetch(
    node: &mut Node,
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

fn write_stats(node: &Node, now: Time, stats: Stats, framing: &Framing, out: &mut Vec<u8>) {
    let pairs = match stats {
        Stats::General => general(node, now),
        Stats::Settings => settings(node),
        Stats::Empty | Stats::Reset => Vec::new(),
    };
    if let Framing::Binary(framing) = framing {
        return binary_reply::stats(framing, &pairs, out);
    }
    if stats == Stats::Reset {
        return render::line(out, "RESET");
    }
    for (name, value) in pairs {
        render::line(out, &format!("STAT {name} {value}"));
    }
    render::line(out, "END");
}

fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// The names that clients look for; what is not counted is not shown.
fn general(node: &Node, now: Time) -> Vec<(String, String)> {
    vec![
        pair("pid", std::process::id()),
        pair("uptime", node.uptime_seconds(now)),
        pair("time", node.unix_seconds(now)),
        pair("version", VERSION),
        pair("pointer_size", usize::BITS),
        pair("curr_items", node.len()),
        pair("bytes", node.bytes()),
        pair("limit_maxbytes", node.limits().bytes.unwrap_or(u64::MAX)),
        pair("threads", 1),
    ]
}

fn settings(node: &Node) -> Vec<(String, String)> {
    vec![
        pair("maxbytes", node.limits().bytes.unwrap_or(u64::MAX)),
        pair("evictions", "on"),
        pair("cas_enabled", "yes"),
        pair("item_size_max", ITEM_BYTES_MAX),
        pair("flush_enabled", "yes"),
    ]
}
