//! Real memcached servers as the cache, through the `memcache` crate's meta connection.
//!
//! One connection per client connection, so that what a client sends stays in order. The
//! classic commands are sent as their meta equivalents; where these differ, the server does
//! what the meta command does: an oversize `cas` or `replace` removes the old item.

use std::collections::hash_map::Entry;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use memcache::exp::{Error, MetaCommand, MetaConnection, MetaOp, MetaResponse, ReturnCode};
use rustc_hash::FxHashMap;

use super::{BackendError, Cache, Clock, Origin};
use crate::step::{
    CacheCommand, CacheRefusal, CacheReply, ConnectionId, Direction, Footprint, Item, Key,
    MetaArithmetic, MetaDelete, MetaGet, MetaMode, MetaSet, NodeId, Remaining, Ttl, Verb, Win,
};
use crate::time::Time;

/// A server that does not answer for so long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// Connections to real servers.
pub struct Memcached {
    servers: Vec<String>,
    versions: Vec<String>,
    connections: FxHashMap<(ConnectionId, NodeId), MetaConnection>,
}

impl Memcached {
    /// Connects to servers given as `host:port`, and asks their versions.
    pub fn connect(servers: &[String]) -> Result<Memcached, BackendError> {
        let versions: Result<Vec<String>, BackendError> = servers
            .iter()
            .map(|server| {
                let reply = text_command(server, "version")?;
                match reply.trim().strip_prefix("VERSION ") {
                    Some(version) => Ok(version.to_owned()),
                    None => Err(dead(server, "it does not speak memcached's text protocol")),
                }
            })
            .collect();
        let connections = FxHashMap::default();
        let mut cache = Memcached { servers: servers.to_vec(), versions: versions?, connections };
        for node in 0..servers.len() {
            cache.check_meta(NodeId(node as u16))?;
        }
        Ok(cache)
    }

    /// Servers before 1.6 do not know the meta commands.
    fn check_meta(&mut self, node: NodeId) -> Result<(), BackendError> {
        let noop = MetaCommand::new(MetaOp::Noop, Vec::new());
        match self.exchange(node, ConnectionId(u32::MAX), &noop)? {
            Ok(response) if response.rc() == ReturnCode::Mn => Ok(()),
            _ => Err(dead(
                self.server(node),
                "it does not know the meta commands; memcached 1.6 or newer is needed",
            )),
        }
    }

    fn server(&self, node: NodeId) -> &str {
        &self.servers[usize::from(node.0)]
    }

    /// Sends a command; the inner error is the server's own answer.
    fn exchange(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        command: &MetaCommand,
    ) -> Result<Result<MetaResponse, String>, BackendError> {
        let server = &self.servers[usize::from(node.0)];
        let broken = |error: &Error| dead(server, &error.to_string());
        let open = match self.connections.entry((connection, node)) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let mut opened =
                    MetaConnection::connect(server.as_str()).map_err(|e| broken(&e))?;
                opened.set_io_timeout(Some(DEAD_AFTER));
                place.insert(opened)
            }
        };
        match open.execute(command) {
            Ok(response) => Ok(Ok(response)),
            Err(Error::Server(message) | Error::Rejected(message)) => Ok(Err(message)),
            Err(error) => Err(broken(&error)),
        }
    }
}

fn dead(server: &str, problem: &str) -> BackendError {
    BackendError {
        server: format!("memcached://{server}"),
        problem: format!("{problem}; is memcached running there?"),
    }
}

/// Sends one line of the text protocol on a connection of its own.
fn text_command(server: &str, line: &str) -> Result<String, BackendError> {
    let talk = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(server)?;
        stream.set_read_timeout(Some(DEAD_AFTER))?;
        stream.set_write_timeout(Some(DEAD_AFTER))?;
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        let mut reply = Vec::new();
        let mut byte = [0];
        while !reply.ends_with(b"\n") && reply.len() < 1024 && stream.read(&mut byte)? == 1 {
            reply.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&reply).into_owned())
    };
    talk().map_err(|error| dead(server, &error.to_string()))
}

impl Cache for Memcached {
    fn clock(&self) -> Clock {
        Clock::Real
    }

    fn describe(&self) -> String {
        let mut versions = self.versions.clone();
        versions.dedup();
        format!("memcached {}", versions.join(" and "))
    }

    fn execute(
        &mut self,
        _: Time,
        node: NodeId,
        connection: ConnectionId,
        _: Origin,
        command: &CacheCommand,
        _: &mut Footprint,
    ) -> Result<CacheReply, BackendError> {
        let meta = match command {
            CacheCommand::FlushAll { .. } => {
                text_command(self.server(node), "flush_all")?;
                return Ok(CacheReply::Ok);
            }
            CacheCommand::Version => {
                return Ok(CacheReply::Version(self.versions[usize::from(node.0)].clone()));
            }
            command => encode(command),
        };
        Ok(match self.exchange(node, connection, &meta)? {
            Ok(response) => decode(command, response),
            Err(message) => CacheReply::Refusal(refusal(&message)),
        })
    }

    fn close(&mut self, connection: ConnectionId) {
        self.connections.retain(|(of, _), _| *of != connection);
    }

    fn evict(&mut self, _: Time, node: NodeId, key: &Key) -> Result<bool, BackendError> {
        // A server cannot be told to evict; an administrative delete looks the same.
        let delete = MetaCommand::new(MetaOp::Delete, key.as_bytes());
        let reply = self.exchange(node, ConnectionId(u32::MAX), &delete)?;
        Ok(reply.is_ok_and(|response| response.rc() == ReturnCode::Hd))
    }

    fn restart(&mut self, _: Time, node: NodeId) -> Result<(), BackendError> {
        // The server belongs to somebody else: it is emptied, and goes on.
        text_command(self.server(node), "flush_all").map(|_| ())
    }

    fn jump(&mut self, _: Time, _: NodeId, _: i64) -> Result<(), BackendError> {
        // It cannot be done; the scenario counts as not tested.
        Ok(())
    }
}

/// What a get asks for: value, flags, CAS id, remaining time.
const GET_FLAGS: [&str; 4] = ["v", "f", "c", "t"];

fn encode(command: &CacheCommand) -> MetaCommand {
    match command {
        CacheCommand::Get { key } => get(key),
        CacheCommand::GetAndTouch { key, ttl } => get(key).flag(format!("T{}", ttl.0)),
        CacheCommand::Touch { key, ttl } => {
            MetaCommand::new(MetaOp::Get, key.as_bytes()).flag(format!("T{}", ttl.0))
        }
        CacheCommand::Store { verb, key, value, flags, ttl } => {
            let (mode, cas) = match verb {
                Verb::Set => (MetaMode::Set, None),
                Verb::Add => (MetaMode::Add, None),
                Verb::Replace => (MetaMode::Replace, None),
                Verb::Append => (MetaMode::Append, None),
                Verb::Prepend => (MetaMode::Prepend, None),
                Verb::Cas(token) => (MetaMode::Set, Some(*token)),
            };
            let (key, value) = (key.clone(), value.clone());
            let (flags, ttl) = (*flags, *ttl);
            let (invalidate, vivify) = (false, None);
            set(&MetaSet { key, value, flags, ttl, mode, cas, invalidate, vivify })
        }
        CacheCommand::Delete { key } => MetaCommand::new(MetaOp::Delete, key.as_bytes()),
        CacheCommand::Arithmetic { direction, key, delta } => arithmetic(&MetaArithmetic {
            key: key.clone(),
            direction: *direction,
            delta: *delta,
            vivify: None,
            initial: 0,
            ttl: None,
            cas: None,
        }),
        CacheCommand::MetaGet(meta) => meta_get(meta),
        CacheCommand::MetaSet(meta) => set(meta),
        CacheCommand::MetaDelete(meta) => delete(meta),
        CacheCommand::MetaArithmetic(meta) => arithmetic(meta),
        CacheCommand::FlushAll { .. } | CacheCommand::Version => {
            unreachable!("these are not meta commands and are sent as text")
        }
    }
}

fn get(key: &Key) -> MetaCommand {
    GET_FLAGS.iter().fold(MetaCommand::new(MetaOp::Get, key.as_bytes()), |c, f| c.flag(*f))
}

fn meta_get(meta: &MetaGet) -> MetaCommand {
    let mut command = get(&meta.key);
    if meta.peek {
        return command.flag("u");
    }
    for (flag, ttl) in [("N", meta.vivify), ("R", meta.recache), ("T", meta.touch)] {
        if let Some(Ttl(seconds)) = ttl {
            command = command.flag(format!("{flag}{seconds}"));
        }
    }
    command
}

fn set(meta: &MetaSet) -> MetaCommand {
    let mode = match meta.mode {
        MetaMode::Set => "MS",
        MetaMode::Add => "ME",
        MetaMode::Replace => "MR",
        MetaMode::Append => "MA",
        MetaMode::Prepend => "MP",
    };
    let mut command = MetaCommand::new(MetaOp::Set, meta.key.as_bytes())
        .flag(mode)
        .flag(format!("F{}", meta.flags))
        .flag(format!("T{}", meta.ttl.0));
    if let Some(token) = meta.cas {
        command = command.flag(format!("C{token}"));
    }
    if meta.invalidate {
        command = command.flag("I");
    }
    if let Some(Ttl(seconds)) = meta.vivify {
        command = command.flag(format!("N{seconds}"));
    }
    command.value(meta.value.to_vec())
}

fn delete(meta: &MetaDelete) -> MetaCommand {
    let mut command = MetaCommand::new(MetaOp::Delete, meta.key.as_bytes());
    if let Some(token) = meta.cas {
        command = command.flag(format!("C{token}"));
    }
    if meta.invalidate {
        command = command.flag("I");
    }
    if let Some(Ttl(seconds)) = meta.ttl {
        command = command.flag(format!("T{seconds}"));
    }
    command
}

fn arithmetic(meta: &MetaArithmetic) -> MetaCommand {
    let mode = match meta.direction {
        Direction::Increment => "MI",
        Direction::Decrement => "MD",
    };
    let mut command = MetaCommand::new(MetaOp::Arithmetic, meta.key.as_bytes())
        .flag(mode)
        .flag(format!("D{}", meta.delta))
        .flag("v");
    if let Some(Ttl(seconds)) = meta.vivify {
        command = command.flag(format!("N{seconds}")).flag(format!("J{}", meta.initial));
    }
    if let Some(Ttl(seconds)) = meta.ttl {
        command = command.flag(format!("T{seconds}"));
    }
    if let Some(token) = meta.cas {
        command = command.flag(format!("C{token}"));
    }
    command
}

fn decode(command: &CacheCommand, response: MetaResponse) -> CacheReply {
    use CacheCommand::{Arithmetic, Delete, MetaArithmetic, MetaDelete, Touch};
    match (response.rc(), command) {
        (ReturnCode::Va, Arithmetic { .. } | MetaArithmetic(_)) => {
            let digits = response.into_value().unwrap_or_default();
            let text = String::from_utf8_lossy(&digits).trim().parse();
            text.map_or(CacheReply::Refusal(CacheRefusal::NotNumeric), CacheReply::Number)
        }
        (ReturnCode::Va, _) => CacheReply::Found(item(response)),
        (ReturnCode::Hd, Delete { .. } | MetaDelete(_)) => CacheReply::Deleted,
        (ReturnCode::Hd, Touch { .. }) => CacheReply::Touched,
        (ReturnCode::Hd, _) => CacheReply::Stored,
        (ReturnCode::En, Touch { .. }) => CacheReply::NotFound,
        (ReturnCode::En, _) => CacheReply::Miss,
        (ReturnCode::Ns, _) => CacheReply::NotStored,
        (ReturnCode::Ex, _) => CacheReply::Exists,
        (ReturnCode::Nf, _) => CacheReply::NotFound,
        _ => CacheReply::Ok,
    }
}

fn item(response: MetaResponse) -> Item {
    let mut item = Item {
        value: Bytes::new(),
        flags: 0,
        cas: 0,
        remaining: Remaining::Never,
        stale: false,
        win: Win::None,
        fetched: false,
        idle_seconds: 0,
    };
    for token in response.flags() {
        let number = || std::str::from_utf8(&token[1..]).ok().and_then(|n| n.parse::<i64>().ok());
        match token.first() {
            Some(b'f') => item.flags = number().unwrap_or(0) as u32,
            Some(b'c') => item.cas = number().unwrap_or(0) as u64,
            Some(b't') => {
                item.remaining = match number() {
                    Some(seconds) if seconds >= 0 => Remaining::Seconds(seconds as u32),
                    _ => Remaining::Never,
                }
            }
            Some(b'X') => item.stale = true,
            Some(b'W') => item.win = Win::Won,
            Some(b'Z') => item.win = Win::Lost,
            _ => {}
        }
    }
    item.value = Bytes::from(response.into_value().unwrap_or_default());
    item
}

fn refusal(message: &str) -> CacheRefusal {
    match message {
        m if m.contains("too large") => CacheRefusal::TooLarge,
        m if m.contains("memory") => CacheRefusal::OutOfMemory,
        m if m.contains("numeric") => CacheRefusal::NotNumeric,
        _ => CacheRefusal::BadCommandLine,
    }
}
