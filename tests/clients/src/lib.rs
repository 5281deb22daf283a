//! memcached clients as subjects: does a client ever hand one caller another's value, and does it
//! ever keep a caller waiting beyond its timeout?
//!
//! Two trials, on a real memcached behind a proxy that can hold back one reply: a reply that comes
//! after the caller gave up, and a server that stands still (SIGSTOP). Every client is given a
//! timeout of [`TIMEOUT`], by its own option where it has one, by `tokio::time::timeout` around
//! the call where it has none.

mod proxy;
mod subjects;

pub use proxy::{Proxy, Server};
pub use subjects::{SUBJECTS, Subject};

use std::time::{Duration, Instant};

/// What every client is told to wait at most.
pub const TIMEOUT: Duration = Duration::from_millis(100);
/// How long the server stands still.
pub const STANDSTILL: Duration = Duration::from_secs(2);

/// What a client did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The client.
    pub name: &'static str,
    /// What the call after a late reply was given, where that was another key's value.
    pub foreign: Option<String>,
    /// Whether the connection or client could be used again after it.
    pub usable: bool,
    /// The longest that a call took while the server stood still.
    pub blocked: Duration,
}

impl Verdict {
    /// Whether calls end soon after their timeout: three timeouts are allowed, since a client may
    /// try to connect anew.
    pub fn keeps_its_timeout(&self) -> bool {
        self.blocked < 3 * TIMEOUT + Duration::from_millis(100)
    }
}

/// Puts a client to both trials.
pub fn try_out(subject: &Subject) -> Verdict {
    let server = Server::start();
    let proxy = Proxy::start(server.port);
    let mut client = (subject.connect)(proxy.port);
    client.get("warm");
    // The reply with the first key's value comes long after the caller has given up.
    proxy.hold_back(b"value-of-a", 3 * TIMEOUT);
    let first = client.get("a");
    assert!(proxy.held() == 1 || first.is_none(), "{}: the fault never struck", subject.name);
    std::thread::sleep(4 * TIMEOUT);
    let mut foreign = None;
    let mut usable = false;
    for _ in 0..3 {
        if let Some(value) = client.get("b") {
            usable |= value == "value-of-b";
            if value != "value-of-b" {
                foreign.get_or_insert(value);
            }
        }
    }
    Verdict { name: subject.name, foreign, usable, blocked: standstill(subject) }
}

fn standstill(subject: &Subject) -> Duration {
    let server = Server::start();
    let mut client = (subject.connect)(server.port);
    client.get("warm");
    server.signal("STOP");
    let id = server.id();
    let waker = std::thread::spawn(move || {
        std::thread::sleep(STANDSTILL);
        proxy::signal(id, "CONT");
    });
    let (begun, mut longest) = (Instant::now(), Duration::ZERO);
    while begun.elapsed() < STANDSTILL / 2 {
        let call = Instant::now();
        client.get("a");
        longest = longest.max(call.elapsed());
    }
    waker.join().expect("the thread that wakes the server ends");
    longest
}

/// The verdicts as a table.
pub fn table(verdicts: &[Verdict]) -> String {
    let mut text = format!(
        "| client | after a late reply, the next caller gets | longest wait, server stopped {} s, \
         timeout {} ms |\n|---|---|---|\n",
        STANDSTILL.as_secs(),
        TIMEOUT.as_millis()
    );
    for verdict in verdicts {
        let next = match (&verdict.foreign, verdict.usable) {
            (Some(value), _) => format!("**another key's value** (`{value}` for `b`)"),
            (None, true) => "its own value".to_owned(),
            (None, false) => "errors: the connection is closed for good".to_owned(),
        };
        let kept = if verdict.keeps_its_timeout() { "" } else { "**" };
        let waited = verdict.blocked.as_millis();
        text.push_str(&format!("| {} | {next} | {kept}{waited} ms{kept} |\n", verdict.name));
    }
    text
}
