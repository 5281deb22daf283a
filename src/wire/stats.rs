//! `stats` and the dumps of keys, under memcached's names.
//!
//! All items are of one slab class here, number 1, because slab classes are not modelled.
//! What never happens here (pages that move between classes, a crawler, authentication) is
//! counted as 0. Names that tell of memcached's own insides (its buffers, its hash table,
//! its use of the processor) are left out, because every number would be a lie; a name that
//! memcached does not have is never shown (`tests/servers/serve_stats.rs`).

use super::counters::Counters;
use super::request::{Framing, Stats};
use super::{binary_reply, render};
use crate::backend::memcached_model::{Entry, ITEM_BYTES_MAX, Node, VERSION};
use crate::step::Key;
use crate::time::Time;

/// What `stats cachedump` shows at most, as memcached does.
const DUMP_BYTES_MAX: usize = 2 << 20;
/// The only class.
const CLASS: u32 = 1;

type Pairs = Vec<(String, String)>;

/// Writes what was asked for.
pub(super) fn write(
    (node, counters): (&mut Node, &mut Counters),
    now: Time,
    stats: Stats,
    framing: &Framing,
    out: &mut Vec<u8>,
) {
    let pairs = match stats {
        Stats::General => general(node, counters, now),
        Stats::Settings => settings(node, counters),
        Stats::Sizes => vec![pair("sizes_status", "disabled")],
        Stats::Items => items(node, counters, now),
        Stats::Slabs => slabs(node, counters),
        Stats::Connections => Vec::new(),
        Stats::CacheDump { class, limit } => return cache_dump(node, now, class, limit, out),
        Stats::MetaDump => return meta_dump(node, now, out),
        Stats::DetailDump => return detail_dump(counters, framing, out),
        Stats::Detail(on) => {
            counters.prefixes.on = on;
            return acknowledge(framing, "OK", out);
        }
        Stats::Reset => {
            counters.reset(node);
            return acknowledge(framing, "RESET", out);
        }
    };
    if let Framing::Binary(framing) = framing {
        return binary_reply::stats(framing, &pairs, out);
    }
    for (name, value) in pairs {
        render::line(out, &format!("STAT {name} {value}"));
    }
    render::line(out, "END");
}

fn acknowledge(framing: &Framing, text: &str, out: &mut Vec<u8>) {
    match framing {
        Framing::Binary(framing) => binary_reply::stats(framing, &[], out),
        _ => render::line(out, text),
    }
}

fn pair(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

fn general(node: &Node, counters: &Counters, now: Time) -> Pairs {
    let tally = node.tally();
    let mut pairs = vec![
        pair("pid", std::process::id()),
        pair("uptime", node.uptime_seconds(now)),
        pair("time", node.unix_seconds(now)),
        pair("version", VERSION),
        pair("pointer_size", usize::BITS),
    ];
    pairs.extend(counters.list().iter().map(|(name, value)| pair(name, value)));
    pairs.extend([
        pair("get_expired", tally.get_expired),
        pair("get_flushed", tally.get_flushed),
        pair("limit_maxbytes", node.limits().bytes.unwrap_or(u64::MAX)),
        pair("accepting_conns", 1),
        pair("threads", 1),
        pair("bytes", node.bytes()),
        pair("curr_items", node.len()),
        pair("total_items", counters.total_items(node)),
        pair("expired_unfetched", tally.expired_unfetched),
        pair("evicted_unfetched", tally.evicted_unfetched),
        pair("evicted_active", tally.evicted_active),
        pair("evictions", counters.evictions()),
        pair("reclaimed", tally.reclaimed),
    ]);
    pairs.extend(NEVER_HAPPENS.iter().map(|name| pair(name, 0)));
    pairs
}

/// Counters of what this server does not do.
const NEVER_HAPPENS: &[&str] = &[
    "response_obj_oom",
    "read_buf_oom",
    "auth_cmds",
    "auth_errors",
    "time_in_listen_disabled_us",
    "conn_yields",
    "hash_is_expanding",
    "slab_reassign_rescues",
    "slab_reassign_chunk_rescues",
    "slab_reassign_evictions_nomem",
    "slab_reassign_inline_reclaim",
    "slab_reassign_busy_items",
    "slab_reassign_busy_deletes",
    "slab_reassign_running",
    "slabs_moved",
    "lru_crawler_running",
    "lru_crawler_starts",
    "lru_maintainer_juggles",
    "malloc_fails",
    "log_worker_dropped",
    "log_worker_written",
    "log_watcher_skipped",
    "log_watcher_sent",
    "log_watchers",
    "unexpected_napi_ids",
    "round_robin_fallback",
    "slab_global_page_pool",
    "crawler_reclaimed",
    "crawler_items_checked",
    "lrutail_reflocked",
    "moves_to_cold",
    "moves_to_warm",
    "moves_within_lru",
    "direct_reclaims",
    "lru_bumps_dropped",
];

fn settings(node: &Node, counters: &Counters) -> Pairs {
    let yes = |yes| if yes { "yes" } else { "no" };
    let mut pairs = vec![
        pair("maxbytes", node.limits().bytes.unwrap_or(u64::MAX)),
        pair("maxconns", counters.connections_max),
        pair("item_size_max", ITEM_BYTES_MAX),
        pair("detail_enabled", yes(counters.prefixes.on)),
    ];
    let (port, interface, socket) = listens(&counters.address);
    pairs.extend([pair("tcpport", port), pair("inter", interface), pair("domain_socket", socket)]);
    pairs.extend(SETTINGS.iter().map(|(name, value)| pair(name, value)));
    pairs
}

/// Port, interface and Unix socket of an address, as memcached shows them.
fn listens(address: &str) -> (&str, &str, &str) {
    match address.strip_prefix("unix:") {
        Some(path) => ("0", "NULL", path),
        None => {
            let (host, port) = address.rsplit_once(':').unwrap_or((address, "0"));
            (port, host, "NULL")
        }
    }
}

/// What cannot be set here, under memcached's names.
const SETTINGS: &[(&str, &str)] = &[
    ("udpport", "0"),
    ("verbosity", "0"),
    ("evictions", "on"),
    ("shutdown_command", "no"),
    ("stat_key_prefix", ":"),
    ("cas_enabled", "yes"),
    ("binding_protocol", "auto-negotiate"),
    ("auth_enabled_sasl", "no"),
    ("auth_enabled_ascii", "no"),
    ("maxconns_fast", "yes"),
    ("slab_reassign", "no"),
    ("slab_automove", "0"),
    ("lru_crawler", "no"),
    ("tail_repair_time", "0"),
    ("flush_enabled", "yes"),
    ("dump_enabled", "yes"),
    ("lru_maintainer_thread", "no"),
    ("lru_segmented", "no"),
    ("temp_lru", "no"),
    ("idle_timeout", "0"),
    ("track_sizes", "no"),
    ("ssl_enabled", "no"),
];

fn items(node: &Node, counters: &Counters, now: Time) -> Pairs {
    if node.is_empty() {
        return Vec::new();
    }
    let tally = node.tally();
    let oldest = node.entries(now).next().map_or(0, |entry| node.idle_seconds(now, entry));
    let numbers: [(&str, u64); 10] = [
        ("number", node.len() as u64),
        ("age", u64::try_from(oldest).unwrap_or(0)),
        ("mem_requested", node.bytes()),
        ("evicted", counters.evictions()),
        ("evicted_nonzero", tally.evicted_nonzero),
        ("outofmemory", 0),
        ("reclaimed", tally.reclaimed),
        ("expired_unfetched", tally.expired_unfetched),
        ("evicted_unfetched", tally.evicted_unfetched),
        ("evicted_active", tally.evicted_active),
    ];
    numbers.iter().map(|(name, value)| pair(&format!("items:{CLASS}:{name}"), value)).collect()
}

/// The counters that memcached keeps for each class, in its order.
const OF_CLASS: &[&str] = &[
    "get_hits",
    "cmd_set",
    "delete_hits",
    "incr_hits",
    "decr_hits",
    "cas_hits",
    "cas_badval",
    "touch_hits",
];

fn slabs(node: &Node, counters: &Counters) -> Pairs {
    let mut pairs = Vec::new();
    if !node.is_empty() {
        pairs.push(pair(&format!("{CLASS}:used_chunks"), node.len()));
        let list = counters.list();
        for name in OF_CLASS {
            let counted = list.iter().find(|(counter, _)| counter == name);
            pairs.extend(counted.map(|(_, value)| pair(&format!("{CLASS}:{name}"), value)));
        }
    }
    pairs.push(pair("active_slabs", u8::from(!node.is_empty())));
    pairs.push(pair("total_malloced", node.bytes()));
    pairs
}

/// `stats cachedump`: the newest items first.
fn cache_dump(node: &Node, now: Time, class: u32, limit: u32, out: &mut Vec<u8>) {
    let start = out.len();
    let limit = if limit == 0 { usize::MAX } else { limit as usize };
    let mut newest: Vec<&Entry> = node.entries(now).collect();
    newest.reverse();
    let shown = if class == CLASS { limit } else { 0 };
    for entry in newest.into_iter().take(shown) {
        let expires = node.expires_at(now, entry).unwrap_or(0);
        out.extend_from_slice(b"ITEM ");
        out.extend_from_slice(entry.key.as_bytes());
        render::line(out, &format!(" [{} b; {expires} s]", entry.value.len()));
        if out.len() - start > DUMP_BYTES_MAX {
            break;
        }
    }
    render::line(out, "END");
}

/// `lru_crawler metadump`: a line for each item, that ends without a carriage return, as
/// there.
fn meta_dump(node: &Node, now: Time, out: &mut Vec<u8>) {
    for entry in node.entries(now) {
        let expires = node.expires_at(now, entry).unwrap_or(-1);
        let accessed = node.unix_seconds(now) - node.idle_seconds(now, entry);
        let fetched = if entry.fetched { "yes" } else { "no" };
        let line = format!(
            "key={} exp={expires} la={accessed} cas={} fetch={fetched} cls={CLASS} size={}\n",
            escaped(&entry.key),
            entry.cas,
            entry.bytes(),
        );
        out.extend_from_slice(line.as_bytes());
    }
    render::line(out, "END");
}

/// A key as in an address (RFC 3986): what is not unreserved is shown in hexadecimal.
fn escaped(key: &Key) -> String {
    let mut text = String::new();
    for byte in key.as_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(*byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

fn detail_dump(counters: &Counters, framing: &Framing, out: &mut Vec<u8>) {
    let text = counters.prefixes.dump();
    match framing {
        Framing::Binary(framing) => {
            let text = String::from_utf8_lossy(&text).into_owned();
            binary_reply::stats(framing, &[("detailed".to_owned(), text)], out);
        }
        _ => out.extend_from_slice(&text),
    }
}
