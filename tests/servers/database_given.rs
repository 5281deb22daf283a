//! Database servers given by URL: password, isolation levels, and what may be touched there.
//! Each test has a server with a password on a port of its own. Skipped where a server is not
//! installed, unless `STALEPROOF_REQUIRE_SERVERS` is set.
#![cfg(all(feature = "postgres", feature = "mariadb", feature = "sqlite", feature = "cli", unix))]

#[path = "../common/given.rs"]
mod given;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use given::{Given, IN_URL, PASSWORD, start};

/// What the tool printed, and its exit code.
fn run(database: &str, isolation: &str) -> (Option<i32>, String) {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("s.toml");
    let text = format!(
        "claim = '-'\npattern = 'cache-aside'\nruns = 3\nbroken-if = {{ stale_entries = '> 0' }}\n\
         [database]\nisolation = '{isolation}'\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let tool = Command::new(env!("CARGO_BIN_EXE_staleproof"))
        .arg("run")
        .arg(&scenario)
        .args(["--database", database])
        .output()
        .unwrap();
    let said =
        String::from_utf8_lossy(&tool.stdout).into_owned() + &String::from_utf8_lossy(&tool.stderr);
    assert!(!said.contains(PASSWORD) && !said.contains(IN_URL), "{said}");
    (tool.status.code(), said)
}

fn each(kind: &'static str) {
    let Some(given) = start(kind) else { return };
    let (code, said) = run(&given.url("wrong", ""), "read-committed");
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("are user and password in the URL right?"), "{said}");

    // What stands there already is nobody's business.
    let foreign = match kind {
        "postgres" => "public.product",
        _ => "mysql.product",
    };
    given.ask(&format!("CREATE TABLE {foreign} (id int); INSERT INTO {foreign} VALUES (42)"));
    for level in ["read-committed", "repeatable-read", "serializable"] {
        let (code, said) = run(&given.url(IN_URL, ""), level);
        assert!(matches!(code, Some(0 | 1)), "{level}: {said}");
        assert!(said.contains(&format!("({})", level.replace('-', " "))), "{level}: {said}");
    }
    assert_eq!(given.ask(&format!("SELECT id FROM {foreign}")), ["42"]);
    assert_eq!(given.namespaces(), [""; 0], "a namespace is left");

    // A namespace that is not ours, and one that an earlier run of ours has left full.
    let theirs = "staleproof_theirs";
    let create = if kind == "postgres" { "SCHEMA" } else { "DATABASE" };
    given.ask(&format!("CREATE {create} {theirs}; CREATE TABLE {theirs}.t (id int)"));
    for options in ["?namespace=staleproof_theirs", "?namespace=staleproof_theirs&reset=yes"] {
        let (code, said) = run(&given.url(IN_URL, options), "read-committed");
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains(theirs), "{said}");
    }
    assert_eq!(given.namespaces(), [theirs]);
    let mark = match kind {
        "postgres" => format!(
            "CREATE SCHEMA staleproof_ours; COMMENT ON SCHEMA staleproof_ours IS '{}'",
            "made by staleproof; dropped after the run"
        ),
        _ => "CREATE DATABASE staleproof_ours; CREATE TABLE staleproof_ours.staleproof_made_this \
              (id int)"
            .to_owned(),
    };
    given.ask(&(mark + "; CREATE TABLE staleproof_ours.left_over (id int)"));
    let (code, said) = run(&given.url(IN_URL, "?namespace=staleproof_ours"), "read-committed");
    assert!(code == Some(5) && said.contains("reset=yes"), "{said}");
    let reset = given.url(IN_URL, "?namespace=staleproof_ours&reset=yes");
    let (code, said) = run(&reset, "read-committed");
    assert!(matches!(code, Some(0 | 1)), "{said}");
    assert_eq!(given.namespaces(), [theirs]);
}

#[test]
fn a_given_postgres_is_asked_politely() {
    each("postgres");
}

#[test]
fn a_given_mariadb_is_asked_politely() {
    each("mariadb");
}

/// A server that stands still is given up: neither its answers, nor new connections to it, nor
/// what is asked of it at the end are waited for.
fn stopped(kind: &'static str, pattern: &str) {
    let Some(given) = start(kind) else { return };
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("s.toml");
    let text = format!(
        "claim = '-'\npattern = '{pattern}'\nruns = 1000\nbroken-if = {{ stale_entries = '> 0' }}\n"
    );
    std::fs::write(&scenario, text).unwrap();
    let tool = || {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_staleproof"));
        tool.arg("run").arg(&scenario).args(["--database", &given.url(IN_URL, "")]);
        tool.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let mut running = tool();
    while given.namespaces().is_empty() {
        assert_eq!(running.try_wait().unwrap(), None, "it ended before it had begun");
        std::thread::sleep(Duration::from_millis(20));
    }
    let begun = Instant::now();
    given.stop();
    let late = tool();
    for tool in [running, late] {
        let output = tool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(5), "{said}");
        assert!(said.contains("did not answer within 30 s; is it stopped"), "{said}");
    }
    assert!(begun.elapsed() < Duration::from_secs(90), "it took {:?}", begun.elapsed());
}

#[test]
fn a_given_postgres_that_stands_still_is_given_up() {
    stopped("postgres", "cache-aside");
}

#[test]
fn a_given_postgres_that_stands_still_is_given_up_by_who_reads_its_log() {
    stopped("postgres", "cdc-invalidate");
}

#[test]
fn a_given_mariadb_that_stands_still_is_given_up() {
    stopped("mariadb", "cache-aside");
}

/// The port of a way to this server on which whoever says this is not heard from there on.
fn deaf_to(words: &'static str, given: &Given) -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let (port, server) = (listener.local_addr().unwrap().port(), given.port);
    let carry = move |mut client: TcpStream| {
        let mut server = TcpStream::connect(("127.0.0.1", server)).unwrap();
        let (mut back, mut answers) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        std::thread::spawn(move || std::io::copy(&mut answers, &mut back));
        let mut said = [0; 4096];
        while let Ok(length @ 1..) = client.read(&mut said) {
            if said[..length].windows(words.len()).any(|part| part == words.as_bytes()) {
                std::thread::park();
            }
            server.write_all(&said[..length]).unwrap();
        }
        let _ = server.shutdown(std::net::Shutdown::Both);
    };
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            std::thread::spawn(move || carry(client));
        }
    });
    port
}

/// A session's first question is waited for no longer than any other.
fn deaf_from_the_start(kind: &'static str, words: &'static str) {
    let Some(mut given) = start(kind) else { return };
    let port = given.port;
    given.port = deaf_to(words, &given);
    let begun = Instant::now();
    let (code, said) = run(&given.url(IN_URL, ""), "read-committed");
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("did not answer within 30 s; is it stopped"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(60), "it took {:?}", begun.elapsed());
    given.port = port;
    assert_eq!(given.namespaces(), [""; 0], "a namespace is left");
}

#[test]
fn a_given_server_that_goes_deaf_while_a_session_begins_is_given_up() {
    let mariadb = || deaf_from_the_start("mariadb", "TRANSACTION ISOLATION LEVEL");
    std::thread::scope(|scope| {
        scope.spawn(mariadb);
        deaf_from_the_start("postgres", "pg_backend_pid");
    });
}
