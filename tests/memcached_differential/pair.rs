//! The real server and the model side by side.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use staleproof::backend::Origin;
use staleproof::backend::memcached_model::{Limits, Node};
use staleproof::step::NodeId;
use staleproof::time::Time;
use staleproof::wire::{Action, Parsed, Session, perform};

use crate::exempt;
use crate::generate::{BINARY, CONNECTIONS, Request, Resolver};
use crate::server::Server;

/// Where the two differ.
#[derive(Debug)]
pub struct Difference {
    pub at: usize,
    pub real: Vec<u8>,
    pub model: Vec<u8>,
}

/// How often each command had each outcome.
pub type Coverage = BTreeMap<(String, String), usize>;

/// Both servers and the connections to them.
pub struct Pair<'a> {
    server: &'a Server,
    streams: Vec<TcpStream>,
    sessions: Vec<Session>,
    pub node: Node,
    pub now: Time,
    run: u64,
    /// The model is told `append` where the real server is told `prepend`.
    pub planted: bool,
    /// Connections that may not yet have let go of the items that they have sent.
    unsettled: [bool; CONNECTIONS],
}

impl<'a> Pair<'a> {
    pub fn new(server: &'a Server) -> Pair<'a> {
        Pair {
            server,
            streams: (0..CONNECTIONS).map(|_| server.connect()).collect(),
            sessions: vec![Session::new(); CONNECTIONS],
            node: Node::new(NodeId(0), Limits::default(), 0),
            now: Time::ZERO,
            run: 0,
            planted: false,
            unsettled: [false; CONNECTIONS],
        }
    }

    /// Both sides forget what was: other keys, no pending flush, the same CAS counter and
    /// the same clock.
    pub fn begin(&mut self) {
        self.run += 1;
        self.streams = (0..CONNECTIONS).map(|_| self.server.connect()).collect();
        self.sessions = vec![Session::new(); CONNECTIONS];
        let stream = &mut self.streams[0];
        stream.write_all(b"flush_all\r\nms marker 0 c\r\n\r\n").expect("memcached reads");
        let mut reply = Vec::new();
        let mut buffer = [0; 128];
        while reply.iter().filter(|byte| **byte == b'\n').count() < 2 {
            let count = stream.read(&mut buffer).expect("memcached answers");
            reply.extend_from_slice(&buffer[..count]);
        }
        let text = String::from_utf8(reply).expect("the reply is text");
        let cas = text.trim().rsplit_once('c').expect("the reply has a CAS id").1;
        let clock = self.server.clock(stream);
        self.now = Time::ZERO;
        self.node = Node::new(NodeId(0), Limits::default(), 0)
            .with_last_cas(cas.parse().expect("a CAS id is a number"))
            .with_epoch(clock.unix - (clock.uptime - 2));
        self.set_uptime(clock.uptime);
        // The mark that the real server's flush has left.
        self.model(0, b"flush_all\r\n");
        self.node = self.node.clone().with_last_cas(cas.parse().expect("as above"));
    }

    /// Lets the model's clock show the same uptime as the real server's.
    pub fn set_uptime(&mut self, uptime: i64) {
        self.now = Time(0) + Duration::from_secs(u64::try_from(uptime - 2).expect("it is up"));
    }

    pub fn run(
        &mut self,
        requests: &[Request],
        mut coverage: Option<&mut Coverage>,
    ) -> Result<(), Difference> {
        self.begin();
        let mut doubtful = false;
        for (at, request) in requests.iter().enumerate() {
            doubtful |= self.is_doubtful(request);
            let outcome = match self.step(request) {
                Ok(outcome) => outcome,
                Err(_) if doubtful => return Ok(()),
                Err((real, model)) => return Err(Difference { at, real, model }),
            };
            if let Some(coverage) = &mut coverage {
                *coverage.entry((request.name.clone(), outcome)).or_default() += 1;
            }
        }
        if requests.iter().any(Request::is_large) {
            let delete = Resolver::new(self.run, &self.node, self.now).delete_all();
            let model = self.model(0, &delete);
            self.real(0, &delete, model.0.len(), model.1);
        }
        Ok(())
    }

    /// Sends one request to both and compares; gives the outcome's name.
    pub fn step(&mut self, request: &Request) -> Result<String, (Vec<u8>, Vec<u8>)> {
        let bytes = Resolver::new(self.run, &self.node, self.now).resolve(request);
        let on = request.connection;
        if request.counts() {
            (0..CONNECTIONS).filter(|other| *other != on).for_each(|other| self.settle(other));
        }
        self.unsettled[on] = true;
        let told = match self.planted && request.name == "prepend" {
            true => [b"append ", &bytes[b"prepend".len()..]].concat(),
            false => bytes.clone(),
        };
        let (model, closed) = self.model(on, &told);
        let as_text = on == BINARY && !self.sessions[on].is_binary();
        let real = self.real(on, &bytes, model.len(), closed);
        if closed {
            self.streams[on] = self.server.connect();
            self.sessions[on] = Session::new();
        }
        if real != model && (on == BINARY || !exempt::equal(&real, &model)) {
            return Err((real, model));
        }
        Ok(if as_text { "as text".to_owned() } else { outcome(on, &real) })
    }

    /// Whether the request counts from a number that memcached cannot read reliably; see
    /// `exempt.rs`.
    pub fn is_doubtful(&self, request: &Request) -> bool {
        let resolver = Resolver::new(self.run, &self.node, self.now);
        let entry = request.key().and_then(|key| self.node.peek(self.now, &resolver.name(key)));
        // Whatever stands behind a blank is not part of the number.
        let is_blank = |byte: &u8| byte.is_ascii_whitespace() || *byte == 0x0b;
        let mut words = entry.iter().flat_map(|entry| entry.value.split(is_blank));
        let word = words.find(|word| !word.is_empty()).and_then(|word| str::from_utf8(word).ok());
        let number = word.and_then(|word| word.parse::<u64>().ok());
        request.counts() && number.is_some_and(|number| number > i64::MAX as u64)
    }

    /// Waits until a connection has let go of the items that it has sent: what another
    /// connection still refers to, a counter does not change in place.
    fn settle(&mut self, on: usize) {
        if !std::mem::take(&mut self.unsettled[on]) {
            return;
        }
        let noop = [&[0x80, 0x0a][..], &[0; 22]].concat();
        let fence = if on == BINARY { noop.as_slice() } else { b"mn\r\n" };
        let (expected, closed) = self.model(on, fence);
        self.real(on, fence, expected.len(), closed);
    }

    /// What the model answers, and whether it closes the connection.
    fn model(&mut self, on: usize, mut bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::new();
        loop {
            let (used, action) = match self.sessions[on].parse(bytes) {
                Parsed::Incomplete(_) => return (out, false),
                Parsed::Done(used, action) => (used, action),
            };
            bytes = &bytes[used..];
            match action {
                Action::Nothing => {}
                Action::Say(reply) => out.extend_from_slice(&reply),
                Action::Run(request) => {
                    let origin = Origin::default();
                    perform(&mut self.node, self.now, origin, &request, &mut out);
                }
                Action::Close(reply) => {
                    out.extend_from_slice(&reply);
                    return (out, true);
                }
                other => panic!("a session does its own swallowing: {other:?}"),
            }
        }
    }

    /// What the real server answers: as many bytes as the model, and none more for a
    /// moment; or everything until it closes the connection.
    fn real(&mut self, on: usize, bytes: &[u8], length: usize, closed: bool) -> Vec<u8> {
        let stream = &mut self.streams[on];
        // A server that closes early may not read everything.
        let _ = stream.write_all(bytes);
        let mut out = Vec::with_capacity(length);
        let mut buffer = [0; 16384];
        let deadline = Instant::now() + Duration::from_secs(2);
        // A number of seconds may have one digit less than the model's.
        let fenced = |out: &[u8]| out.ends_with(b"MN\r\n") && out.len() + 3 > length;
        while (closed || out.len() < length && !fenced(&out)) && Instant::now() < deadline {
            match stream.read(&mut buffer) {
                Ok(0) => {
                    if !closed {
                        out.extend_from_slice(b"<closed>");
                    }
                    return out;
                }
                Ok(count) => out.extend_from_slice(&buffer[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return out,
                Err(error) => {
                    out.extend_from_slice(format!("<{error}>").as_bytes());
                    return out;
                }
            }
        }
        stream.set_nonblocking(true).expect("a socket can be told not to block");
        if let Ok(count @ 1..) = stream.read(&mut buffer) {
            out.extend_from_slice(&buffer[..count]);
        }
        stream.set_nonblocking(false).expect("a socket can be told to block");
        out
    }
}

/// The first word of a reply, or the status of a binary one.
fn outcome(on: usize, reply: &[u8]) -> String {
    if on == BINARY {
        return match reply {
            [0x81, opcode, _, _, _, _, _, status, ..] if *opcode != 0x0a => {
                format!("status {status}")
            }
            _ => "no reply".to_owned(),
        };
    }
    let line = reply.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line).into_owned();
    if line.contains("ERROR") {
        return line;
    }
    let mut words = line.split(' ');
    let first = words.next().unwrap_or_default();
    let marks: Vec<&str> = words.filter(|word| matches!(*word, "W" | "X" | "Z")).collect();
    match first {
        "MN" => "no reply".to_owned(),
        number if number.starts_with(|c: char| c.is_ascii_digit()) => "number".to_owned(),
        word if marks.is_empty() => word.to_owned(),
        word => format!("{word} {}", marks.join(" ")),
    }
}
