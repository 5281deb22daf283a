//! Real memcached servers as the cache: somebody's, or started here.
//!
//! One connection per client connection, so that what a client sends stays in order. Commands
//! go through the `memcache` crate's meta connection, and classic ones that it has no equal for
//! as text (`text`); or through its classic client where that is asked for ([`Protocol`]). What
//! only the meta protocol has goes through a meta connection beside it. Time is one of three
//! kinds: servers started here under libfaketime follow the scheduler's clock to the second
//! (`clock`); a pace lets real time pass, and looks up when a server's seconds begin; else nothing
//! that needs time to pass is tested.

pub(crate) mod bare;
mod classic;
mod clock;
mod marks;
pub(crate) mod meta;
mod outlived;
pub mod own;
mod pace;
mod peek;
pub(crate) mod text;

use std::collections::hash_map::Entry;
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use memcache::exp::{Error, MetaCommand, MetaConnection, MetaOp, MetaResponse, ReturnCode};
use rustc_hash::FxHashMap;

use self::bare::Bare;
use self::clock::NodeClock;
use self::marks::Marks;
use self::outlived::Ends;
use self::own::{Options, OwnServer};
use self::pace::Pace;
use super::{BackendError, Cache, Clock, Means, Origin};
use crate::step::{CacheCommand, CacheReply, ConnectionId, Footprint, Key, Location, NodeId};
use crate::time::Time;

/// A server that does not answer for so long is dead.
const DEAD_AFTER: Duration = Duration::from_secs(5);

/// The client and protocol that commands go through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// The `memcache` crate's meta connection.
    #[default]
    Meta,
    /// Its classic client, in text.
    Ascii,
    /// Its classic client, in the binary protocol, which is its default.
    Binary,
}

impl Protocol {
    /// The name in URLs.
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Meta => "meta",
            Protocol::Ascii => "ascii",
            Protocol::Binary => "binary",
        }
    }
}

/// Connections to real servers.
pub struct Memcached {
    nodes: Vec<Node>,
    protocol: Protocol,
    clock: Clock,
    pace: Pace,
    links: FxHashMap<(ConnectionId, NodeId), MetaConnection>,
    texts: FxHashMap<(ConnectionId, NodeId), Bare>,
    classic: FxHashMap<(ConnectionId, NodeId), memcache::Client>,
    untested: Vec<String>,
}

struct Node {
    address: String,
    version: String,
    /// The process, where it is ours.
    own: Option<OwnServer>,
    /// `None` where nobody knows when its seconds begin.
    clock: Option<NodeClock>,
    marks: Marks,
    ends: Ends,
}

impl Node {
    fn new(address: String, own: Option<OwnServer>) -> Result<Node, BackendError> {
        let version = version(&address)?;
        Ok(Node { address, version, own, clock: None, marks: Marks::default(), ends: Ends::new() })
    }
}

impl Memcached {
    /// Connects to servers given as `host:port`, and asks their versions.
    pub fn connect(servers: &[String]) -> Result<Memcached, BackendError> {
        let nodes: Result<Vec<Node>, BackendError> =
            servers.iter().map(|address| Node::new(address.clone(), None)).collect();
        Memcached::with(nodes?, Clock::Real)
    }

    /// Starts a server for each phase, which is how far its clock is into its second at the
    /// start of the run, in nanoseconds. They end with this value.
    pub fn start(binary: &Path, phases: &[u64]) -> Result<Memcached, BackendError> {
        let start = |_| {
            let own = OwnServer::start(&Options::new(binary))?;
            Node::new(own.address().to_owned(), Some(own))
        };
        let nodes: Result<Vec<Node>, BackendError> = phases.iter().map(start).collect();
        let mut nodes = nodes?;
        let follows = nodes.iter().all(|node| node.own.as_ref().is_some_and(OwnServer::follows));
        if follows {
            for (node, phase) in nodes.iter_mut().zip(phases) {
                node.clock = Some(NodeClock::new(*phase));
            }
        }
        Memcached::with(nodes, if follows { Clock::Faketime } else { Clock::Real })
    }

    fn with(nodes: Vec<Node>, clock: Clock) -> Result<Memcached, BackendError> {
        let mut cache = Memcached {
            nodes,
            protocol: Protocol::default(),
            clock,
            pace: Pace::default(),
            links: FxHashMap::default(),
            texts: FxHashMap::default(),
            classic: FxHashMap::default(),
            untested: Vec::new(),
        };
        for node in 0..cache.nodes.len() {
            cache.check_meta(NodeId(node as u16))?;
        }
        Ok(cache)
    }

    /// The same through another client.
    pub fn with_protocol(mut self, protocol: Protocol) -> Memcached {
        self.protocol = protocol;
        self
    }

    /// The same, with every step no earlier in real time than in the scheduler's. The run begins
    /// when the first node's clock is so many nanoseconds into its second.
    pub fn paced(mut self, phase: u64) -> Memcached {
        if self.clock == Clock::Real {
            self.clock = Clock::Paced;
            self.pace.phase = phase;
        }
        self
    }

    /// Servers before 1.6 do not know the meta commands.
    fn check_meta(&mut self, node: NodeId) -> Result<(), BackendError> {
        let noop = MetaCommand::new(MetaOp::Noop, Vec::new());
        match self.exchange(node, ConnectionId(u32::MAX), &noop)? {
            Ok(response) if response.rc() == ReturnCode::Mn => Ok(()),
            _ => Err(dead(
                self.server(node),
                &format!(
                    "memcached {} does not know the meta commands; 1.6 or newer is needed",
                    self.nodes[usize::from(node.0)].version
                ),
            )),
        }
    }

    fn server(&self, node: NodeId) -> &str {
        &self.nodes[usize::from(node.0)].address
    }

    /// Sends a command; the inner error is the server's own answer.
    fn exchange(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        command: &MetaCommand,
    ) -> Result<Result<MetaResponse, String>, BackendError> {
        let server = &self.nodes[usize::from(node.0)].address;
        let broken = |error: &Error| dead(server, &unreachable_text(&error.to_string()));
        let open = match self.links.entry((connection, node)) {
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
            // A key that no server takes is refused before it is sent.
            Err(Error::Usage(said)) => Ok(Err(said.to_owned())),
            Err(error) => Err(broken(&error)),
        }
    }

    /// Sends a classic command as text.
    fn text(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        command: &CacheCommand,
    ) -> Result<CacheReply, BackendError> {
        let server = &self.nodes[usize::from(node.0)].address;
        let broken = |error: &std::io::Error| dead(server, &unreachable_text(&error.to_string()));
        let link = match self.texts.entry((connection, node)) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                place.insert(Bare::connect(server, DEAD_AFTER).map_err(|e| broken(&e))?)
            }
        };
        let mut request = Vec::new();
        text::encode(command, &mut request);
        let reply = link.exchange(&request, text::read).map_err(|error| broken(&error))?;
        if matches!(reply, CacheReply::Refusal(_)) {
            // The server may take what was left of the value for commands.
            self.texts.remove(&(connection, node));
        }
        Ok(reply)
    }

    /// The reply of the classic client; `None` when it has no such command.
    fn classic(
        &mut self,
        node: NodeId,
        connection: ConnectionId,
        command: &CacheCommand,
    ) -> Result<Option<CacheReply>, BackendError> {
        let server = &self.nodes[usize::from(node.0)].address;
        let client = match self.classic.entry((connection, node)) {
            Entry::Occupied(open) => open.into_mut(),
            Entry::Vacant(place) => {
                let url = format!(
                    "memcache://{server}?protocol={}&timeout={}",
                    self.protocol.name(),
                    DEAD_AFTER.as_secs()
                );
                // The builder takes the URL's limits away from the connection that it opens first.
                let opened = memcache::Client::builder().add_server(url).and_then(|builder| {
                    let builder = builder.with_read_timeout(DEAD_AFTER);
                    let builder = builder.with_write_timeout(DEAD_AFTER);
                    builder.with_connection_timeout(DEAD_AFTER).build()
                });
                place.insert(opened.map_err(|e| dead(server, &unreachable_text(&e.to_string())))?)
            }
        };
        match classic::execute(client, command) {
            None => Ok(None),
            Some(Ok(reply)) => Ok(Some(reply)),
            Some(Err(error)) => Err(dead(server, &unreachable_text(&error.to_string()))),
        }
    }

    /// Lets the servers' time be what the scheduler's is.
    fn follow(&mut self, now: Time, node: NodeId) -> Result<(), BackendError> {
        match self.clock {
            Clock::Faketime => {
                let node = &mut self.nodes[usize::from(node.0)];
                let seconds = node.clock.as_mut().map_or(0, |clock| clock.advance(now));
                match &mut node.own {
                    Some(own) if seconds > 0 => own.advance(seconds),
                    _ => Ok(()),
                }
            }
            Clock::Paced => self.keep_pace(now),
            Clock::Virtual | Clock::Real => Ok(()),
        }
    }

    fn disconnect(&mut self, node: NodeId) {
        self.links.retain(|(_, of), _| *of != node);
        self.texts.retain(|(_, of), _| *of != node);
        self.classic.retain(|(_, of), _| *of != node);
    }

    /// A number of a server's `stats`.
    fn count(&self, node: NodeId, name: &str) -> Result<i64, BackendError> {
        let server = self.server(node);
        let told = own::stat(server, name);
        told.map(Option::unwrap_or_default)
            .map_err(|error| dead(server, &unreachable_text(&error.to_string())))
    }

    fn not_tested(&mut self, what: &str) {
        if !self.untested.iter().any(|known| known == what) {
            self.untested.push(what.to_owned());
        }
    }
}

fn unreachable_text(problem: &str) -> String {
    format!("{problem}; is memcached running there, and not stopped?")
}

fn dead(server: &str, problem: &str) -> BackendError {
    BackendError { server: format!("memcached://{server}"), problem: problem.to_owned() }
}

fn version(server: &str) -> Result<String, BackendError> {
    let reply = text_command(server, "version")?;
    match reply.trim().strip_prefix("VERSION ") {
        Some(version) => Ok(version.to_owned()),
        None => Err(dead(
            server,
            "it does not speak memcached's text protocol; does something else listen on that \
             port?",
        )),
    }
}

/// Sends one line of the text protocol on a connection of its own.
pub(crate) fn text_command(server: &str, line: &str) -> Result<String, BackendError> {
    let talk = || -> std::io::Result<String> {
        let mut stream = bare::socket(server, DEAD_AFTER)?;
        stream.write_all(format!("{line}\r\n").as_bytes())?;
        let mut reply = Vec::new();
        let mut byte = [0];
        while !reply.ends_with(b"\n") && reply.len() < 1024 && stream.read(&mut byte)? == 1 {
            reply.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&reply).into_owned())
    };
    talk().map_err(|error| dead(server, &unreachable_text(&error.to_string())))
}

impl Cache for Memcached {
    fn clock(&self) -> Clock {
        self.clock
    }

    fn describe(&self) -> String {
        let mut versions: Vec<&str> = self.nodes.iter().map(|node| &*node.version).collect();
        versions.dedup();
        let client = match self.protocol {
            Protocol::Meta => String::new(),
            classic => format!(", classic {} client", classic.name()),
        };
        let nodes = match self.nodes.len() {
            1 => String::new(),
            nodes => format!(", {nodes} nodes"),
        };
        format!("memcached {}{client}{nodes}", versions.join(" and "))
    }

    fn execute(
        &mut self,
        now: Time,
        node: NodeId,
        connection: ConnectionId,
        _: Origin,
        command: &CacheCommand,
        footprint: &mut Footprint,
    ) -> Result<CacheReply, BackendError> {
        self.follow(now, node)?;
        // What it touches on a real server cannot be seen: anything on that node.
        match command.has_effect() {
            true => footprint.write(|| Location::Node(node)),
            false => footprint.read(|| Location::Node(node)),
        }
        let reply = match command {
            CacheCommand::FlushAll { delay } => {
                let line = match delay {
                    None => "flush_all".to_owned(),
                    Some(seconds) => format!("flush_all {seconds}"),
                };
                text_command(self.server(node), &line)?;
                CacheReply::Ok
            }
            CacheCommand::Version => {
                CacheReply::Version(self.nodes[usize::from(node.0)].version.clone())
            }
            CacheCommand::MetaGet(get) if get.peek => {
                self.peek(node, connection, command, &get.key)?
            }
            command => {
                let classic = match self.protocol {
                    Protocol::Meta => None,
                    _ => self.classic(node, connection, command)?,
                };
                match classic {
                    Some(reply) => reply,
                    None if text::differs(command) => self.text(node, connection, command)?,
                    None => {
                        let reply = self.exchange(node, connection, &meta::encode(command))?;
                        meta::reply(command, reply)
                    }
                }
            }
        };
        let at = self.carried_out(now);
        let state = &mut self.nodes[usize::from(node.0)];
        state.marks.note(command, &reply);
        if let Some(clock) = &mut state.clock {
            clock.note(at, command, &reply);
        }
        if self.clock == Clock::Real && state.ends.note(command, &reply) {
            self.not_tested("the run took so long in real time that entries may have expired");
        }
        Ok(reply)
    }

    fn close(&mut self, connection: ConnectionId) {
        self.links.retain(|(of, _), _| *of != connection);
        self.texts.retain(|(of, _), _| *of != connection);
        self.classic.retain(|(of, _), _| *of != connection);
    }

    fn evict(&mut self, now: Time, node: NodeId, key: &Key) -> Result<bool, BackendError> {
        self.follow(now, node)?;
        let delete = MetaCommand::new(MetaOp::Delete, key.as_bytes());
        let reply = self.exchange(node, ConnectionId(u32::MAX), &delete)?;
        let state = &mut self.nodes[usize::from(node.0)];
        state.marks.remove(key);
        state.ends.remove(key);
        Ok(reply.is_ok_and(|response| response.rc() == ReturnCode::Hd))
    }

    fn restart(&mut self, now: Time, node: NodeId) -> Result<bool, BackendError> {
        let place = usize::from(node.0);
        self.nodes[place].marks.clear();
        self.nodes[place].ends.clear();
        if self.nodes[place].own.is_none() {
            // It belongs to somebody else: it is emptied, and goes on.
            let held = self.holds_items(now, node)?;
            text_command(self.server(node), "flush_all")?;
            return Ok(held);
        }
        // Each item that it stored had a CAS number.
        let loses = self.count(node, "total_items")? > 0;
        self.disconnect(node);
        let state = &mut self.nodes[place];
        if let Some(clock) = &mut state.clock {
            clock.restart(now);
        }
        match &mut state.own {
            Some(own) => own.restart_cold().map(|()| loses),
            None => Ok(loses),
        }
    }

    fn holds_items(&mut self, now: Time, node: NodeId) -> Result<bool, BackendError> {
        self.follow(now, node)?;
        Ok(self.count(node, "curr_items")? > 0)
    }

    fn expiry(&self, node: NodeId, key: &Key) -> Option<Time> {
        self.nodes[usize::from(node.0)].clock.as_ref()?.expiry(key)
    }

    fn next_expiry(&self, now: Time) -> Option<Time> {
        let clocks = self.nodes.iter().filter_map(|node| node.clock.as_ref());
        clocks.filter_map(|clock| clock.next_expiry(now)).min()
    }

    fn jump(&mut self, now: Time, node: NodeId, seconds: i64) -> Result<bool, BackendError> {
        if self.clock != Clock::Faketime {
            self.not_tested("a server's clock cannot be made to jump without libfaketime");
            return Ok(false);
        }
        if seconds < 0 {
            self.not_tested("a server's clock cannot be made to jump back");
            return Ok(false);
        }
        self.follow(now, node)?;
        let node = &mut self.nodes[usize::from(node.0)];
        if let Some(clock) = &mut node.clock {
            clock.jump(seconds);
        }
        if let Some(own) = &mut node.own {
            own.advance(seconds)?;
        }
        Ok(seconds != 0)
    }

    fn means(&self) -> Means {
        let own = self.nodes.iter().all(|node| node.own.is_some());
        Means {
            evict: "an administrative delete",
            restart: if own { "SIGKILL and a new process" } else { "flush_all" },
        }
    }

    fn lossy(&self, kind: &str) -> Option<&'static str> {
        classic::lossy(self.protocol, kind)
    }

    fn untested(&self) -> &[String] {
        &self.untested
    }
}
