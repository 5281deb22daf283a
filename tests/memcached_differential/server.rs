//! A real memcached on a free port of loopback.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const PRELOADS: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
];

/// A memcached process, killed when dropped.
pub struct Server {
    child: Child,
    pub port: u16,
}

/// What the server says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerClock {
    pub uptime: i64,
    pub unix: i64,
}

impl Server {
    /// Starts one, or says why not: without memcached the test is skipped, unless the
    /// environment demands it.
    pub fn start(environment: &[(&str, &str)]) -> Option<Server> {
        let binary = std::env::var("MEMCACHED").unwrap_or_else(|_| "memcached".to_owned());
        let port = free_port();
        let started = Command::new(&binary)
            .args(["-l", "127.0.0.1", "-U", "0", "-m", "1024", "-u", "root"])
            // Background threads remove what was flushed and hold on to items that they
            // move, both in their own time; see `exempt.rs`.
            .args(["-o", "no_lru_crawler,no_lru_maintainer", "-p", &port.to_string()])
            .envs(environment.iter().copied())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let child = match started {
            Ok(child) => child,
            Err(error) => {
                let required = std::env::var("STALEPROOF_REQUIRE_SERVERS").is_ok_and(|v| v == "1");
                assert!(!required, "cannot start `{binary}`: {error}");
                println!("SKIPPED: cannot start `{binary}`: {error}; install memcached");
                return None;
            }
        };
        let server = Server { child, port };
        let deadline = Instant::now() + Duration::from_secs(10);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "memcached does not accept connections");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(server)
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("memcached accepts");
        stream.set_nodelay(true).expect("a socket can be told not to wait");
        stream.set_read_timeout(Some(Duration::from_secs(2))).expect("2 s are a valid timeout");
        stream
    }

    /// The server's clock, which moves once a second.
    pub fn clock(&self, on: &mut TcpStream) -> ServerClock {
        on.write_all(b"stats\r\n").expect("memcached reads");
        let mut text = Vec::new();
        let mut buffer = [0; 4096];
        while !text.ends_with(b"END\r\n") {
            let count = on.read(&mut buffer).expect("memcached answers");
            text.extend_from_slice(&buffer[..count]);
        }
        let text = String::from_utf8_lossy(&text).into_owned();
        let stat = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")));
            line.expect("stats have it").parse().expect("it is a number")
        };
        ServerClock { uptime: stat("uptime"), unix: stat("time") }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}

/// The library that lets a process live at another time, where it is installed.
pub fn faketime() -> Option<PathBuf> {
    PRELOADS.iter().map(PathBuf::from).find(|path| Path::exists(path))
}
