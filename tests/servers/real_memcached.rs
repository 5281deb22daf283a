//! The same scenario, seed and pattern on the model and on the real memcached: the same
//! operations read the same values, and the same entries are bad for the same reasons.
//!
//! Starts a memcached of its own on a free port. Without the binary the tests say so and
//! pass, unless `STALEPROOF_REQUIRE_SERVERS` is set, as it is in CI.
#![cfg(feature = "memcached")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common;
use staleproof::pattern::Registry;
use staleproof::run::{CacheChoice, Outcome, Servers, run, run_once};
use staleproof::seed::Seed;

struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start() -> Option<Server> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let child = Command::new("memcached")
        .args(["-l", "127.0.0.1", "-p", &port.to_string(), "-u", "nobody", "-m", "64"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(child) = child else {
        let required = std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_some();
        assert!(!required, "memcached is not installed: apt-get install memcached");
        println!("SKIPPED: memcached is not installed");
        return None;
    };
    let address = format!("127.0.0.1:{port}");
    let server = Server { child, address };
    let begun = Instant::now();
    while TcpStream::connect(&server.address).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(10), "memcached did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    Some(server)
}

fn on(servers: &[&Server]) -> Servers {
    let addresses = servers.iter().map(|server| server.address.clone()).collect();
    Servers { cache: CacheChoice::servers(addresses), ..common::servers() }
}

const FAULTS: [&str; 8] = [
    "",
    "[[fault]]\ndo = 'refuse'\non = 'cache.write'\nprobability = 0.1\n",
    "[[fault]]\ndo = 'lose-request'\non = 'cache.*'\nprobability = 0.05\n",
    "[[fault]]\ndo = 'lose-reply'\non = 'cache.*'\nprobability = 0.05\n",
    "[[fault]]\ndo = 'deliver-late'\non = 'cache.write'\ndelay = '5ms'\nprobability = 0.1\n",
    "[[fault]]\ndo = 'crash'\non = 'cache.delete'\nprobability = 0.1\n",
    "[[fault]]\ndo = 'evict'\non = 'cache.get'\nprobability = 0.1\n",
    "[[fault]]\ndo = 'bypass-update'\nevery = '5ms'\n",
];

#[test]
fn the_model_and_the_real_server_give_the_same_history() {
    let Some(server) = start() else { return };
    for pattern in ["cache-aside", "write-through", "read-through", "write-behind"] {
        for fault in FAULTS {
            let text = format!(
                "claim = '-'\npattern = '{pattern}'\n[workload]\noperations = 60\nrows = 4\n\
                 mix = {{ read = 6, update = 3, insert = 1, delete = 1 }}\n{fault}"
            );
            let scenario = common::scenario(&text);
            let registry = Registry::built_in();
            let model = run_once(&scenario, &registry, &common::servers(), Seed(3)).unwrap();
            let real = run_once(&scenario, &registry, &on(&[&server]), Seed(3)).unwrap();
            assert_eq!(model.history.ops, real.history.ops, "{text}");
            let classes = |run: &staleproof::run::Run| -> Vec<_> {
                let entry = |e: &staleproof::check::audit::Entry| {
                    (e.class, e.cached, e.behind, e.cause.as_ref().map(|cause| cause.hazard))
                };
                run.entries.iter().map(entry).collect()
            };
            assert_eq!(classes(&model), classes(&real), "{text}");
        }
    }
}

#[test]
fn what_needs_time_to_pass_is_not_tested_on_a_real_server() {
    let Some(server) = start() else { return };
    let text = "claim = '-'\npattern = 'read-through'\n[workload]\nrows = 2\noperations = 40\n\
                think = '20s..60s'\n[broken-if]\nstale_reads = '> 0'\n\
                [expect]\nclaim = 'holds'\nmax_exposure = '> 1s'\nstale_reads = 0\n";
    let registry = Registry::built_in();
    let result = run(&common::scenario(text), "-", &registry, &on(&[&server]), &mut ()).unwrap();
    assert_eq!(result.outcome, Outcome::NotTested);
    assert!(result.not_tested.iter().any(|reason| reason.contains("does not follow")));
    // Entries outlived their TTL: the stale reads are the harness's doing, not the pattern's.
    assert!(result.metrics["stale_reads"] > Some(0.0), "{:?}", result.metrics);
    assert_eq!(result.claim_verdict, None);
    assert!(result.expectations.iter().all(|expectation| expectation.met.is_none()));
}

#[test]
fn an_audit_in_the_middle_changes_no_later_reply() {
    use staleproof::backend::memcached::Memcached;
    use staleproof::backend::memcached_model::{Limits, Nodes};
    use staleproof::backend::{Cache, Origin};
    use staleproof::step::{
        CacheCommand, CacheReply, ConnectionId, Footprint, Key, MetaDelete, MetaGet, NodeId, Ttl,
        Verb, Win,
    };
    use staleproof::time::Time;

    let Some(server) = start() else { return };
    let get = |peek| {
        CacheCommand::MetaGet(MetaGet {
            key: Key::from("k"),
            vivify: None,
            recache: None,
            touch: None,
            peek,
        })
    };
    let set = CacheCommand::Store {
        verb: Verb::Set,
        key: Key::from("k"),
        value: "v".into(),
        flags: 0,
        ttl: Ttl(100),
    };
    let mark_stale = CacheCommand::MetaDelete(MetaDelete {
        key: Key::from("k"),
        cas: None,
        invalidate: true,
        ttl: Some(Ttl(30)),
    });
    // On the model a peek leaves the token of a stale item to the first real reader.
    let mut model = Nodes::new(Limits::default(), &[0]);
    let mut ask = |command: &CacheCommand| {
        let (node, connection) = (NodeId(0), ConnectionId(0));
        let mut footprint = Footprint::off();
        model
            .execute(Time::ZERO, node, connection, Origin::default(), command, &mut footprint)
            .unwrap()
    };
    ask(&set);
    ask(&mark_stale);
    ask(&get(true));
    assert!(matches!(ask(&get(false)), CacheReply::Found(item) if item.win == Win::Won));
    // The real server's `u` flag leaves the LRU alone; a plain item is read unchanged.
    // Of one that is marked stale it would win the token: it is read by a classic get.
    let mut real = Memcached::connect(std::slice::from_ref(&server.address)).unwrap();
    let mut ask = |command: &CacheCommand| {
        let (node, connection) = (NodeId(0), ConnectionId(0));
        let mut footprint = Footprint::off();
        real.execute(Time::ZERO, node, connection, Origin::default(), command, &mut footprint)
            .unwrap()
    };
    ask(&set);
    let before = ask(&get(false));
    ask(&get(true));
    assert_eq!(before, ask(&get(false)));
    ask(&mark_stale);
    let peeked = |reply| match reply {
        CacheReply::Found(item) => (item.stale, item.win, item.remaining),
        other => panic!("{other:?}"),
    };
    let whole = staleproof::step::Remaining::Seconds(30);
    for _ in 0..2 {
        let (stale, win, remaining) = peeked(ask(&get(true)));
        assert_eq!((stale, win), (true, Win::None), "an audit before the first reader");
        assert!(remaining == whole || remaining == staleproof::step::Remaining::Seconds(29));
    }
    assert_eq!(peeked(ask(&get(false))).1, Win::Won, "the first reader still wins");
    assert_eq!(peeked(ask(&get(true))).1, Win::Lost, "an audit after it");
    assert_eq!(peeked(ask(&get(false))).1, Win::Lost);
}

/// What a run leaves on somebody's server: the next reader of a row that was marked stale still
/// wins its token.
#[test]
fn a_run_takes_no_token_of_what_it_leaves_behind() {
    let Some(server) = start() else { return };
    let text = "claim = '-'\npattern = 'stale-lease'\n[workload]\nrows = 1\n\
                [[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0']\n";
    let run =
        run_once(&common::scenario(text), &Registry::built_in(), &on(&[&server]), Seed(1)).unwrap();
    assert_eq!(run.entries[0].class, staleproof::check::audit::Class::Absent);
    let mut stream = TcpStream::connect(&server.address).unwrap();
    stream.write_all(b"mg product:0 s\r\n").unwrap();
    let mut reply = [0; 64];
    let read = stream.read(&mut reply).unwrap();
    let said = String::from_utf8_lossy(&reply[..read]);
    assert!(said.starts_with("HD ") && said.contains(" W"), "{said}");
}

#[test]
fn a_search_on_real_servers_takes_no_token_of_what_is_marked_stale() {
    if !common::has_memcached() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("marked.toml");
    let text = "claim = '-'\npattern = 'stale-lease'\n[workload]\nrows = 2\n\
                [[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0']\n\
                [[fault]]\ndo = 'bypass-update'\nat = '1s'\nrow = 1\n\
                [explore]\nfaults = 1\nproperty = ['final-state', 'reads']\n";
    std::fs::write(&file, text).unwrap();
    let mut tool = Command::new(env!("CARGO_BIN_EXE_staleproof"));
    let output = tool.arg("explore").arg(&file).args(["--cache", "memcached"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
}

/// A paced server's entries end in real time, which reads before and after show, and so does their
/// exposure; its clock begins as the model's, so that entries live as long there.
#[test]
fn exposure_on_a_paced_server_ends_when_its_entry_does() {
    let Some(server) = start() else { return };
    let text = "claim = '-'\npattern = 'read-through'\nbroken-if = { max_exposure = '> 1600ms' }\n\
                [workload]\nrows = 1\n[cache]\nttl-seconds = 2\n\
                [[workload.group]]\nclients = 1\n\
                script = ['read 0', 'update 0', 'read 0 after 1300ms', 'read 0 after 300ms']\n\
                [expect]\nclaim = 'holds'\nstale_reads = 1\nhits = 1\n";
    let cache = format!("memcached://{}?clock=paced", server.address).parse().unwrap();
    let result = |servers: &Servers| {
        let registry = Registry::built_in();
        let result = run(&common::scenario(text), "-", &registry, servers, &mut ()).unwrap();
        assert_eq!(result.outcome, Outcome::AsExpected, "{result:#?}");
        result.metrics["max_exposure"].unwrap()
    };
    let paced = result(&Servers { cache, ..common::servers() });
    let model = result(&common::servers());
    assert!((paced - model).abs() < 100e6, "{paced} and {model} ns");
}

/// A server's own clock goes on while a run takes its time: what it may have expired is no proof.
#[test]
fn what_may_have_expired_in_real_time_is_not_tested() {
    use staleproof::backend::memcached::Memcached;
    use staleproof::backend::{Cache, Origin};
    use staleproof::step::{CacheCommand, ConnectionId, Footprint, Key, NodeId, Ttl, Verb};
    use staleproof::time::Time;

    let Some(server) = start() else { return };
    let ask = |commands: &[CacheCommand]| {
        let mut real = Memcached::connect(std::slice::from_ref(&server.address)).unwrap();
        for command in commands {
            let (node, connection) = (NodeId(0), ConnectionId(0));
            let off = &mut Footprint::off();
            real.execute(Time::ZERO, node, connection, Origin::default(), command, off).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1_100));
        let get = CacheCommand::Get { key: Key::from("k") };
        let (node, connection) = (NodeId(0), ConnectionId(0));
        let off = &mut Footprint::off();
        real.execute(Time::ZERO, node, connection, Origin::default(), &get, off).unwrap();
        real.untested().to_vec()
    };
    let set = |seconds| CacheCommand::Store {
        verb: Verb::Set,
        key: Key::from("k"),
        value: "v".into(),
        flags: 0,
        ttl: Ttl(seconds),
    };
    let untested = ask(&[set(1)]);
    assert!(untested[0].contains("may have expired"), "{untested:?}");
    assert_eq!(ask(&[set(1), CacheCommand::Delete { key: Key::from("k") }]), [""; 0]);
    assert_eq!(ask(&[set(300)]), [""; 0]);
    assert_eq!(ask(&[set(0)]), [""; 0]);
    assert_eq!(ask(&[set(-1)]), [""; 0], "it was over at once");
}

#[test]
fn keys_are_routed_over_several_servers() {
    let (Some(one), Some(two)) = (start(), start()) else { return };
    let text = "claim = '-'\npattern = 'cache-aside'\n[cache]\nnodes = 2\n[expect]\nbad_entries = 0\n\
                [workload]\nclients = 1\n";
    let registry = Registry::built_in();
    let servers = on(&[&one, &two]);
    let result = run(&common::scenario(text), "-", &registry, &servers, &mut ()).unwrap();
    assert_eq!(result.outcome, Outcome::AsExpected, "{result:#?}");
}

/// A server that stands still is given up, whatever client speaks to it.
#[cfg(unix)]
#[test]
fn a_server_that_stands_still_is_given_up() {
    let stop = |protocol: &str| {
        let Some(server) = start() else { return };
        let mut tool = Command::new(env!("CARGO_BIN_EXE_staleproof"));
        tool.args(["run", "scenarios/article/01-read-through-alone.toml", "--runs", "100000"]);
        tool.args(["--cache", &format!("memcached://{}?protocol={protocol}", server.address)]);
        let tool = tool.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs(1));
        let begun = Instant::now();
        let stopped = Command::new("kill").args(["-STOP", &server.child.id().to_string()]).status();
        assert!(stopped.unwrap().success());
        let output = tool.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(5) && said.contains("not stopped?"), "{said}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{protocol}: {:?}", begun.elapsed());
    };
    std::thread::scope(|scope| {
        for protocol in ["meta", "ascii", "binary"] {
            scope.spawn(move || stop(protocol));
        }
    });
}
