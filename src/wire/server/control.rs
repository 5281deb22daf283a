//! The control port: HTTP and JSON.
//!
//! | request | does |
//! |---|---|
//! | `GET /` | what is served, and this list |
//! | `GET /faults` | the armed faults, how often each matched and struck |
//! | `POST /faults` | arms the fault in the body, written as in a scenario |
//! | `DELETE /faults`, `DELETE /faults/ID` | disarms all, or one |
//! | `POST /clock` | `{"do": "freeze" / "thaw" / "advance", "by": "10s"}` |
//! | `POST /evict` | `{"key": "...", "node": 0}` |
//! | `POST /flush` | `{"node": 0}`: as `flush_all` does |
//! | `POST /restart` | `{"node": 0, "warm": false}` |
//! | `GET /items` | what the nodes hold, and which connection's which command installed it |
//! | `GET /steps` | each step as it comes, one JSON line each, until the reader hangs up |
//!
//! Clocks are those of all nodes. Errors are 4xx with `{"error": ...}`.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};

use super::http::{self, HttpReply, HttpRequest};
use super::shared::Shared;
use super::world::{arm, happen};
use crate::backend::memcached_model::{Entry, VERSION};
use crate::fault::{Fault, What};
use crate::step::{Key, Remaining};
use crate::time::parse_duration;

const PATHS: [&str; 8] =
    ["/", "/faults", "/clock", "/evict", "/flush", "/restart", "/items", "/steps"];

/// Answers until told to stop.
pub(super) async fn accept(
    shared: Arc<Shared>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let accepted = tokio::select! {
            _ = stop.changed() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                let (shared, mut stop) = (shared.clone(), stop.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        // How it ends concerns the peer only.
                        _ = answer(shared, stream) => {}
                        _ = stop.changed() => {}
                    }
                });
            }
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
        }
    }
}

async fn answer(shared: Arc<Shared>, mut stream: TcpStream) -> std::io::Result<()> {
    let reply = match http::read(&mut stream).await? {
        Err(reply) => reply,
        Ok(request) if (request.method.as_str(), request.path.as_str()) == ("GET", "/steps") => {
            return stream_steps(&shared, stream).await;
        }
        Ok(request) => route(&shared, &request),
    };
    http::write(&mut stream, &reply).await
}

async fn stream_steps(shared: &Shared, mut stream: TcpStream) -> std::io::Result<()> {
    let mut steps = shared.steps.subscribe();
    http::begin_lines(&mut stream).await?;
    loop {
        match steps.recv().await {
            Ok(line) => stream.write_all(line.as_bytes()).await?,
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                let line = json!({ "type": "lost", "steps": lost }).to_string() + "\n";
                stream.write_all(line.as_bytes()).await?;
            }
            Err(broadcast::error::RecvError::Closed) => return Ok(()),
        }
    }
}

fn route(shared: &Arc<Shared>, request: &HttpRequest) -> HttpReply {
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => HttpReply::ok(state(shared)),
        ("GET", "/faults") => HttpReply::ok(json!({ "faults": shared.rules().list() })),
        ("POST", "/faults") => with(request, |fault: Fault| add(shared, fault)),
        ("DELETE", "/faults") => {
            shared.rules().clear();
            shared.update_armed();
            HttpReply::ok(json!({ "faults": [] }))
        }
        ("DELETE", path) if path.starts_with("/faults/") => remove(shared, &path[8..]),
        ("POST", "/clock") => with(request, |change: ClockChange| move_clock(shared, &change)),
        ("POST", "/evict") => with(request, |evict: Evict| self::evict(shared, evict)),
        ("POST", "/flush") => with(request, |on: OnNode| flush(shared, &on)),
        ("POST", "/restart") => with(request, |restart: Restart| self::restart(shared, &restart)),
        ("GET", "/items") => HttpReply::ok(items(shared)),
        (method, path) if PATHS.contains(&path) => {
            HttpReply::error(405, format!("`{path}` does not take `{method}`"))
        }
        (_, path) => {
            let paths = PATHS.join(", ");
            HttpReply::error(404, format!("there is no `{path}`; there are {paths}"))
        }
    }
}

/// Reads the body and goes on; an empty body is an empty object.
fn with<T: DeserializeOwned>(request: &HttpRequest, go: impl FnOnce(T) -> HttpReply) -> HttpReply {
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { &request.body };
    match serde_json::from_slice(body) {
        Ok(value) => go(value),
        Err(error) => HttpReply::error(422, format!("the body is not as expected: {error}")),
    }
}

fn state(shared: &Shared) -> Value {
    let now = shared.clock.now();
    let nodes: Vec<Value> = shared.nodes.iter().map(|state| {
        let node = state.lock();
        json!({ "items": node.len(), "bytes": node.bytes(), "uptime": node.uptime_seconds(now) })
    }).collect();
    json!({
        "server": "staleproof",
        "like": format!("memcached {VERSION}"),
        "nodes": nodes,
        "connections": shared.connections.load(Ordering::Relaxed),
        "steps": shared.last_step.load(Ordering::Relaxed),
        "frozen": shared.clock.is_frozen(),
        "paths": PATHS,
    })
}

fn add(shared: &Arc<Shared>, fault: Fault) -> HttpReply {
    match arm(shared, fault) {
        Ok(id) => HttpReply { status: 201, body: json!({ "id": id }) },
        Err(wrong) => {
            let problem = format!("`{}`: {}", wrong.field, wrong.problem);
            HttpReply { status: 422, body: json!({ "error": problem, "field": wrong.field }) }
        }
    }
}

fn remove(shared: &Shared, id: &str) -> HttpReply {
    let removed = id.parse().is_ok_and(|id| shared.rules().remove(id));
    shared.update_armed();
    if removed {
        HttpReply::ok(json!({ "removed": id }))
    } else {
        HttpReply::error(404, format!("there is no fault `{id}`"))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClockChange {
    #[serde(rename = "do")]
    what: ClockVerb,
    by: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum ClockVerb {
    Freeze,
    Thaw,
    Advance,
}

fn move_clock(shared: &Shared, change: &ClockChange) -> HttpReply {
    match (&change.what, &change.by) {
        (ClockVerb::Advance, Some(by)) => match parse_duration(by) {
            Ok(by) => shared.clock.advance(by),
            Err(problem) => return HttpReply::error(422, format!("`by`: {problem}")),
        },
        (ClockVerb::Advance, None) => {
            return HttpReply::error(422, "say by how much, as in `\"by\": \"10s\"`");
        }
        (_, Some(_)) => return HttpReply::error(422, "`by` belongs to `advance`"),
        (ClockVerb::Freeze, None) => shared.clock.freeze(),
        (ClockVerb::Thaw, None) => shared.clock.thaw(),
    }
    let now = shared.clock.now().0;
    HttpReply::ok(json!({ "frozen": shared.clock.is_frozen(), "now_ns": now }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OnNode {
    #[serde(default)]
    node: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Evict {
    key: String,
    #[serde(default)]
    node: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Restart {
    #[serde(default)]
    node: usize,
    #[serde(default)]
    warm: bool,
}

fn no_node(node: usize) -> HttpReply {
    HttpReply::error(404, format!("there is no node {node}"))
}

fn evict(shared: &Shared, evict: Evict) -> HttpReply {
    let Some(state) = shared.nodes.get(evict.node) else { return no_node(evict.node) };
    let evicted = state.lock().evict(shared.clock.now(), &Key::from(evict.key));
    HttpReply::ok(json!({ "evicted": evicted }))
}

fn flush(shared: &Shared, on: &OnNode) -> HttpReply {
    if on.node >= shared.nodes.len() {
        return no_node(on.node);
    }
    happen(shared, on.node, What::FlushNode, 0, None);
    HttpReply::ok(json!({ "flushed": on.node }))
}

fn restart(shared: &Shared, restart: &Restart) -> HttpReply {
    let Some(state) = shared.nodes.get(restart.node) else { return no_node(restart.node) };
    state.restart(shared.clock.now(), restart.warm);
    HttpReply::ok(json!({ "restarted": restart.node, "warm": restart.warm }))
}

fn items(shared: &Shared) -> Value {
    let now = shared.clock.now();
    let nodes = shared.nodes.iter().map(|state| {
        let node = state.lock();
        let item = |entry: &Entry| item(entry, node.remaining_of(now, entry));
        Value::from_iter(node.entries(now).map(item))
    });
    json!({ "nodes": Value::from_iter(nodes) })
}

fn item(entry: &Entry, remaining: Remaining) -> Value {
    let seconds = match remaining {
        Remaining::Never => None,
        Remaining::Seconds(seconds) => Some(seconds),
    };
    let mut item = json!({
        "key": entry.key.to_string(),
        "flags": entry.flags,
        "cas": entry.cas,
        "expires_in_seconds": seconds,
        "stale": entry.stale,
        "won": entry.won,
        "fetched": entry.fetched,
        "installed_by": {
            "step": entry.origin.step.0,
            "connection": entry.origin.op.client().0,
            "command": entry.origin.op.number(),
        },
    });
    match std::str::from_utf8(&entry.value) {
        Ok(text) => item["value"] = json!(text),
        Err(_) => item["value_base64"] = json!(STANDARD.encode(&entry.value)),
    }
    item
}
