//! Clients that know nothing of us against `staleproof serve`: the `memcache` crate, and
//! where they are installed memccapable, pymemcache and python-memcached (Python), memjs and
//! memcached (Node).
//!
//! Nothing is installed here; `tests/interop.sh` does that. With
//! `STALEPROOF_REQUIRE_CLIENTS=1` an absent client is a failure rather than a skip.

#![cfg(all(feature = "cli", feature = "serve"))]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

struct Serve {
    child: Child,
    port: u16,
}

impl Drop for Serve {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve() -> Serve {
    let mut child = Command::new(env!("CARGO_BIN_EXE_staleproof"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary can be started");
    let mut line = String::new();
    let stdout = child.stdout.take().expect("stdout is a pipe");
    BufReader::new(stdout).read_line(&mut line).expect("the server says where it is");
    let port = line.trim().rsplit(':').next().unwrap().parse().expect("it ends with the port");
    Serve { child, port }
}

/// Runs a client's test; a client that is not there is a skip or, if asked for, a failure.
fn run(name: &str, probe: &[&str], test: &[&str]) {
    let present = Command::new(probe[0])
        .args(&probe[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !present {
        let required = std::env::var("STALEPROOF_REQUIRE_CLIENTS").is_ok_and(|v| v == "1");
        assert!(!required, "{name} is not installed; tests/interop.sh installs it");
        println!("SKIPPED: {name} is not installed; tests/interop.sh installs it");
        return;
    }
    let output = Command::new(test[0]).args(&test[1..]).output().expect("it was there just now");
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !text.contains("[FAIL]"), "{name}:\n{text}");
    println!("{name}: passed");
}

#[test]
fn memccapable_passes() {
    let server = serve();
    let port = server.port.to_string();
    for protocol in ["-a", "-b"] {
        let test = ["memccapable", "-h", "127.0.0.1", "-p", &port, protocol];
        run("memccapable", &["memccapable", "--help"], &test);
    }
}

#[cfg(feature = "memcached")]
#[test]
fn the_memcache_crate_works_in_binary_and_ascii() {
    let server = serve();
    for protocol in ["", "?protocol=ascii"] {
        let url = format!("memcache://127.0.0.1:{}{protocol}", server.port);
        let client = memcache::connect(url.as_str()).unwrap();
        client.flush().unwrap();
        assert!(client.version().unwrap()[0].1.contains("1.6.18"));
        client.set("a", "text", 0).unwrap();
        assert_eq!(client.get::<String>("a").unwrap().as_deref(), Some("text"));
        assert_eq!(client.get::<String>("none").unwrap(), None);
        client.append("a", "ual").unwrap();
        client.prepend("a", "con").unwrap();
        let (value, _, cas) =
            client.gets::<(Vec<u8>, u32, Option<u64>)>(&["a"]).unwrap().remove("a").unwrap();
        assert_eq!(value, b"contextual");
        assert!(client.cas("a", "swapped", 0, cas.unwrap()).unwrap());
        assert!(!client.cas("a", "again", 0, cas.unwrap()).unwrap());
        client.replace("a", "replaced", 100).unwrap();
        assert!(client.touch("a", 0).unwrap());
        client.set("n", 9, 0).unwrap();
        assert_eq!(client.increment("n", 3).unwrap(), 12);
        assert_eq!(client.decrement("n", 20).unwrap(), 0);
        client.add("b", "new", 0).unwrap();
        assert!(client.delete("b").unwrap() && !client.delete("b").unwrap());
        // In ascii mode version 0.21 of the crate reads only the first line of its stats.
        if protocol.is_empty() {
            assert!(client.stats().unwrap()[0].1.contains_key("version"));
        }
    }
}

const PYTHON: &str = r#"
import sys
from pymemcache.client.base import Client
c = Client(("127.0.0.1", int(sys.argv[1])))
c.flush_all()
assert c.set("a", "text", noreply=False) and c.get("a") == b"text"
assert c.get("none") is None
value, cas = c.gets("a")
assert c.cas("a", "new", cas) and not c.cas("a", "newer", cas)
assert not c.add("a", "x", noreply=False) and c.replace("a", "y", noreply=False)
assert c.append("a", "z", noreply=False) and c.get("a") == b"yz"
assert c.set_many({"b": "1", "c": "2"}, noreply=False) == []
assert c.get_many(["b", "c", "d"]) == {"b": b"1", "c": b"2"}
assert c.incr("b", 4) == 5 and c.decr("b", 9) == 0 and c.incr("d", 1) is None
assert c.touch("b", 100, noreply=False) and c.delete("b", noreply=False)
assert c.version() == b"1.6.18" and c.stats()[b"version"]
c.set("quiet", "1")
assert c.get("quiet") == b"1"
c.quit()
"#;

#[test]
fn pymemcache_works() {
    let server = serve();
    let port = server.port.to_string();
    let test = ["python3", "-c", PYTHON, &port];
    run("pymemcache", &["python3", "-c", "import pymemcache"], &test);
}

const NODE: &str = r#"
const assert = require("assert");
const client = require("memjs").Client.create("127.0.0.1:" + process.argv[1]);
(async () => {
  await client.flush();
  assert(await client.set("a", "text", { expires: 60 }));
  assert.equal((await client.get("a")).value.toString(), "text");
  assert.equal((await client.get("none")).value, null);
  assert.equal(await client.add("a", "x", {}), false);
  assert(await client.replace("a", "y", {}));
  assert(await client.append("a", "z"));
  assert.equal((await client.get("a")).value.toString(), "yz");
  assert.equal((await client.increment("n", 2, { initial: 7 })).value, 7);
  assert.equal((await client.increment("n", 2, { initial: 7 })).value, 9);
  assert(await client.touch("a", 100));
  assert(await client.delete("a"));
  assert.equal(await client.delete("a"), false);
  client.quit();
})().catch((error) => { console.error(error); process.exit(1); });
"#;

#[test]
fn memjs_works() {
    let server = serve();
    let port = server.port.to_string();
    let test = ["node", "-e", NODE, "--", &port];
    run("memjs", &["node", "-e", "require('memjs')"], &test);
}

const OTHER_PYTHON: &str = r#"
import sys
import memcache
c = memcache.Client(["127.0.0.1:" + sys.argv[1]], cache_cas=True)
c.flush_all()
assert c.set("a", "text") and c.get("a") == "text" and c.get("none") is None
assert c.gets("a") == "text" and c.cas("a", "new") and c.get("a") == "new"
assert not c.add("a", "x") and c.replace("a", "y") and c.append("a", "z") and c.prepend("a", "x")
assert c.get("a") == "xyz"
several = {"b": 1, "c": [1, 2]}
assert c.set_multi(several) == [] and c.get_multi(["b", "c", "d"]) == several
assert c.incr("b", 4) == 5 and c.decr("b", 9) == 0 and c.incr("d") is None
assert c.touch("b", 100) and c.delete("b") and c.get("b") is None
assert c.set("big", "x" * 500000) and len(c.get("big")) == 500000
assert c.get_stats()[0][1]["version"] == "1.6.18"
c.disconnect_all()
"#;

#[test]
fn python_memcached_works() {
    let server = serve();
    let port = server.port.to_string();
    let test = ["python3", "-c", OTHER_PYTHON, &port];
    run("python-memcached", &["python3", "-c", "import memcache"], &test);
}

const OTHER_NODE: &str = r#"
const assert = require("assert");
const Memcached = require("memcached");
const client = new Memcached("127.0.0.1:" + process.argv[1], { retries: 0 });
const call = (name, ...rest) => new Promise((resolve, reject) =>
  client[name](...rest, (error, data) => (error ? reject(error) : resolve(data))));
const fails = async (...rest) => {
  assert.equal(await call(...rest).catch(() => "refused"), "refused");
};
(async () => {
  await call("flush");
  assert.equal(await call("set", "a", "text", 60), true);
  assert.equal(await call("get", "a"), "text");
  assert.equal(await call("get", "none"), undefined);
  const { cas } = await call("gets", "a");
  assert.equal(await call("cas", "a", "new", cas, 60), true);
  assert.equal(await call("cas", "a", "newer", cas, 60), false);
  await fails("add", "a", "x", 60);
  assert.equal(await call("replace", "a", "y", 60), true);
  assert.equal(await call("append", "a", "z"), true);
  assert.equal(await call("prepend", "a", "x"), true);
  assert.deepEqual(await call("getMulti", ["a", "none"]), { a: "xyz" });
  assert.equal(await call("set", "n", 5, 60), true);
  assert.equal(await call("incr", "n", 3), 8);
  assert.equal(await call("decr", "n", 10), 0);
  assert.equal(await call("touch", "n", 100), true);
  assert.equal(await call("del", "a"), true);
  assert.equal(await call("del", "a"), false);
  assert.equal((await call("version"))[0].version, "1.6.18");
  client.end();
})().catch((error) => { console.error(error); process.exit(1); });
"#;

#[test]
fn the_memcached_package_of_node_works() {
    let server = serve();
    let port = server.port.to_string();
    let test = ["node", "-e", OTHER_NODE, "--", &port];
    run("memcached (Node)", &["node", "-e", "require('memcached')"], &test);
}
