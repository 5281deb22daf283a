//! The cases of caches.

use std::collections::BTreeSet;

use bytes::Bytes;
use staleproof::backend::memcached_model::{ITEM_BYTES_MAX, item_bytes};
use staleproof::backend::{Cache, Origin};
use staleproof::history::record::StepKind;
use staleproof::step::{
    CacheCommand, CacheReply, Command, ConnectionId, Direction, Footprint, Item, Key,
    MetaArithmetic, MetaDelete, MetaGet, MetaMode, MetaSet, NodeId, Remaining, Ttl, Verb, Win,
};
use staleproof::time::Time;

/// One thing that is done, and what must come of it, as `shown` puts it.
pub enum Step {
    Ask(CacheCommand, &'static str),
    /// A command with the CAS id of the item that was found last.
    WithCas(fn(u64) -> CacheCommand, &'static str),
    /// So many seconds pass.
    Pass(u64),
    /// An item is evicted; whether there was one.
    Evict(&'static str, bool),
    Restart,
    Close,
}

use Step::{Ask, Close, Evict, Pass, Restart, WithCas};

/// A client's answer that is not the server's.
struct Exception {
    /// Under which names.
    on: &'static [&'static str],
    /// The command.
    command: &'static str,
    /// What is expected, and what this client says.
    expected: &'static str,
    says: &'static str,
    /// Why.
    _reason: &'static str,
}

const fn exception(
    on: &'static [&'static str],
    command: &'static str,
    (expected, says): (&'static str, &'static str),
    reason: &'static str,
) -> Exception {
    Exception { on, command, expected, says, _reason: reason }
}

const ASCII: &[&str] = &["memcached ascii"];
const CLASSIC: &[&str] = &["memcached ascii", "memcached binary"];
const NO_NAME: &str = "the client has no name for the status of a value that is no number";
const BINARY: &[&str] = &["memcached binary"];
const OK_ANYWAY: &str = "the client's ascii add, replace, append and prepend say ok to NOT_STORED";

const REAL: &[&str] = &["memcached", "memcached ascii", "memcached binary"];
const BEFORE: &str = "the client asks for the time left before it gives a new one, and is told the \
                      old one; the model tells what is left afterwards";

const EXCEPTIONS: &[Exception] = &[
    exception(REAL, "meta-get", ("found `` ttl 30 won", "found `` won"), BEFORE),
    exception(REAL, "meta-get", ("found `2` ttl 50", "found `2`"), BEFORE),
    exception(ASCII, "add", ("not stored", "stored"), OK_ANYWAY),
    exception(ASCII, "replace", ("not stored", "stored"), OK_ANYWAY),
    exception(ASCII, "append", ("not stored", "stored"), OK_ANYWAY),
    exception(ASCII, "prepend", ("not stored", "stored"), OK_ANYWAY),
    exception(CLASSIC, "cas", ("not found", "exists"), "the client says false to either"),
    exception(BINARY, "incr", ("refused NotNumeric", "refused BadCommandLine"), NO_NAME),
    exception(BINARY, "decr", ("refused NotNumeric", "refused BadCommandLine"), NO_NAME),
    exception(
        BINARY,
        "get",
        ("miss", "found `3`"),
        "an expiry is unsigned in a packet: -1 is a date in 2106",
    ),
    exception(BINARY, "prepend", ("refused TooLarge", "stored"), "the client's prepend says ok"),
    exception(
        BINARY,
        "get",
        ("found `1048516 bytes`", "miss"),
        "a binary cas is a set with a CAS id, and an oversize set removes the old item",
    ),
    exception(
        BINARY,
        "prepend",
        ("not stored", "stored"),
        "the client's prepend says ok to a miss",
    ),
    exception(
        BINARY,
        "incr",
        ("not found", "number 0"),
        "the client's binary incr and decr create a missing counter at 0",
    ),
    exception(
        BINARY,
        "decr",
        ("not found", "number 0"),
        "the client's binary incr and decr create a missing counter at 0",
    ),
];

fn shown(command: &CacheCommand, reply: &CacheReply) -> String {
    match reply {
        CacheReply::Found(item) => found(item, matches!(command, CacheCommand::MetaGet(_))),
        CacheReply::Miss => "miss".to_owned(),
        CacheReply::Stored => "stored".to_owned(),
        CacheReply::NotStored => "not stored".to_owned(),
        CacheReply::Exists => "exists".to_owned(),
        CacheReply::NotFound => "not found".to_owned(),
        CacheReply::Deleted => "deleted".to_owned(),
        CacheReply::Touched => "touched".to_owned(),
        CacheReply::Number(number) => format!("number {number}"),
        CacheReply::Ok => "ok".to_owned(),
        CacheReply::Version(version) => {
            assert!(version.starts_with(|c: char| c.is_ascii_digit()), "{version}");
            "version".to_owned()
        }
        CacheReply::Refusal(refusal) => format!("refused {refusal:?}"),
    }
}

/// The value and the flags; of a meta get also what only that tells.
fn found(item: &Item, tells_of_leases: bool) -> String {
    let value = match item.value.len() {
        0..=40 => item.value.escape_ascii().to_string(),
        bytes => format!("{bytes} bytes"),
    };
    let mut text = format!("found `{value}`");
    if item.flags != 0 {
        text += &format!(" flags {}", item.flags);
    }
    if !tells_of_leases {
        return text;
    }
    if let Remaining::Seconds(seconds) = item.remaining {
        text += &format!(" ttl {seconds}");
    }
    if item.stale {
        text += " stale";
    }
    match item.win {
        Win::None => text,
        Win::Won => text + " won",
        Win::Lost => text + " lost",
    }
}

/// Runs all cases.
pub fn conform(name: &str, cache: &mut dyn Cache) {
    let (mut now, mut used, mut seen) = (Time(1_500_000_000), BTreeSet::new(), BTreeSet::new());
    let mut wrong = Vec::new();
    assert!(cache.clock().follows(), "{name}: time must pass as the suite says");
    for (case, steps) in cases() {
        let mut token = 0;
        for (number, step) in steps.into_iter().enumerate() {
            let (command, expected) = match step {
                Ask(command, expected) => (command, expected),
                WithCas(command, expected) => (command(token), expected),
                Pass(seconds) => {
                    now = Time(now.nanos() + seconds * 1_000_000_000);
                    continue;
                }
                Evict(key, was_there) => {
                    let evicted = cache.evict(now, NodeId(0), &Key::from(key)).unwrap();
                    assert_eq!(evicted, was_there, "{name}, {case}, step {number}");
                    continue;
                }
                Restart => {
                    cache.restart(now, NodeId(0)).unwrap();
                    continue;
                }
                Close => {
                    cache.close(ConnectionId(1));
                    continue;
                }
            };
            seen.insert(StepKind::of(&Command::Cache(command.clone())));
            let mut off = Footprint::off();
            let (node, on, origin) = (NodeId(0), ConnectionId(1), Origin::default());
            let reply = cache.execute(now, node, on, origin, &command, &mut off);
            let reply = match reply {
                Ok(reply) => reply,
                Err(error) => {
                    wrong.push(format!(
                        "{name}, {case}, step {number}: {}: {error}",
                        command.name()
                    ));
                    continue;
                }
            };
            if let CacheReply::Found(item) = &reply {
                token = item.cas;
            }
            let says = shown(&command, &reply);
            if says != expected {
                let place = EXCEPTIONS.iter().position(|exception| {
                    exception.on.contains(&name)
                        && exception.command == command.name()
                        && (exception.expected, exception.says) == (expected, &*says)
                });
                match place {
                    Some(place) => drop(used.insert(place)),
                    None => wrong.push(format!(
                        "{name}, {case}, step {number}: {} is `{says}`, not `{expected}`",
                        command.name()
                    )),
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for (place, exception) in EXCEPTIONS.iter().enumerate() {
        let applies = exception.on.contains(&name);
        assert_eq!(applies, used.contains(&place), "{name}: no exception: {}", exception.command);
    }
    let all = StepKind::SENT.into_iter().filter(|kind| kind.is_cache());
    let left_out: Vec<StepKind> = all.filter(|kind| !seen.contains(kind)).collect();
    assert_eq!(left_out, [], "commands without a case");
}

fn get(key: &str) -> CacheCommand {
    CacheCommand::Get { key: Key::from(key) }
}

fn gat(key: &str, ttl: i64) -> CacheCommand {
    CacheCommand::GetAndTouch { key: Key::from(key), ttl: Ttl(ttl) }
}

fn touch(key: &str, ttl: i64) -> CacheCommand {
    CacheCommand::Touch { key: Key::from(key), ttl: Ttl(ttl) }
}

fn delete(key: &str) -> CacheCommand {
    CacheCommand::Delete { key: Key::from(key) }
}

fn store(verb: Verb, key: &str, value: impl Into<Bytes>, flags: u32, ttl: i64) -> CacheCommand {
    CacheCommand::Store { verb, key: Key::from(key), value: value.into(), flags, ttl: Ttl(ttl) }
}

fn put(verb: Verb, key: &str, value: &'static str) -> CacheCommand {
    store(verb, key, value, 0, 0)
}

fn set(key: &str, value: &'static str) -> CacheCommand {
    put(Verb::Set, key, value)
}

fn count(direction: Direction, key: &str, delta: u64) -> CacheCommand {
    CacheCommand::Arithmetic { direction, key: Key::from(key), delta }
}

fn mg(key: &str) -> MetaGet {
    MetaGet { key: Key::from(key), vivify: None, recache: None, touch: None, peek: false }
}

fn peek(key: &str) -> CacheCommand {
    CacheCommand::MetaGet(MetaGet { peek: true, ..mg(key) })
}

fn lease(key: &str, ttl: i64) -> CacheCommand {
    CacheCommand::MetaGet(MetaGet { vivify: Some(Ttl(ttl)), ..mg(key) })
}

fn ms(key: &str, value: &'static str) -> MetaSet {
    MetaSet {
        key: Key::from(key),
        value: value.into(),
        flags: 0,
        ttl: Ttl::NEVER,
        mode: MetaMode::Set,
        cas: None,
        invalidate: false,
        vivify: None,
    }
}

fn md(key: &str) -> MetaDelete {
    MetaDelete { key: Key::from(key), cas: None, invalidate: false, ttl: None }
}

fn ma(key: &str, direction: Direction, delta: u64) -> MetaArithmetic {
    let (vivify, initial, ttl, cas) = (None, 0, None, None);
    MetaArithmetic { key: Key::from(key), direction, delta, vivify, initial, ttl, cas }
}

use CacheCommand::{MetaArithmetic as Ma, MetaDelete as Md, MetaGet as Mg, MetaSet as Ms};
use Direction::{Decrement, Increment};

/// The cases, each with keys of its own.
fn cases() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        ("values", values()),
        ("conditions", conditions()),
        ("cas", cas()),
        ("counters", counters()),
        ("expiry", expiry()),
        ("keys", keys()),
        ("sizes", sizes()),
        ("leases", leases()),
        ("meta stores", meta_stores()),
        ("meta deletes", meta_deletes()),
        ("meta counters", meta_counters()),
        ("flush", flush()),
        ("the node", node()),
    ]
}

fn values() -> Vec<Step> {
    vec![
        Ask(get("v"), "miss"),
        Ask(set("v", "1"), "stored"),
        Ask(get("v"), "found `1`"),
        Ask(store(Verb::Set, "v", "two", 7, 0), "stored"),
        Ask(get("v"), "found `two` flags 7"),
        Ask(store(Verb::Set, "v", "", u32::MAX, 0), "stored"),
        Ask(get("v"), "found `` flags 4294967295"),
        Ask(set("v", "a\r\nEND\r\n\0"), "stored"),
        Ask(get("v"), r"found `a\r\nEND\r\n\x00`"),
        Ask(delete("v"), "deleted"),
        Ask(delete("v"), "not found"),
        Ask(get("v"), "miss"),
        Ask(CacheCommand::Version, "version"),
    ]
}

fn conditions() -> Vec<Step> {
    vec![
        Ask(put(Verb::Replace, "c", "0"), "not stored"),
        Ask(put(Verb::Append, "c", "0"), "not stored"),
        Ask(put(Verb::Prepend, "c", "0"), "not stored"),
        Ask(get("c"), "miss"),
        Ask(store(Verb::Add, "c", "1", 3, 0), "stored"),
        Ask(put(Verb::Add, "c", "2"), "not stored"),
        Ask(get("c"), "found `1` flags 3"),
        Ask(put(Verb::Append, "c", ">"), "stored"),
        Ask(put(Verb::Prepend, "c", "<"), "stored"),
        Ask(get("c"), "found `<1>` flags 3"),
        Ask(put(Verb::Replace, "c", "4"), "stored"),
        Ask(get("c"), "found `4`"),
    ]
}

fn cas() -> Vec<Step> {
    let swap = |token| put(Verb::Cas(token), "t", "2");
    vec![
        Ask(put(Verb::Cas(1), "t", "0"), "not found"),
        Ask(set("t", "1"), "stored"),
        Ask(get("t"), "found `1`"),
        WithCas(swap, "stored"),
        WithCas(swap, "exists"),
        Ask(get("t"), "found `2`"),
        Ask(touch("t", 100), "touched"),
        WithCas(|token| put(Verb::Cas(token), "t", "3"), "stored"),
        Ask(get("t"), "found `3`"),
        Ask(set("t", "4"), "stored"),
        WithCas(swap, "exists"),
    ]
}

fn counters() -> Vec<Step> {
    vec![
        Ask(count(Increment, "n", 1), "not found"),
        Ask(count(Decrement, "m", 1), "not found"),
        Ask(set("n", "10"), "stored"),
        Ask(count(Increment, "n", 5), "number 15"),
        Ask(count(Decrement, "n", 6), "number 9"),
        Ask(get("n"), "found `9 `"),
        Ask(count(Decrement, "n", 20), "number 0"),
        Ask(set("n", "18446744073709551615"), "stored"),
        Ask(count(Increment, "n", 2), "number 1"),
        Ask(set("n", "x"), "stored"),
        Ask(count(Increment, "n", 1), "refused NotNumeric"),
        Ask(count(Decrement, "n", 1), "refused NotNumeric"),
        Ask(get("n"), "found `x`"),
    ]
}

fn expiry() -> Vec<Step> {
    vec![
        Ask(store(Verb::Set, "e", "1", 0, 10), "stored"),
        Pass(8),
        Ask(get("e"), "found `1`"),
        Ask(touch("e", 20), "touched"),
        Pass(15),
        Ask(gat("e", 5), "found `1`"),
        Pass(3),
        Ask(Mg(mg("e")), "found `1` ttl 2"),
        Pass(4),
        Ask(get("e"), "miss"),
        Ask(touch("e", 5), "not found"),
        Ask(gat("e", 5), "miss"),
        Ask(put(Verb::Add, "e", "2"), "stored"),
        Pass(100_000),
        Ask(Mg(mg("e")), "found `2`"),
        Ask(store(Verb::Set, "e", "3", 0, -1), "stored"),
        Ask(get("e"), "miss"),
        // Beyond 30 days it is a date, here one of 1970.
        Ask(store(Verb::Set, "e", "4", 0, 2_592_001), "stored"),
        Ask(get("e"), "miss"),
        Ask(store(Verb::Set, "e", "5", 0, 2_592_000), "stored"),
        Ask(Mg(mg("e")), "found `5` ttl 2592000"),
    ]
}

fn keys() -> Vec<Step> {
    let (longest, longer) = ("k".repeat(250), "k".repeat(251));
    let mut steps = vec![
        Ask(set(&longest, "1"), "stored"),
        Ask(get(&longest), "found `1`"),
        Ask(touch(&longest, 0), "touched"),
        Ask(delete(&longest), "deleted"),
    ];
    for command in [
        get(&longer),
        gat(&longer, 0),
        touch(&longer, 0),
        delete(&longer),
        count(Increment, &longer, 1),
        set(&longer, "1"),
        put(Verb::Add, &longer, "1"),
        put(Verb::Cas(1), &longer, "1"),
        Mg(mg(&longer)),
        Ms(ms(&longer, "1")),
        Md(md(&longer)),
        Ma(ma(&longer, Increment, 1)),
    ] {
        steps.push(Ask(command, "refused BadCommandLine"));
    }
    steps.push(Ask(get(&longest), "miss"));
    steps
}

fn sizes() -> Vec<Step> {
    let of = |bytes: usize| Bytes::from(vec![b'x'; bytes]);
    let most = (ITEM_BYTES_MAX - item_bytes(1, 0, 0)) as usize;
    let too_large = "refused TooLarge";
    let held: &'static str = format!("found `{most} bytes`").leak();
    let mut steps = vec![
        Ask(store(Verb::Set, "z", of(most), 0, 0), "stored"),
        Ask(get("z"), held),
        Ask(put(Verb::Append, "z", "x"), "not stored"),
        Ask(get("z"), held),
    ];
    for verb in [Verb::Add, Verb::Replace, Verb::Append, Verb::Prepend, Verb::Cas(1)] {
        steps.push(Ask(store(verb, "z", of(most + 1), 0, 0), too_large));
        steps.push(Ask(get("z"), held));
    }
    // An oversize set removes the old item, as an oversize `ms` of any mode does.
    steps.extend([
        Ask(store(Verb::Set, "z", of(most + 1), 0, 0), too_large),
        Ask(get("z"), "miss"),
        Ask(set("z", "1"), "stored"),
        Ask(Ms(MetaSet { value: of(most + 1), mode: MetaMode::Replace, ..ms("z", "") }), too_large),
        Ask(get("z"), "miss"),
    ]);
    steps
}

fn leases() -> Vec<Step> {
    let stale = MetaDelete { invalidate: true, ttl: Some(Ttl(30)), ..md("l") };
    let early = MetaGet { recache: Some(Ttl(60)), ..mg("l") };
    vec![
        Ask(lease("l", 30), "found `` ttl 30 won"),
        Ask(lease("l", 30), "found `` ttl 30 lost"),
        Ask(get("l"), "found ``"),
        WithCas(|token| Ms(MetaSet { cas: Some(token), ..ms("l", "1") }), "stored"),
        Ask(lease("l", 30), "found `1`"),
        Ask(Md(stale.clone()), "deleted"),
        Ask(Mg(mg("l")), "found `1` ttl 30 stale won"),
        Ask(Mg(mg("l")), "found `1` ttl 30 stale lost"),
        Ask(peek("l"), "found `1` ttl 30 stale lost"),
        // Who invalidates it again gives the right to refill it again.
        Ask(Md(stale), "deleted"),
        Ask(Mg(mg("l")), "found `1` ttl 30 stale won"),
        Ask(Ms(ms("l", "2")), "stored"),
        Ask(Mg(mg("l")), "found `2`"),
        Ask(Mg(MetaGet { touch: Some(Ttl(50)), ..mg("l") }), "found `2` ttl 50"),
        Ask(Mg(early.clone()), "found `2` ttl 50 won"),
        Ask(Mg(early), "found `2` ttl 50 lost"),
        Ask(Mg(mg("nothing")), "miss"),
        Ask(peek("nothing"), "miss"),
    ]
}

fn meta_stores() -> Vec<Step> {
    let mode = |mode| move |value| Ms(MetaSet { mode, ..ms("s", value) });
    let (add, replace) = (mode(MetaMode::Add), mode(MetaMode::Replace));
    let (append, prepend) = (mode(MetaMode::Append), mode(MetaMode::Prepend));
    let vivify = MetaSet { mode: MetaMode::Append, vivify: Some(Ttl(40)), ..ms("s2", "x") };
    vec![
        Ask(replace("0"), "not stored"),
        Ask(append("0"), "not stored"),
        Ask(prepend("0"), "not stored"),
        Ask(Ms(MetaSet { cas: Some(1), ..ms("s", "0") }), "not found"),
        Ask(add("1"), "stored"),
        Ask(add("2"), "not stored"),
        Ask(append(">"), "stored"),
        Ask(prepend("<"), "stored"),
        Ask(Mg(mg("s")), "found `<1>`"),
        Ask(Ms(MetaSet { flags: 9, ttl: Ttl(20), ..ms("s", "3") }), "stored"),
        WithCas(|token| Ms(MetaSet { cas: Some(token), ..ms("s", "4") }), "exists"),
        Ask(Mg(mg("s")), "found `3` flags 9 ttl 20"),
        WithCas(|token| Ms(MetaSet { cas: Some(token), ..ms("s", "5") }), "stored"),
        // An older CAS id: with `I` it is stored, and stale.
        WithCas(
            |token| Ms(MetaSet { cas: Some(token), invalidate: true, ..ms("s", "6") }),
            "stored",
        ),
        Ask(Mg(mg("s")), "found `6` stale won"),
        // memcached 1.6.18 does not create on an append, whatever `N` says.
        Ask(Ms(vivify), "not stored"),
        Ask(Mg(mg("s2")), "miss"),
    ]
}

fn meta_deletes() -> Vec<Step> {
    let with_cas = |token| Md(MetaDelete { cas: Some(token), ..md("d") });
    vec![
        Ask(Md(md("d")), "not found"),
        Ask(Md(MetaDelete { cas: Some(1), ..md("d") }), "not found"),
        Ask(set("d", "1"), "stored"),
        Ask(get("d"), "found `1`"),
        Ask(set("d", "2"), "stored"),
        WithCas(with_cas, "exists"),
        Ask(get("d"), "found `2`"),
        WithCas(with_cas, "deleted"),
        Ask(get("d"), "miss"),
    ]
}

fn meta_counters() -> Vec<Step> {
    let start = MetaArithmetic { vivify: Some(Ttl(60)), initial: 7, ..ma("a", Increment, 2) };
    vec![
        Ask(Ma(ma("a", Increment, 1)), "not found"),
        Ask(Ma(start.clone()), "number 7"),
        Ask(Ma(start), "number 9"),
        Ask(Ma(ma("a", Decrement, 20)), "number 0"),
        Ask(Mg(mg("a")), "found `0` ttl 60"),
        Ask(Ma(MetaArithmetic { ttl: Some(Ttl(90)), ..ma("a", Increment, 1) }), "number 1"),
        Ask(Ma(MetaArithmetic { cas: Some(1), ..ma("a", Increment, 1) }), "exists"),
        Ask(Mg(mg("a")), "found `1` ttl 90"),
        Ask(set("a", "x"), "stored"),
        Ask(Ma(ma("a", Increment, 1)), "refused NotNumeric"),
    ]
}

fn flush() -> Vec<Step> {
    vec![
        Ask(set("f", "1"), "stored"),
        Ask(CacheCommand::FlushAll { delay: None }, "ok"),
        Ask(get("f"), "miss"),
        Pass(2),
        Ask(set("f", "2"), "stored"),
        Ask(CacheCommand::FlushAll { delay: Some(5) }, "ok"),
        Ask(get("f"), "found `2`"),
        Pass(7),
        Ask(get("f"), "miss"),
    ]
}

fn node() -> Vec<Step> {
    vec![
        Evict("x", false),
        Ask(set("x", "1"), "stored"),
        Evict("x", true),
        Ask(get("x"), "miss"),
        Ask(set("x", "2"), "stored"),
        Close,
        Ask(get("x"), "found `2`"),
        Restart,
        Ask(get("x"), "miss"),
        Ask(set("x", "3"), "stored"),
        Ask(get("x"), "found `3`"),
    ]
}
