//! A TCP proxy between one client and one cache node, which does to the bytes what a network
//! or a dying server would.
//!
//! Requests are framed by the parser of the embedded server, so a strike hits one request and
//! not a part of it. Which request is struck the client decides, since it knows the operation
//! ([`Orders`]); the proxy carries it out and counts, which is the witness that it happened.
//! After a strike the connection passes nothing more: the client will close it, and what was to
//! be delivered late still goes over the old connection. What lasts for a time ([`Weather`]) the
//! proxy looks up by itself.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::wire::{Action, Parsed, Session};

use super::fault::{RealFault, RealWhat};

/// What is done to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Blow {
    /// The connection is reset before the request is passed on.
    Refuse,
    /// The request is swallowed.
    LoseRequest,
    /// The request is passed on, its reply is swallowed.
    LoseReply,
    /// The request is passed on so long after the client has closed the connection.
    DeliverLate(Duration),
    /// An error is answered, the request is swallowed.
    Fail,
}

/// A blow to the next request, by a rule of the scenario.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Order {
    pub rule: usize,
    pub blow: Blow,
}

/// What one client wants done to its next request.
#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<Option<Order>>);

impl Orders {
    pub fn give(&self, order: Order) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(order);
    }

    fn take(&self) -> Option<Order> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What goes on the wires for a time.
pub(super) struct Weather {
    pub faults: Vec<RealFault>,
    /// The load begins.
    pub start: Instant,
    /// How often each fault struck, in the order of `faults`.
    pub struck: Vec<AtomicU64>,
    pub over: AtomicBool,
}

impl Weather {
    pub fn new(faults: &[RealFault], start: Instant) -> Weather {
        let struck = faults.iter().map(|_| AtomicU64::new(0)).collect();
        Weather { faults: faults.to_vec(), start, struck, over: AtomicBool::new(false) }
    }

    /// The fault of this kind that goes on now for this client and node, and when it ends.
    fn now(&self, what: RealWhat, client: u32, node: u16) -> Option<(usize, Instant)> {
        if self.over.load(Ordering::Relaxed) {
            return None;
        }
        let now = self.start.elapsed();
        self.faults.iter().enumerate().find_map(|(place, fault)| {
            let concerns = fault.what == what
                && fault.node == node
                && fault.clients.as_ref().is_none_or(|clients| clients.contains(&client));
            let since = now.checked_sub(fault.at).filter(|_| concerns)?;
            let into = match fault.every {
                Some(every) => Duration::from_nanos((since.as_nanos() % every.as_nanos()) as u64),
                None => since,
            };
            let left = fault.lasts.checked_sub(into)?;
            Some((place, Instant::now() + left))
        })
    }

    fn strike(&self, place: usize) {
        self.struck[place].fetch_add(1, Ordering::Relaxed);
    }
}

/// Whose bytes a proxy passes, and what may happen to them.
#[derive(Clone)]
pub(super) struct Lane {
    pub client: u32,
    pub node: u16,
    pub target: SocketAddr,
    pub orders: Arc<Orders>,
    pub weather: Arc<Weather>,
    /// How often each rule of the scenario was carried out.
    pub blows: Arc<Vec<AtomicU64>>,
}

/// A proxy; its connections end with it.
pub(super) struct Proxy {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    accepting: Option<std::thread::JoinHandle<()>>,
}

/// How often a thread that waits for bytes looks whether it is still wanted.
const LOOK: Duration = Duration::from_millis(20);

impl Proxy {
    pub fn start(lane: Lane) -> std::io::Result<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let accepting = std::thread::spawn(move || accept(&listener, &lane, &seen));
        Ok(Proxy { address, stop, accepting: Some(accepting) })
    }

    /// Where the client connects to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn accept(listener: &TcpListener, lane: &Lane, stop: &Arc<AtomicBool>) {
    let mut threads: Vec<std::thread::JoinHandle<()>> = Vec::new();
    for client in listener.incoming() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        threads.retain(|thread| !thread.is_finished());
        if let Ok(client) = client {
            let (lane, stop) = (lane.clone(), Arc::clone(stop));
            // A connection that breaks is what this is for.
            threads.push(std::thread::spawn(move || drop(pass(client, &lane, &stop))));
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

/// Passes bytes both ways until one side closes.
fn pass(client: TcpStream, lane: &Lane, stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    client.set_read_timeout(Some(LOOK))?;
    let Ok(server) = TcpStream::connect_timeout(&lane.target, Duration::from_secs(1)) else {
        return reset(&client);
    };
    server.set_nodelay(true)?;
    server.set_read_timeout(Some(LOOK))?;
    let mute = Arc::new(AtomicBool::new(false));
    let ended = Arc::new(AtomicBool::new(false));
    let down = Down {
        lane: lane.clone(),
        mute: Arc::clone(&mute),
        stop: Arc::clone(stop),
        ended: Arc::clone(&ended),
    };
    let (from, to) = (server.try_clone()?, client.try_clone()?);
    let replies = std::thread::spawn(move || drop(down.pass(from, &to)));
    let up = Up { lane, client: &client, server: &server, mute: &mute, stop, ended: &ended };
    let result = up.pass();
    ended.store(true, Ordering::Relaxed);
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
    let _ = replies.join();
    result
}

/// Reads what there is; `None` when nothing came just now.
fn read(mut from: &TcpStream, buffer: &mut [u8]) -> std::io::Result<Option<usize>> {
    match from.read(buffer) {
        Ok(count) => Ok(Some(count)),
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Closes a connection so that its peer sees a reset.
fn reset(stream: &TcpStream) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::fd::AsRawFd;
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        // SAFETY: the descriptor is open, and the option is read during the call only.
        unsafe {
            libc::setsockopt(
                stream.as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_LINGER,
                (&raw const linger).cast(),
                size_of::<libc::linger>() as libc::socklen_t,
            );
        }
    }
    // Without the option it is an ordinary end, which a client has to bear as well.
    stream.shutdown(Shutdown::Read)
}

/// Requests, from the client to the server.
struct Up<'a> {
    lane: &'a Lane,
    client: &'a TcpStream,
    server: &'a TcpStream,
    mute: &'a AtomicBool,
    stop: &'a AtomicBool,
    ended: &'a AtomicBool,
}

impl Up<'_> {
    fn pass(&self) -> std::io::Result<()> {
        let mut session = Session::new();
        let mut input = Vec::new();
        let mut buffer = [0; 16384];
        loop {
            let count = match read(self.client, &mut buffer)? {
                Some(0) => return Ok(()),
                Some(count) => count,
                None if self.is_over() => return Ok(()),
                None => continue,
            };
            input.extend_from_slice(&buffer[..count]);
            while let Parsed::Done(used, action) = session.parse(&input) {
                let request: Vec<u8> = input.drain(..used).collect();
                if self.request(&request, &action)? == Passed::Nothing {
                    return Ok(());
                }
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.ended.load(Ordering::Relaxed)
    }

    fn request(&self, bytes: &[u8], action: &Action) -> std::io::Result<Passed> {
        let has_steps = matches!(action, Action::Run(request) if request.steps().next().is_some());
        let (client, node) = (self.lane.client, self.lane.node);
        if let Some((place, _)) = self.lane.weather.now(RealWhat::HalfOpen, client, node) {
            self.lane.weather.strike(place);
            self.mute.store(true, Ordering::Relaxed);
            self.server.shutdown(Shutdown::Both)?;
            return self.be_silent();
        }
        let order = if has_steps { self.lane.orders.take() } else { None };
        let Some(order) = order else {
            (&mut &*self.server).write_all(bytes)?;
            return Ok(Passed::On);
        };
        self.lane.blows[order.rule].fetch_add(1, Ordering::Relaxed);
        match order.blow {
            Blow::Refuse => reset(self.client).map(|()| Passed::Nothing),
            Blow::LoseRequest => self.be_silent(),
            Blow::LoseReply => {
                self.mute.store(true, Ordering::Relaxed);
                (&mut &*self.server).write_all(bytes)?;
                self.be_silent()
            }
            Blow::DeliverLate(delay) => {
                self.mute.store(true, Ordering::Relaxed);
                self.be_silent()?;
                std::thread::sleep(delay);
                (&mut &*self.server).write_all(bytes)?;
                // The server must have read it before the connection goes.
                std::thread::sleep(LOOK);
                Ok(Passed::Nothing)
            }
            Blow::Fail => {
                (&mut &*self.client).write_all(b"SERVER_ERROR fault injected\r\n")?;
                Ok(Passed::On)
            }
        }
    }

    /// Swallows everything until the client closes.
    fn be_silent(&self) -> std::io::Result<Passed> {
        let mut buffer = [0; 16384];
        while !self.stop.load(Ordering::Relaxed) {
            if read(self.client, &mut buffer)? == Some(0) {
                break;
            }
        }
        Ok(Passed::Nothing)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Passed {
    /// The connection goes on.
    On,
    /// Nothing more passes.
    Nothing,
}

/// Replies, from the server to the client.
struct Down {
    lane: Lane,
    mute: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
}

impl Down {
    fn pass(&self, from: TcpStream, to: &TcpStream) -> std::io::Result<()> {
        let mut buffer = [0; 16384];
        loop {
            let count = match read(&from, &mut buffer)? {
                Some(0) if self.mute.load(Ordering::Relaxed) => return Ok(()),
                Some(0) => {
                    self.ended.store(true, Ordering::Relaxed);
                    return to.shutdown(Shutdown::Both);
                }
                Some(count) => count,
                None if self.is_over() => return Ok(()),
                None => continue,
            };
            if !self.mute.load(Ordering::Relaxed) {
                self.reply(&buffer[..count], to)?;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.ended.load(Ordering::Relaxed)
    }

    fn reply(&self, bytes: &[u8], mut to: &TcpStream) -> std::io::Result<()> {
        let weather = &self.lane.weather;
        let now = |what| weather.now(what, self.lane.client, self.lane.node);
        if let Some((place, end)) = now(RealWhat::OneWay) {
            weather.strike(place);
            // Like segments that are sent again until the way is free.
            std::thread::sleep(end.saturating_duration_since(Instant::now()));
        }
        if let Some((place, _)) = now(RealWhat::Delay) {
            weather.strike(place);
            std::thread::sleep(weather.faults[place].delay);
        }
        if let Some((place, _)) = now(RealWhat::ResetMidReply) {
            weather.strike(place);
            to.write_all(&bytes[..bytes.len() / 2])?;
            self.ended.store(true, Ordering::Relaxed);
            reset(to)?;
            return Err(ErrorKind::ConnectionReset.into());
        }
        if let Some((place, end)) = now(RealWhat::Throttle) {
            weather.strike(place);
            let rate = f64::from(weather.faults[place].bytes_per_second);
            for piece in bytes.chunks(16) {
                let pause = Duration::from_secs_f64(piece.len() as f64 / rate);
                std::thread::sleep(pause.min(end.saturating_duration_since(Instant::now())));
                to.write_all(piece)?;
            }
            return Ok(());
        }
        to.write_all(bytes)
    }
}
