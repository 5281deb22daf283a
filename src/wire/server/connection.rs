//! The life of a connection: read, parse, let faults strike, execute, write.
//!
//! A connection reads no more while its replies are not taken, and holds at most one
//! request that is not complete, so a peer can occupy little more than one value.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::watch;
use tokio::time::sleep;

use super::address::Listener;
use super::rules::Strike;
use super::shared::Shared;
use super::world::{happen, node_id};
use crate::backend::Origin;
use crate::fault::{Moment, What};
use crate::operation::{ClientId, OpId};
use crate::step::StepId;
use crate::time::Time;
use crate::wire::perform::{fail, perform_from};
use crate::wire::{Action, Parsed, Request, Session, Work, perform};

/// What is read at once.
const READ_BYTES: usize = 16 << 10;
/// Replies are sent when this much has come together, even if there are more requests.
const REPLY_BYTES: usize = 64 << 10;
/// When the server stops, a peer has so long to take its replies.
const GRACE: Duration = Duration::from_secs(1);
/// What the real server says before it hangs up.
const TOO_MANY: &[u8] = b"ERROR Too many open connections\r\n";

/// Accepts connections until told to stop.
pub(super) async fn accept(
    shared: Arc<Shared>,
    node: usize,
    listener: Listener,
    mut stop: watch::Receiver<bool>,
) {
    loop {
        let stream = tokio::select! {
            _ = stop.changed() => return,
            stream = next(&listener) => stream,
        };
        match stream {
            Ok(stream) => admit(&shared, node, stream, &stop),
            // Out of file descriptors: others have to end first.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

enum Accepted {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

async fn next(listener: &Listener) -> io::Result<Accepted> {
    match listener {
        Listener::Tcp(listener) => {
            let (stream, _) = listener.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Accepted::Tcp(stream))
        }
        Listener::Unix(listener, _) => Ok(Accepted::Unix(listener.accept().await?.0)),
    }
}

fn admit(shared: &Arc<Shared>, node: usize, stream: Accepted, stop: &watch::Receiver<bool>) {
    let now = shared.clock.elapsed();
    let armed = shared.armed.load(Ordering::Acquire);
    if armed && shared.rules().unreachable(now, node_id(node)).is_some() {
        return;
    }
    let number = shared.last_connection.fetch_add(1, Ordering::Relaxed) + 1;
    let (shared, stop) = (shared.clone(), stop.clone());
    match stream {
        Accepted::Tcp(stream) => tokio::spawn(live(shared, (node, number), stream, stop)),
        Accepted::Unix(stream) => tokio::spawn(live(shared, (node, number), stream, stop)),
    };
}

async fn live(
    shared: Arc<Shared>,
    (node, number): (usize, u32),
    mut stream: impl Stream,
    stop: watch::Receiver<bool>,
) {
    if !shared.open() {
        shared.nodes[node].lock().parts().1.sums.rejected_connections += 1;
        // The peer may be gone already.
        let _ = stream.write_all(TOO_MANY).await;
        return;
    }
    shared.nodes[node].lock().parts().1.sums.total_connections += 1;
    let life = shared.nodes[node].life.subscribe();
    let mut connection = Connection {
        shared: shared.clone(),
        node,
        number,
        commands: 0,
        session: Session::new(),
        out: Vec::new(),
        silent: false,
        read_bytes: 0,
        unfinished: None,
        late: Vec::new(),
        life,
    };
    // How a connection ends is nobody's concern but its own.
    let _ = connection.serve(&mut stream, stop).await;
    drop(stream);
    shared.close();
    connection.deliver_late();
}

/// A connection.
struct Connection {
    shared: Arc<Shared>,
    node: usize,
    number: u32,
    /// Requests so far.
    commands: u32,
    session: Session,
    out: Vec<u8>,
    /// A fault has taken a reply: nothing more is answered.
    silent: bool,
    /// Read and not yet counted.
    read_bytes: u64,
    /// A multi-get whose replies are too many at once, and the key to go on with.
    unfinished: Option<(Request, Origin, usize)>,
    /// Requests that take effect after the peer gave up.
    late: Vec<(Strike, Request, Origin)>,
    /// Changes when the node restarts: this connection was to the life before.
    life: watch::Receiver<u64>,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Continue,
    Close,
}

impl Connection {
    async fn serve(
        &mut self,
        stream: &mut impl Stream,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let mut input = BytesMut::with_capacity(READ_BYTES);
        loop {
            let read = tokio::select! {
                biased;
                read = stream.read_buf(&mut input) => read?,
                _ = self.life.changed() => return Ok(()),
                _ = stop.changed() => return Ok(()),
            };
            self.read_bytes += read as u64;
            if read == 0 {
                return Ok(());
            }
            loop {
                let (next, more) = self.work(&mut input);
                if !self.out.is_empty() {
                    tokio::select! {
                        biased;
                        written = stream.write_all(&self.out) => written?,
                        _ = self.life.changed() => return Ok(()),
                        _ = async { let _ = stop.changed().await; sleep(GRACE).await } => {
                            return Ok(());
                        }
                    }
                    self.out.clear();
                    self.out.shrink_to(REPLY_BYTES);
                }
                if next == Next::Close || self.is_over() {
                    return Ok(());
                }
                if !more {
                    break;
                }
            }
        }
    }

    /// Works off what has been read; says whether the connection goes on and whether there
    /// is more to work off.
    fn work(&mut self, input: &mut BytesMut) -> (Next, bool) {
        let now = self.shared.clock.now();
        if let Some((request, origin, first)) = self.unfinished.take() {
            self.execute(now, request, origin, first);
            if self.unfinished.is_some() {
                return (Next::Continue, true);
            }
        }
        let mut used = 0;
        let mut next = Next::Continue;
        let mut more = false;
        while next == Next::Continue {
            let action = match self.session.parse(&input[used..]) {
                Parsed::Incomplete(total) => {
                    input.advance(used);
                    let total = total.unwrap_or(0).max(READ_BYTES);
                    input.reserve(total.saturating_sub(input.len()).max(READ_BYTES / 4));
                    return (next, false);
                }
                Parsed::Done(bytes, action) => {
                    used += bytes;
                    action
                }
            };
            next = match action {
                Action::Run(request) => self.run(now, request),
                Action::Say(reply) => {
                    self.say(&reply);
                    Next::Continue
                }
                Action::Close(reply) => {
                    self.say(&reply);
                    Next::Close
                }
                // The session does its own swallowing.
                _ => Next::Continue,
            };
            more = self.out.len() >= REPLY_BYTES || self.unfinished.is_some();
            if more {
                break;
            }
        }
        input.advance(used);
        (next, more)
    }

    /// Whether the node has restarted since the peer connected.
    fn is_over(&self) -> bool {
        self.life.has_changed().unwrap_or(true)
    }

    fn say(&mut self, reply: &[u8]) {
        if !self.silent {
            self.out.extend_from_slice(reply);
        }
    }

    fn run(&mut self, now: Time, request: Request) -> Next {
        self.commands = self.commands.wrapping_add(1);
        let step = self.shared.next_step();
        let op = OpId::new(ClientId(self.number), self.commands);
        let origin = Origin { step: StepId(step), op };
        if self.shared.armed.load(Ordering::Acquire) {
            return self.run_with_faults(now, request, origin);
        }
        self.tell(&request, origin, None);
        self.execute(now, request, origin, 0);
        Next::Continue
    }

    /// Executes a request, a multi-get from the `first` key on.
    fn execute(&mut self, now: Time, request: Request, origin: Origin, first: usize) {
        let before = self.out.len();
        let mut state = self.shared.nodes[self.node].lock();
        // A restart takes the same lock: what it has ended does nothing to the new life.
        if self.is_over() {
            return;
        }
        let part = (first, REPLY_BYTES);
        let (node, counters) = state.parts();
        counters.sums.bytes_read += std::mem::take(&mut self.read_bytes);
        if let Work::Stats(_) = request.work {
            counters.connections = self.shared.connections.load(Ordering::Relaxed) as u64;
            counters.connections_max = self.shared.connections_max as u64;
        }
        let rest = perform_from((node, counters), now, origin, &request, part, &mut self.out);
        counters.sums.bytes_written += (self.out.len() - before) as u64;
        drop(state);
        self.unfinished = rest.map(|first| (request, origin, first));
        if self.silent {
            self.out.truncate(before);
        }
    }

    fn run_with_faults(&mut self, now: Time, request: Request, origin: Origin) -> Next {
        let elapsed = self.shared.clock.elapsed();
        let node = node_id(self.node);
        let strikes = {
            let mut rules = self.shared.rules();
            if rules.unreachable(elapsed, node).is_some() {
                return Next::Close;
            }
            // What nobody will see answered takes no further part in the counting.
            if self.silent { Vec::new() } else { rules.decide(elapsed, node, &request) }
        };
        self.tell(&request, origin, strikes.first());
        self.happen(&strikes, Moment::Before);
        let decisive = strikes.iter().find(|strike| strike.what.strikes_steps());
        let next = match decisive.map(|strike| strike.what) {
            None => {
                self.execute(now, request, origin, 0);
                Next::Continue
            }
            Some(What::Refuse) => Next::Close,
            Some(What::LoseRequest) => {
                self.silent = true;
                Next::Continue
            }
            Some(What::DeliverLate) => {
                self.silent = true;
                self.late.extend(decisive.map(|strike| (strike.clone(), request, origin)));
                Next::Continue
            }
            Some(What::Fail) => {
                if !self.silent {
                    fail(&request.framing, &mut self.out);
                }
                Next::Continue
            }
            // The only other fault of a step that a server takes is the lost reply.
            Some(_) => {
                self.silent = true;
                self.execute(now, request, origin, 0);
                Next::Continue
            }
        };
        self.happen(&strikes, Moment::After);
        next
    }

    /// Lets the faults of the world happen that this request has triggered.
    fn happen(&self, strikes: &[Strike], moment: Moment) {
        for strike in strikes.iter().filter(|strike| strike.moment == moment) {
            if !strike.what.strikes_steps() {
                let victim = Some(&strike.victim);
                happen(&self.shared, self.node, strike.what, strike.by_seconds, victim);
            }
        }
    }

    /// The peer has given up: what was to be delivered late takes effect in a while.
    fn deliver_late(&mut self) {
        for (strike, request, origin) in std::mem::take(&mut self.late) {
            let (shared, node) = (self.shared.clone(), self.node);
            tokio::spawn(async move {
                sleep(strike.delay).await;
                let now = shared.clock.now();
                let mut unread = Vec::new();
                perform(&mut shared.nodes[node].lock(), now, origin, &request, &mut unread);
            });
        }
    }

    /// Tells whoever listens to the stream of steps.
    fn tell(&self, request: &Request, origin: Origin, strike: Option<&Strike>) {
        if self.shared.steps.receiver_count() == 0 {
            return;
        }
        for (name, key, _) in request.steps() {
            let line = json!({
                "type": "step",
                "at_ns": self.shared.clock.elapsed().0,
                "node": self.node,
                "step": origin.step.0,
                "connection": self.number,
                "command": origin.op.number(),
                "name": name,
                "key": key.map(ToString::to_string),
                "fault": strike.map(|strike| json!({ "id": strike.rule, "do": strike.what })),
            });
            // Nobody listens any more.
            let _ = self.shared.steps.send(line.to_string() + "\n");
        }
    }
}
