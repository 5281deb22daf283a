//! `stats` of `staleproof serve` beside those of the real memcached, after the same commands.

#![cfg(all(feature = "cli", feature = "serve"))]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A server that is killed when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(arguments: &[&str]) -> (Running, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_staleproof"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("the server says where it is");
    let address = line.trim().rsplit(' ').next().unwrap_or_default().to_owned();
    (Running(child), address)
}

/// The real server; without it the test is skipped, unless the environment demands it.
fn memcached(options: &[&str]) -> Option<(Running, String)> {
    let binary = std::env::var("MEMCACHED").unwrap_or_else(|_| "memcached".to_owned());
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let port = listener.local_addr().expect("it is bound").port();
    drop(listener);
    let started = Command::new(&binary)
        .args(["-l", "127.0.0.1", "-U", "0", "-u", "root", "-p", &port.to_string()])
        .args(options)
        .stderr(Stdio::null())
        .spawn();
    let child = match started {
        Ok(child) => Running(child),
        Err(error) => {
            let required = std::env::var("STALEPROOF_REQUIRE_SERVERS").is_ok_and(|v| v == "1");
            assert!(!required, "cannot start `{binary}`: {error}");
            println!("SKIPPED: cannot start `{binary}`: {error}; install memcached");
            return None;
        }
    };
    let address = format!("127.0.0.1:{port}");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(&address).is_err() {
        assert!(Instant::now() < deadline, "memcached does not accept connections");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some((child, address))
}

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).expect("the server accepts");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("10 s are a timeout");
    stream
}

/// Sends lines and reads until the fence behind them is answered.
fn tell(stream: &mut TcpStream, lines: &str) -> String {
    stream.write_all(lines.as_bytes()).expect("the server reads");
    stream.write_all(b"mn\r\n").expect("the server reads");
    let mut reply = Vec::new();
    let mut buffer = [0; 65536];
    while !reply.ends_with(b"MN\r\n") {
        let count = stream.read(&mut buffer).expect("the server answers");
        assert!(count > 0, "the connection was closed");
        reply.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&reply).into_owned()
}

fn stats(stream: &mut TcpStream) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.strip_prefix("STAT ")?.split_once(' ')?;
        Some((name.to_owned(), value.to_owned()))
    };
    tell(stream, "stats\r\n").lines().filter_map(pair).collect()
}

/// What both count; the rest is about threads, slabs and the machine, or differs by nature.
const COUNTED: [&str; 28] = [
    "curr_connections",
    "total_connections",
    "cmd_get",
    "cmd_set",
    "cmd_flush",
    "cmd_touch",
    "cmd_meta",
    "get_hits",
    "get_misses",
    "delete_misses",
    "delete_hits",
    "incr_misses",
    "incr_hits",
    "decr_misses",
    "decr_hits",
    "cas_misses",
    "cas_hits",
    "cas_badval",
    "touch_hits",
    "touch_misses",
    "store_too_large",
    "curr_items",
    "total_items",
    "evictions",
    "evicted_unfetched",
    "get_expired",
    "get_flushed",
    "version",
];

#[test]
fn what_is_counted_is_counted_as_memcached_does() {
    // Its background threads may remove what has expired before a command meets it.
    let alone = ["-o", "no_lru_crawler,no_lru_maintainer"];
    let Some((_real, real)) = memcached(&alone) else { return };
    let (_ours, ours) = serve(&[]);
    let large = "x".repeat(1_100_000);
    let script = [
        "set a 0 0 1\r\n1\r\nset b 0 0 1\r\nx\r\nadd a 0 0 1\r\nx\r\nadd c 0 0 1\r\nx\r\n",
        "replace a 0 0 1\r\n9\r\nreplace none 0 0 1\r\nx\r\nappend b 0 0 1\r\ny\r\n",
        "prepend none 0 0 1\r\ny\r\nget a b none\r\ngets a\r\ngat 0 a none\r\ngats 0 b\r\n",
        "touch a 0\r\ntouch none 0\r\nincr a 1\r\nincr a 5\r\ndecr a 1\r\nincr none 1\r\n",
        "decr none 1\r\nincr b 1\r\ncas a 0 0 1 99999\r\nx\r\ncas none 0 0 1 9\r\nx\r\n",
        "mg a v\r\nmg none v\r\nmg lease N30 v\r\nmg a T30\r\nmg none T30\r\nms m 1\r\nx\r\n",
        "ms m 1 C99999\r\nx\r\nms none 1 C9\r\nx\r\nms m 1 ME\r\nx\r\nmd m I\r\nmd m\r\nmd m\r\n",
        "ma a\r\nma none\r\nma made N0 J5\r\nma made MD\r\nma none MD\r\nme a\r\nmd m C1\r\n",
        "delete c\r\ndelete c\r\nset a x 0 1\r\n",
        "set big 0 0 1100000\r\n{large}\r\nadd big 0 0 1100000\r\n{large}\r\n",
        "ms big 1100000\r\n{large}\r\nflush_all 100\r\nversion\r\nget a\r\n",
        "set over 0 -1 1\r\nx\r\nget over\r\nget over\r\nset over 0 -1 1\r\nx\r\n",
        "mg over v\r\nset over 0 -1 1\r\nx\r\ndelete over\r\n",
        "flush_all\r\nget a b made\r\nget a\r\n",
    ];
    let [mut real, mut ours] = [connect(&real), connect(&ours)];
    for stream in [&mut real, &mut ours] {
        tell(stream, "stats reset\r\n");
    }
    for lines in script {
        let lines = lines.replace("{large}", &large);
        tell(&mut real, &lines);
        tell(&mut ours, &lines);
        let [real, ours] = [stats(&mut real), stats(&mut ours)];
        for name in COUNTED {
            let shown: String = lines.chars().take(200).collect();
            assert_eq!(ours.get(name), real.get(name), "{name} after {shown}");
        }
    }
}

#[test]
fn every_group_has_only_names_that_memcached_has() {
    let Some((_real, real)) = memcached(&[]) else { return };
    let (_ours, ours) = serve(&[]);
    let names = |address: &str, group: &str| -> Vec<String> {
        let reply = tell(&mut connect(address), &format!("stats {group}\r\n"));
        reply.lines().filter_map(|line| Some(line.split(' ').nth(1)?.to_owned())).collect()
    };
    for address in [&real, &ours] {
        tell(&mut connect(address), "set a 0 0 1\r\nx\r\n");
    }
    for group in ["", "settings", "sizes", "items", "slabs"] {
        let (real, ours) = (names(&real, group), names(&ours, group));
        assert!(!ours.is_empty() && ours.iter().all(|name| real.contains(name)), "{ours:?}");
    }
}

#[test]
fn evictions_are_counted_and_a_reset_forgets_them() {
    let (_ours, ours) = serve(&["--items", "10"]);
    let mut stream = connect(&ours);
    let sets: String = (0..100).map(|key| format!("set k{key} 0 0 1\r\nx\r\n")).collect();
    tell(&mut stream, &sets);
    let counted = stats(&mut stream);
    let number = |name: &str| counted[name].parse::<u64>().expect("it is a number");
    assert_eq!((number("evictions"), number("total_items"), number("curr_items")), (90, 100, 10));
    assert!(number("bytes_read") >= sets.len() as u64 && number("bytes_written") >= 800);
    tell(&mut stream, "stats reset\r\n");
    let counted = stats(&mut stream);
    assert_eq!((counted["evictions"].as_str(), counted["total_items"].as_str()), ("0", "0"));
}

#[test]
fn prefixes_are_counted_as_memcached_does() {
    let Some((_real, real)) = memcached(&[]) else { return };
    let (_ours, ours) = serve(&[]);
    let script = "stats detail dump\r\nstats detail\r\nstats detail on\r\n\
        set p:1 0 0 1\r\nx\r\nadd p:1 0 0 1\r\nx\r\nget p:1 p:2\r\ngat 0 p:1\r\n\
        mg p:1 v\r\nmg p:9 v\r\nms p:3 1\r\nx\r\nmd p:3\r\ndelete p:1\r\ndelete p:1\r\n\
        incr p:1 1\r\ntouch p:1 0\r\nget none\r\nstats detail dump\r\nstats detail off\r\n\
        get p:1\r\nstats detail dump\r\nstats reset\r\nstats detail dump\r\n";
    let [real, ours] = [real, ours].map(|address| tell(&mut connect(&address), script));
    assert!(real.contains("PREFIX p get "), "{real}");
    assert_eq!(ours, real);
}

#[test]
fn dumps_have_the_lines_of_memcached() {
    let Some((_real, real)) = memcached(&[]) else { return };
    let (_ours, ours) = serve(&[]);
    // memcached's dump shows only what its background thread has moved: the lines are held
    // to its format by what both show of the items' last access and expiry.
    let script = "set a:1 0 0 1\r\nx\r\nset b 5 1000 3\r\nxyz\r\nget b\r\n";
    let lines = |address: &str| {
        let mut stream = connect(address);
        tell(&mut stream, script);
        stream.write_all(b"lru_crawler metadump all\r\n").expect("the server reads");
        let mut dump = String::new();
        let mut reader = BufReader::new(stream);
        while !dump.ends_with("END\r\n") {
            assert!(reader.read_line(&mut dump).expect("the server answers") > 0);
        }
        let timeless = |word: &str| match word.split_once('=') {
            Some((name @ ("exp" | "la"), at)) => format!("{name}={}", at.parse::<i64>().is_ok()),
            _ => word.to_owned(),
        };
        let line = |line: &str| line.split(' ').map(timeless).collect::<Vec<_>>().join(" ");
        let mut lines: Vec<_> = dump.lines().map(line).collect();
        lines.sort();
        lines
    };
    let shown = lines(&ours);
    assert_eq!(shown, lines(&real));
    assert!(shown.iter().any(|line| line.starts_with("key=a%3A1 exp=true la=true cas=")));
    let mut stream = connect(&ours);
    let dump = tell(&mut stream, "stats cachedump 1 0\r\n");
    assert!(dump.starts_with("ITEM b [3 b; ") && dump.contains("ITEM a:1 [1 b; 0 s]"), "{dump}");
    assert_eq!(tell(&mut stream, "stats cachedump 1 1\r\n").matches("ITEM").count(), 1);
    for (lines, reply) in [
        ("stats cachedump 2 0\r\n", "END\r\nMN\r\n"),
        ("stats cachedump 1\r\n", "CLIENT_ERROR bad command line\r\nMN\r\n"),
        ("stats cachedump 64 1\r\n", "CLIENT_ERROR Illegal slab id\r\nMN\r\n"),
    ] {
        assert_eq!(tell(&mut stream, lines), reply);
        assert_eq!(tell(&mut connect(&real), lines), reply);
    }
}
