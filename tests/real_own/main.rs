//! memcached servers that the tool starts: their clock follows, they restart for real, and
//! they are gone afterwards however the tool ends.
//!
//! Without the binary the tests say so and pass, unless `STALEPROOF_REQUIRE_SERVERS` is set.
#![cfg(all(feature = "memcached", feature = "cli", target_os = "linux"))]

#[path = "../common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::has_memcached;
use staleproof::backend::Clock;
use staleproof::backend::memcached::own::{Options, OwnServer, stat};
use staleproof::pattern::Registry;
use staleproof::run::{CacheChoice, Outcome, Run, Servers, run, run_once};
use staleproof::seed::Seed;

fn on(cache: &str) -> Servers {
    Servers { cache: cache.parse::<CacheChoice>().unwrap(), ..common::servers() }
}

fn once(text: &str, servers: &Servers) -> Run {
    run_once(&common::scenario(text), &Registry::built_in(), servers, Seed(5)).unwrap()
}

/// What a run found out, without what names the servers.
fn found(run: &Run) -> impl PartialEq + std::fmt::Debug + use<> {
    let classes: Vec<_> = run
        .entries
        .iter()
        .map(|e| (e.class, e.cached, e.behind, e.cause.as_ref().map(|cause| cause.hazard)))
        .collect();
    (run.history.ops.clone(), classes, run.measure.exposure)
}

#[test]
fn time_passes_on_a_server_of_our_own_as_on_the_model() {
    if !has_memcached() {
        return;
    }
    for (nodes, fault) in [
        (1, ""),
        (3, ""),
        (1, "[[fault]]\ndo = 'restart-node'\nevery = '7s'\n"),
        (2, "[[fault]]\ndo = 'jump-clock'\nevery = '11s'\nby-seconds = 2\n"),
        (1, "[[fault]]\ndo = 'evict'\non = 'cache.get'\nprobability = 0.1\n"),
    ] {
        let text = format!(
            "claim = '-'\npattern = 'read-through'\n[workload]\nrows = 4\noperations = 60\n\
             think = '100ms..2s'\n[cache]\nttl-seconds = 3\nnodes = {nodes}\n{fault}"
        );
        let model = once(&text, &common::servers());
        let real = once(&text, &on("memcached"));
        if real.clock != Clock::Faketime {
            println!("SKIPPED: libfaketime is not installed");
            return;
        }
        assert!(model.measure.reads.misses > 40, "expiry must matter: {:?}", model.measure.reads);
        assert_eq!(found(&model), found(&real), "{text}");
    }
}

#[test]
fn every_client_of_the_crate_gives_the_model_s_history() {
    if !has_memcached() {
        return;
    }
    for pattern in ["cache-aside", "write-through", "write-behind"] {
        let text = format!(
            "claim = '-'\npattern = '{pattern}'\n[workload]\noperations = 40\nrows = 4\n\
             mix = {{ read = 6, update = 3, insert = 1, delete = 1 }}\n"
        );
        let model = once(&text, &common::servers());
        for client in ["meta", "ascii", "binary"] {
            let real = once(&text, &on(&format!("memcached?protocol={client}")));
            assert_eq!(found(&model), found(&real), "{client}\n{text}");
        }
    }
}

#[test]
fn what_needs_time_is_tested_on_a_server_of_our_own() {
    if !has_memcached() {
        return;
    }
    let text = "claim = '-'\npattern = 'read-through'\n[workload]\nrows = 2\noperations = 40\n\
                think = '20s..60s'\n[[fault]]\ndo = 'evict'\nevery = '30s'\n[[fault]]\n\
                do = 'restart-node'\nat = '100s'\n[expect]\nmax_exposure = '> 1s'\n";
    let registry = Registry::built_in();
    let result = run(&common::scenario(text), "-", &registry, &on("memcached"), &mut ()).unwrap();
    assert_eq!(result.outcome, Outcome::AsExpected, "{result:#?}");
    let levels: Vec<&str> = result.faults.iter().map(|fault| fault.level.as_str()).collect();
    assert_eq!(levels, ["step (an administrative delete)", "step (SIGKILL and a new process)"]);
}

#[test]
fn a_warm_restart_brings_the_items_back_and_a_cold_one_does_not() {
    if !has_memcached() {
        return;
    }
    let mut options = Options::new("memcached".as_ref());
    options.warm = true;
    let mut server = OwnServer::start(&options).unwrap();
    let client = memcache::Client::connect(format!("memcache://{}", server.address())).unwrap();
    client.set("k", "v", 0).unwrap();
    let first = server.process_id();
    server.restart_warm().unwrap();
    let client = memcache::Client::connect(format!("memcache://{}", server.address())).unwrap();
    assert_eq!(client.get::<String>("k").unwrap().as_deref(), Some("v"));
    assert_ne!(server.process_id(), first);
    server.restart_cold().unwrap();
    let client = memcache::Client::connect(format!("memcache://{}", server.address())).unwrap();
    assert_eq!(client.get::<String>("k").unwrap(), None);
    let address = server.address().to_owned();
    drop(server);
    assert!(stat(&address, "pid").is_err(), "the server outlived its owner");
}

fn staleproof() -> Command {
    Command::new(env!("CARGO_BIN_EXE_staleproof"))
}

/// The memcached processes whose parent is this process.
fn children(parent: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let status = std::fs::read_to_string(entry.path().join("status")).unwrap_or_default();
        let field = |name: &str| {
            status.lines().find_map(|line| line.strip_prefix(name)).map(|v| v.trim().to_owned())
        };
        if field("Name:").as_deref() == Some("memcached")
            && field("PPid:") == Some(parent.to_string())
        {
            found.extend(field("Pid:").and_then(|pid| pid.parse::<u32>().ok()));
        }
    }
    found
}

fn await_that(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn servers_are_gone_after_an_interrupt_and_after_a_kill() {
    if !has_memcached() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("long.toml");
    let text = "claim = '-'\npattern = 'cache-aside'\nruns = 100000\n[workload]\n\
                operations = 2000\n";
    std::fs::write(&scenario, text).unwrap();
    for signal in ["INT", "KILL"] {
        let mut tool = staleproof()
            .args(["run", "--cache", "memcached"])
            .arg(&scenario)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        await_that("no server was started", || !children(tool.id()).is_empty());
        let sent = Command::new("kill").args(["-s", signal, &tool.id().to_string()]).status();
        assert!(sent.unwrap().success());
        let servers = children(tool.id());
        let status = tool.wait().unwrap();
        if signal == "INT" {
            assert_eq!(status.code(), Some(130));
        }
        await_that("a server outlived the tool", || {
            servers.iter().all(|id| !std::path::Path::new(&format!("/proc/{id}/exe")).exists())
        });
    }
}

#[test]
fn nothing_is_left_on_disk() {
    if !has_memcached() {
        return;
    }
    let ours = |folder: &str| {
        let prefix = format!("staleproof-servers-{}-", std::process::id());
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter(|e| e.file_name().to_string_lossy().starts_with(&prefix)).count()
    };
    let server = OwnServer::start(&Options::new("memcached".as_ref())).unwrap();
    let id = server.process_id();
    drop(server);
    let shared = format!("/dev/shm/faketime_shm_{id}");
    assert!(!std::path::Path::new(&shared).exists(), "{shared}");
    // Other tests of this process may have servers of their own just now.
    await_that("a folder is left", || ours("/tmp") == 0 && ours("/dev/shm") == 0);
}

#[test]
fn a_missing_program_names_the_package() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("s.toml");
    std::fs::write(&scenario, "claim = '-'\npattern = 'cache-aside'\n").unwrap();
    let run = staleproof()
        .args(["run", "--cache", "memcached:/nowhere/memcached"])
        .arg(&scenario)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stderr).into_owned();
    assert_eq!(run.status.code(), Some(5), "{said}");
    assert!(said.contains("apt-get install memcached"), "{said}");
}

#[test]
fn a_server_without_meta_commands_is_too_old() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let mut stream = stream;
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|count| count > 0) {
                let reply = match line.trim() {
                    "version" => "VERSION 1.5.6\r\n",
                    _ => "ERROR\r\n",
                };
                if stream.write_all(reply.as_bytes()).is_err() {
                    break;
                }
                line.clear();
            }
        }
    });
    let scenario = common::scenario("claim = '-'\npattern = 'cache-aside'\n");
    let servers = on(&format!("memcached://{address}"));
    let error = run_once(&scenario, &Registry::built_in(), &servers, Seed(1)).err().unwrap();
    assert!(error.to_string().contains("1.6 or newer is needed"), "{error}");
}
