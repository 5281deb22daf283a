//! The cost of a command in the modelled memcached: `cargo bench --bench cache_model`.
//!
//! Prints nanoseconds per command. What matters: a hit in well under 100 ns, since the
//! simulator is to do 2 million application operations a second with it.

use std::hint::black_box;
use std::time::Instant;

use bytes::Bytes;
use staleproof::backend::memcached_model::{Limits, Nodes};
use staleproof::backend::{Cache, Origin};
use staleproof::step::{CacheCommand, ConnectionId, Footprint, Key, NodeId, Ttl, Verb};
use staleproof::time::Time;

const KEYS: usize = 1_000;
const ROUNDS: usize = 5_000;

fn main() {
    let keys: Vec<Key> = (0..KEYS).map(|key| Key::from(format!("product:{key}"))).collect();
    let value = Bytes::from(vec![b'v'; 200]);
    let sets: Vec<CacheCommand> = keys
        .iter()
        .map(|key| CacheCommand::Store {
            verb: Verb::Set,
            key: key.clone(),
            value: value.clone(),
            flags: 0,
            ttl: Ttl(300),
        })
        .collect();
    let gets: Vec<CacheCommand> =
        keys.iter().map(|key| CacheCommand::Get { key: key.clone() }).collect();
    let misses: Vec<CacheCommand> = (0..KEYS)
        .map(|key| CacheCommand::Get { key: Key::from(format!("absent:{key}")) })
        .collect();
    let deletes: Vec<CacheCommand> =
        keys.iter().map(|key| CacheCommand::Delete { key: key.clone() }).collect();
    let refills: Vec<CacheCommand> =
        deletes.iter().zip(&sets).flat_map(|(d, s)| [d.clone(), s.clone()]).collect();
    for (limits, name) in
        [(Limits::default(), "unlimited"), (Limits { items: Some(KEYS), bytes: None }, "limited")]
    {
        let mut nodes = Nodes::new(limits, &[0]);
        for (what, commands) in [
            ("set", &sets),
            ("get, hit", &gets),
            ("get, miss", &misses),
            ("delete or set", &refills),
        ] {
            println!("{name:<10} {what:<14} {:>6.1} ns", measure(&mut nodes, commands));
        }
    }
}

fn measure(nodes: &mut Nodes, commands: &[CacheCommand]) -> f64 {
    let mut footprint = Footprint::off();
    let start = Instant::now();
    for round in 0..ROUNDS {
        let now = Time(round as u64 * 1_000);
        for command in commands {
            let (node, connection) = (NodeId(0), ConnectionId(0));
            let reply =
                nodes.execute(now, node, connection, Origin::default(), command, &mut footprint);
            black_box(reply.is_ok());
        }
    }
    start.elapsed().as_nanos() as f64 / (ROUNDS * commands.len()) as f64
}
