//! Where a cache starts to pay: a hit against the read that it saves, for a point select and for
//! a join of 20 rows, on SQLite, PostgreSQL and MariaDB, with and without a network between.
//!
//! One connection, one request at a time, through the clients that applications use; no
//! scheduler, no history. `benches/tradeoff.sh` puts what this prints into reports/tradeoff.md.

#[allow(dead_code, reason = "the tests use all of it")]
#[path = "../tests/common/given.rs"]
mod given;

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use memcache::exp::MetaClient;
use mysql::prelude::Queryable;
use staleproof::backend::memcached::own::{Options, OwnClock, OwnServer};

const LISTS: i32 = 100;
const ROWS_OF_A_LIST: i32 = 20;
const ROUNDS: usize = 2_000;
/// What a network adds to each message, in each direction.
const DELAYS: [Duration; 2] = [Duration::ZERO, Duration::from_micros(250)];

const POINT: &str = "SELECT id, name, price FROM product WHERE id = ?";
const JOIN: &str = "SELECT product.id, product.name, product.price, entry.place FROM entry \
                    JOIN product ON product.id = entry.product WHERE entry.list = ? \
                    ORDER BY entry.place";

/// A read of the database: its list or product number, and how many rows came.
type Query<'a> = Box<dyn FnMut(i32) -> usize + 'a>;

fn main() {
    let options = Options { clock: OwnClock::Machine, ..Options::new("memcached".as_ref()) };
    let memcached = match OwnServer::start(&options) {
        Ok(server) => server,
        Err(error) => return eprintln!("SKIPPED: {error}"),
    };
    let servers: Vec<given::Given> =
        ["postgres", "mariadb"].map(given::start).into_iter().flatten().collect();
    for server in &servers {
        // MariaDB's user has no database of its own yet.
        let own = if server.kind == "mariadb" { "CREATE DATABASE shop; USE shop; " } else { "" };
        server.ask(&(own.to_owned() + &filling()));
    }
    println!("| network | database | read | direct | hit | miss | pays from hit ratio |");
    println!("|---|---|---|--:|--:|--:|--:|");
    for delay in DELAYS {
        let cache_port = memcached.address().rsplit(':').next().and_then(|port| port.parse().ok());
        let cache_port = through(cache_port.expect("an address ends in a port"), delay);
        let network = match delay {
            Duration::ZERO => "none".to_owned(),
            delay => format!("{} µs each way", delay.as_micros()),
        };
        // The classic client asks for the version before each command, twice the way.
        let client = MetaClient::connect(format!("127.0.0.1:{cache_port}"));
        let client = client.expect("memcached accepts");
        let show = |database: &str, read: &str, size: usize, query: &mut Query| {
            let direct = median(ROUNDS, |round| assert!(query(round as i32 % LISTS) > 0));
            let value = vec![b'x'; size];
            client.set("hit", &value).send().expect("it fits");
            let hit = median(ROUNDS, |_| {
                let found = client.get("hit").send().expect("memcached answers").value;
                assert_eq!(found.map(|found| found.len()), Some(size));
            });
            let miss = median(ROUNDS, |round| {
                let key = format!("miss:{database}:{read}:{network}:{round}").replace(' ', "-");
                let found = client.get(&key).send().expect("memcached answers").value;
                assert_eq!(found, None);
                assert!(query(round as i32 % LISTS) > 0);
                client.set(&key, &value).send().expect("it fits");
            });
            let pays = (miss - direct) / (miss - hit);
            let pays = if hit >= direct { "never".to_owned() } else { format!("{pays:.2}") };
            println!(
                "| {network} | {database} | {read} | {direct:.1} µs | {hit:.1} µs | {miss:.1} µs \
                 | {pays} |"
            );
        };
        if delay.is_zero() {
            // A call into a library: no network lies between.
            let sqlite = rusqlite::Connection::open_in_memory().expect("memory is there");
            sqlite.execute_batch(&filling()).expect("the tables are well-formed");
            for (read, sql, size) in [("point select", POINT, 60), ("20-row join", JOIN, 1_200)] {
                let mut statement = sqlite.prepare(sql).expect("it is well-formed");
                let mut query: Query = Box::new(move |id| {
                    let rows = statement.query_map([id], |row| row.get::<_, String>(1));
                    let names: Result<Vec<String>, _> = rows.expect("it runs").collect();
                    names.expect("they are texts").len()
                });
                show("SQLite", read, size, &mut query);
            }
        }
        for server in &servers {
            let port = through(server.port, delay);
            for (read, sql, size) in [("point select", POINT, 60), ("20-row join", JOIN, 1_200)] {
                if server.kind == "postgres" {
                    let config = server.config(port);
                    let mut client =
                        postgres::Client::connect(&config, postgres::NoTls).expect("it accepts");
                    let statement =
                        client.prepare(&sql.replace('?', "$1")).expect("it is well-formed");
                    let mut query: Query = Box::new(move |id| {
                        client.query(&statement, &[&id]).expect("it runs").len()
                    });
                    show("PostgreSQL", read, size, &mut query);
                } else {
                    let mut client = server.mariadb(port);
                    client.query_drop("USE shop").expect("it was made");
                    let statement = client.prep(sql).expect("it is well-formed");
                    let mut query: Query = Box::new(move |id| {
                        let rows: Vec<mysql::Row> =
                            client.exec(&statement, (id,)).expect("it runs");
                        rows.len()
                    });
                    show("MariaDB", read, size, &mut query);
                }
            }
        }
    }
}

/// Products, and lists of 20 of them each.
fn filling() -> String {
    let products = LISTS * ROWS_OF_A_LIST;
    let mut sql =
        "CREATE TABLE product (id INTEGER PRIMARY KEY, name VARCHAR(40), price INTEGER); \
                   CREATE TABLE entry (list INTEGER, place INTEGER, product INTEGER, \
                   PRIMARY KEY (list, place)); "
            .to_owned();
    let product = |id: i32| format!("({id}, 'the product with number {id}', {})", id * 7 % 1000);
    let rows: Vec<String> = (0..products).map(product).collect();
    sql.push_str(&format!("INSERT INTO product VALUES {}; ", rows.join(",")));
    // The products of one list lie far apart.
    let entry = |n: i32| {
        format!("({}, {}, {})", n / ROWS_OF_A_LIST, n % ROWS_OF_A_LIST, n * 7_919 % products)
    };
    let rows: Vec<String> = (0..products).map(entry).collect();
    sql.push_str(&format!("INSERT INTO entry VALUES {};", rows.join(",")));
    sql
}

/// Microseconds of the middle one of many calls.
fn median(rounds: usize, mut call: impl FnMut(usize)) -> f64 {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|round| {
            let begun = Instant::now();
            call(round);
            begun.elapsed()
        })
        .collect();
    times.sort();
    times[rounds / 2].as_secs_f64() * 1e6
}

/// The port of a proxy that keeps each message back for a while, or the port itself.
fn through(port: u16, delay: Duration) -> u16 {
    if delay.is_zero() {
        return port;
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port is free");
    let own = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            let server = TcpStream::connect(("127.0.0.1", port)).expect("the server accepts");
            for stream in [&client, &server] {
                stream.set_nodelay(true).expect("a socket can be told not to wait");
            }
            let clone = |stream: &TcpStream| stream.try_clone().expect("there are descriptors");
            let (from, to) = (clone(&client), clone(&server));
            std::thread::spawn(move || forward(from, to, delay));
            std::thread::spawn(move || forward(server, client, delay));
        }
    });
    own
}

/// One direction, until either side ends: each piece goes on when its delay is over, however many
/// are under way.
fn forward(mut from: TcpStream, mut to: TcpStream, delay: Duration) {
    let (send, under_way) = channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        for (due, piece) in under_way {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if to.write_all(&piece).is_err() {
                break;
            }
        }
        // The other side may have gone already.
        let _ = to.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 65_536];
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if send.send((Instant::now() + delay, buffer[..count].to_vec())).is_err() {
            break;
        }
    }
}
