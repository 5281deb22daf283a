//! `staleproof serve`: protocols on a socket, faults, the control port, bad input.

#![cfg(all(feature = "cli", feature = "serve"))]

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// A running server, killed when dropped.
struct Serve {
    child: Child,
    address: String,
    control: String,
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_staleproof"));
    command.arg("serve");
    command
}

fn serve(arguments: &[&str]) -> Serve {
    let mut child = command()
        .args(["--listen", "127.0.0.1:0", "--control", "127.0.0.1:0"])
        .args(arguments)
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut lines = BufReader::new(child.stdout.take().expect("stdout is a pipe")).lines();
    let mut line = || lines.next().expect("the server says where it is").expect("it is text");
    let address = line().rsplit(' ').next().unwrap().to_owned();
    let mut control = line();
    while !control.contains("http://") {
        control = line();
    }
    let control = control.split("http://").nth(1).unwrap().trim_end_matches('/').to_owned();
    Serve { child, address, control }
}

impl Serve {
    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the server accepts");
        stream.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
        stream
    }

    fn http(&self, method: &str, path: &str, body: &str) -> (u16, serde_json::Value) {
        let mut stream = TcpStream::connect(&self.control).expect("the control port accepts");
        let length = body.len();
        write!(stream, "{method} {path} HTTP/1.1\r\nContent-Length: {length}\r\n\r\n{body}")
            .unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let status = text.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = text.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap())
    }
}

/// What comes back: a reply, `silence`, or `closed`.
fn ask(stream: &mut TcpStream, bytes: &[u8]) -> String {
    stream.write_all(bytes).unwrap();
    let mut buffer = [0; 4096];
    match stream.read(&mut buffer) {
        Ok(0) => "closed".to_owned(),
        Ok(count) => String::from_utf8_lossy(&buffer[..count]).into_owned(),
        Err(error) if error.kind() == ErrorKind::WouldBlock => "silence".to_owned(),
        Err(_) => "closed".to_owned(),
    }
}

const SET: &[u8] = b"set a 0 0 1\r\nx\r\n";
const GET: &[u8] = b"get a\r\n";
const HIT: &str = "VALUE a 0 1\r\nx\r\nEND\r\n";

#[test]
fn a_lost_reply_leaves_its_effect_and_a_lost_request_none() {
    for (what, after) in [
        ("lose-reply", HIT),
        ("lose-request", "END\r\n"),
        ("refuse", "END\r\n"),
        ("fail", "END\r\n"),
    ] {
        let server = serve(&["--fault", &format!("do = \"{what}\", on = \"cache.set\", nth = 1")]);
        let mut stream = server.connect();
        let seen = ask(&mut stream, SET);
        let expected = match what {
            "refuse" => "closed",
            "fail" => "SERVER_ERROR fault injected\r\n",
            _ => "silence",
        };
        assert_eq!(seen, expected, "{what}");
        assert_eq!(ask(&mut server.connect(), GET), after, "{what}");
        let (_, faults) = server.http("GET", "/faults", "");
        assert_eq!(faults["faults"][0]["struck"], 1, "{what}");
        assert_eq!(ask(&mut server.connect(), SET), "STORED\r\n", "{what}");
    }
}

#[test]
fn a_late_delivery_takes_effect_after_the_peer_gave_up() {
    let fault = "do = \"deliver-late\", on = \"cache.set\", nth = 1, delay = \"300ms\"";
    let server = serve(&["--fault", fault]);
    let mut stream = server.connect();
    assert_eq!(ask(&mut stream, SET), "silence");
    drop(stream);
    assert_eq!(ask(&mut server.connect(), GET), "END\r\n");
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(ask(&mut server.connect(), GET), HIT);
}

#[test]
fn a_fault_of_the_world_may_follow_a_step() {
    let server =
        serve(&["--fault", "do = \"evict\", on = \"cache.set\", moment = \"after\", nth = 1"]);
    let mut stream = server.connect();
    assert_eq!(ask(&mut stream, SET), "STORED\r\n");
    assert_eq!(ask(&mut stream, GET), "END\r\n");
    assert_eq!(ask(&mut stream, SET), "STORED\r\n");
    assert_eq!(ask(&mut stream, GET), HIT);
}

#[test]
fn a_fault_of_the_world_happens_at_its_time() {
    let server = serve(&["--fault", "do = \"flush-node\", at = \"700ms\""]);
    let mut stream = server.connect();
    assert_eq!(ask(&mut stream, SET), "STORED\r\n");
    assert_eq!(ask(&mut stream, GET), HIT);
    std::thread::sleep(Duration::from_millis(900));
    assert_eq!(ask(&mut stream, GET), "END\r\n");
}

#[test]
fn faults_come_and_go_through_the_control_port() {
    let server = serve(&[]);
    let mut stream = server.connect();
    let (status, reply) = server.http("POST", "/faults", r#"{"do": "unreachable"}"#);
    assert_eq!((status, &reply["id"]), (201, &1.into()));
    assert_eq!(ask(&mut stream, GET), "closed");
    assert_eq!(ask(&mut server.connect(), GET), "closed");
    assert_eq!(server.http("DELETE", "/faults/1", "").0, 200);
    assert_eq!(server.http("DELETE", "/faults/1", "").0, 404);
    assert_eq!(ask(&mut server.connect(), GET), "END\r\n");
    server.http("POST", "/faults", r#"{"do": "fail", "on": "cache.get", "nodes": [0]}"#);
    assert_eq!(ask(&mut server.connect(), GET), "SERVER_ERROR fault injected\r\n");
    assert_eq!(server.http("DELETE", "/faults", "").0, 200);
    assert_eq!(ask(&mut server.connect(), GET), "END\r\n");
}

#[test]
fn time_stands_still_and_advances_on_command() {
    let server = serve(&[]);
    let mut stream = server.connect();
    assert_eq!(server.http("POST", "/clock", r#"{"do": "freeze"}"#).0, 200);
    assert_eq!(ask(&mut stream, b"set a 0 10 1\r\nx\r\n"), "STORED\r\n");
    server.http("POST", "/clock", r#"{"do": "advance", "by": "8s"}"#);
    assert_eq!(ask(&mut stream, GET), HIT);
    server.http("POST", "/clock", r#"{"do": "advance", "by": "2s"}"#);
    assert_eq!(ask(&mut stream, GET), "END\r\n");
    let (_, state) = server.http("POST", "/clock", r#"{"do": "thaw"}"#);
    assert_eq!(state["frozen"], false);
}

#[test]
fn items_tell_who_installed_them_and_restarts_what_remains() {
    let server = serve(&[]);
    let mut first = server.connect();
    assert_eq!(ask(&mut first, SET), "STORED\r\n");
    let mut second = server.connect();
    assert_eq!(ask(&mut second, b"set b 0 0 1\r\n\xff\r\n"), "STORED\r\n");
    let (_, items) = server.http("GET", "/items", "");
    let nodes = &items["nodes"][0];
    assert_eq!((&nodes[0]["key"], &nodes[0]["value"]), (&"a".into(), &"x".into()));
    assert_eq!(nodes[0]["installed_by"]["connection"], 1);
    assert_eq!(nodes[1]["installed_by"]["connection"], 2);
    assert_eq!(nodes[1]["value_base64"], "/w==");
    assert_eq!(server.http("POST", "/evict", r#"{"key": "b"}"#).1["evicted"], true);
    assert_eq!(server.http("POST", "/restart", r#"{"warm": true}"#).0, 200);
    assert_eq!(ask(&mut first, GET), "closed");
    assert_eq!(ask(&mut server.connect(), GET), HIT);
    assert_eq!(server.http("POST", "/restart", "").0, 200);
    assert_eq!(ask(&mut server.connect(), GET), "END\r\n");
}

#[test]
fn steps_are_streamed() {
    let server = serve(&[]);
    let mut control = TcpStream::connect(&server.control).unwrap();
    control.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    control.write_all(b"GET /steps HTTP/1.1\r\n\r\n").unwrap();
    let mut lines = BufReader::new(control).lines().map(Result::unwrap);
    assert!(lines.by_ref().any(|line| line.is_empty()));
    ask(&mut server.connect(), b"get a b\r\n");
    for key in ["a", "b"] {
        let step: serde_json::Value = serde_json::from_str(&lines.next().unwrap()).unwrap();
        assert_eq!((&step["name"], &step["key"]), (&"get".into(), &key.into()));
    }
}

#[test]
fn bad_control_requests_are_answered_and_survived() {
    let server = serve(&[]);
    for (method, path, body, status) in [
        ("GET", "/nothing", "", 404),
        ("PUT", "/faults", "", 405),
        ("POST", "/faults", "{", 422),
        ("POST", "/faults", "[]", 422),
        ("POST", "/faults", r#"{"do": "explode"}"#, 422),
        ("POST", "/faults", r#"{"do": "fail"}"#, 422),
        ("POST", "/faults", r#"{"do": "fail", "on": "db.commit"}"#, 422),
        ("POST", "/faults", r#"{"do": "fail", "on": "cache.set", "after": "db.commit"}"#, 422),
        ("POST", "/faults", r#"{"do": "fail", "on": "cache.set", "op": "read"}"#, 422),
        ("POST", "/faults", r#"{"do": "fail", "on": "cache.set", "clients": [1]}"#, 422),
        ("POST", "/faults", r#"{"do": "fail", "on": "cache.set", "nodes": [1]}"#, 422),
        ("POST", "/faults", r#"{"do": "crash", "on": "cache.set"}"#, 422),
        ("POST", "/faults", r#"{"do": "bypass-update", "at": "1s"}"#, 422),
        ("POST", "/clock", r#"{"do": "advance"}"#, 422),
        ("POST", "/clock", r#"{"do": "advance", "by": "soon"}"#, 422),
        ("POST", "/restart", r#"{"node": 7}"#, 404),
        ("POST", "/evict", "{}", 422),
    ] {
        let (seen, reply) = server.http(method, path, body);
        assert_eq!(seen, status, "{method} {path} {body}: {reply}");
        assert!(reply["error"].is_string(), "{reply}");
    }
    let mut raw = TcpStream::connect(&server.control).unwrap();
    raw.write_all(b"\xff\xfe\r\n\r\n").unwrap();
    let mut text = String::new();
    raw.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 400 "), "{text}");
    assert_eq!(ask(&mut server.connect(), SET), "STORED\r\n");
}

#[test]
fn bad_arguments_are_refused() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    for (arguments, code, text) in [
        (vec!["--listen", taken.as_str()], 5, "cannot listen on"),
        (vec!["--listen", "0.0.0.0:0"], 2, "--allow-remote"),
        (vec!["--control", "0.0.0.0:0"], 2, "--allow-remote"),
        (vec!["--listen", "nonsense"], 2, "is not an address"),
        (vec!["--listen", "unix:/no/such/directory/socket"], 5, "cannot listen on"),
        (vec!["--listen", "127.0.0.1:0", "--fault", "do = \"explode\""], 2, "explode"),
        (vec!["--listen", "127.0.0.1:0", "--fault", "do = \"crash\", on = \"cache.set\""], 2, "do"),
    ] {
        let output = command().args(&arguments).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(text), "{arguments:?}: {error}");
    }
}

#[test]
fn a_unix_socket_is_served_and_removed() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let address = format!("unix:{}", path.display());
    let mut server = serve(&["--listen", &address]);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"version\r\n").unwrap();
    let mut buffer = [0; 64];
    let count = stream.read(&mut buffer).unwrap();
    assert_eq!(&buffer[..count], b"VERSION 1.6.18\r\n");
    let pid = server.child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(!path.exists());
}

#[test]
fn the_socket_of_a_killed_server_is_taken_over_and_that_of_a_living_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("socket");
    let address = format!("unix:{}", path.display());
    let mut killed = serve(&["--listen", &address]);
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    assert!(path.exists());
    let _living = serve(&["--listen", &address]);
    let second = command().args(["--listen", &address]).output().unwrap();
    assert_eq!(second.status.code(), Some(5));
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"version\r\n").unwrap();
    assert_eq!(stream.read(&mut [0; 64]).unwrap(), b"VERSION 1.6.18\r\n".len());
}

#[test]
fn connections_beyond_the_limit_are_turned_away() {
    let server = serve(&["--connections", "2"]);
    let mut streams = [server.connect(), server.connect()];
    assert!(streams.iter_mut().all(|stream| ask(stream, GET) == "END\r\n"));
    assert_eq!(ask(&mut server.connect(), b""), "ERROR Too many open connections\r\n");
}

#[test]
fn thousands_of_connections_are_served() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    // Started with the limit of a usual shell, which the server raises by itself.
    let limit = getrlimit(Resource::Nofile);
    let small = limit.maximum.map_or(1024, |maximum| maximum.min(1024));
    setrlimit(Resource::Nofile, Rlimit { current: Some(small), ..limit }).unwrap();
    let server = serve(&[]);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let count = limit.maximum.map_or(3_000, |maximum| maximum.saturating_sub(200).min(3_000));
    let mut streams: Vec<TcpStream> = (0..count).map(|_| server.connect()).collect();
    for stream in &mut streams {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        assert_eq!(ask(stream, GET), "END\r\n");
    }
    assert!(count == 3_000, "only {count} connections could be tried: raise `ulimit -Hn`");
}

/// Resident memory in kilobytes, where the system tells.
fn resident(server: &Serve) -> Option<u64> {
    let path = format!("/proc/{}/status", server.child.id());
    let status = std::fs::read_to_string(path).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().trim_end_matches(" kB").parse().ok()
}

#[test]
fn a_peer_that_does_not_read_fills_no_memory_and_holds_nothing_up() {
    let mut server = serve(&[]);
    let mut stream = server.connect();
    let value = "v".repeat(500_000);
    let set = format!("set a 0 0 500000\r\n{value}\r\n");
    assert_eq!(ask(&mut stream, set.as_bytes()), "STORED\r\n");
    let before = resident(&server);
    let mut deaf = server.connect();
    deaf.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let gets = "get a\r\n".repeat(2_000);
    // 1 GB of replies and more: until the server reads no more of its requests.
    let mut sent = 0;
    while sent < 1 << 24 {
        match deaf.write(gets.as_bytes()) {
            Ok(count) => sent += count,
            Err(_) => break,
        }
    }
    assert!((1 << 14..1 << 24).contains(&sent), "the server went on reading: {sent}");
    if let (Some(before), Some(after)) = (before, resident(&server)) {
        assert!(after < before + 16_384, "from {before} kB to {after} kB");
    }
    assert_eq!(ask(&mut stream, b"get b\r\n"), "END\r\n", "others are served");
    let pid = server.child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    let code = loop {
        match server.child.try_wait().unwrap() {
            Some(status) => break status.code(),
            None => assert!(std::time::Instant::now() < deadline, "it does not end"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(code, Some(0));
}

#[test]
fn a_multi_get_of_large_values_is_answered_in_full() {
    let server = serve(&[]);
    let mut stream = server.connect();
    let value = "v".repeat(200_000);
    assert_eq!(
        ask(&mut stream, format!("set a 0 0 200000\r\n{value}\r\n").as_bytes()),
        "STORED\r\n"
    );
    let keys = " a".repeat(100);
    stream.write_all(format!("get{keys}\r\nversion\r\n").as_bytes()).unwrap();
    let mut reply = Vec::new();
    let mut buffer = vec![0; 1 << 20];
    while !reply.ends_with(b"1.6.18\r\n") {
        let count = stream.read(&mut buffer).unwrap();
        reply.extend_from_slice(&buffer[..count]);
    }
    let item = "VALUE a 0 200000\r\n".len() + 200_002;
    assert_eq!(reply.len(), 100 * item + "END\r\nVERSION 1.6.18\r\n".len());
}
