//! What the article promises, measured: a hit against a miss, and the latency of a
//! write-through write against a plain update; on the models, on SQLite, and on a real
//! memcached and PostgreSQL when they are installed (skipped visibly when not).
//!
//! One operation at a time, without think time: what is timed is the pattern's own code, the
//! scheduler and the servers. `benches/report.sh` writes `reports/benchmarks.md` from it.

use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use staleproof::backend::memcached::own::{Options, OwnClock, OwnServer};
use staleproof::operation::{Action, Op, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::run::{self, CacheChoice, DatabaseChoice, Servers, metrics};
use staleproof::scenario::{Known, Scenario, parse};
use staleproof::seed::Seed;
use staleproof::step::{Key, Ttl};

const OPERATIONS: u32 = 2_000;

fn scenario(pattern: &str, rows: u32, ttl: u32, mix: &str) -> Scenario {
    let text = format!(
        "claim = '-'\npattern = '{pattern}'\nrecord = 'operations'\n[workload]\nclients = 1\n\
         operations = {OPERATIONS}\nrows = {rows}\nthink = '0'\nkeys = 'uniform'\nmix = {mix}\n\
         [cache]\nttl-seconds = {ttl}\n"
    );
    let specs = metrics::specs();
    let known = Known { patterns: vec![pattern], entities: vec!["product"], metrics: &specs };
    let parsed = parse(Path::new("bench.toml"), &text, &known);
    parsed.unwrap_or_else(|problems| panic!("{}", problems[0]))
}

const READS: &str = "{ read = 1, update = 0 }";
const WRITES: &str = "{ read = 0, update = 1 }";

/// A read-through read that never hits: its key is new each time, and its entry goes after a
/// second, so that a real server does not fill up.
async fn miss(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let Action::Read(id) = op.action else {
        return Err(Failure::GaveUp("rows are only read"));
    };
    let key = Key::from(format!("miss:{}", NEXT.fetch_add(1, Ordering::Relaxed)));
    if cx.cache.get(&key).await?.is_some() {
        return Err(Failure::GaveUp("an entry that nobody has set"));
    }
    let row = cx.db.select(id).await?;
    if let Some(row) = &row {
        cx.cache.set(&key, cx.seal(row), Ttl::seconds(1)).await?;
    }
    Ok(Reply::Row(row))
}

/// The five ways of touching a row that a team compares.
fn cases() -> [(&'static str, Scenario); 5] {
    [
        // One row: all but the first read are hits.
        ("hit", scenario("read-through", 1, 0, READS)),
        ("miss", scenario("miss", 1, 0, READS)),
        ("direct select", scenario("no-cache", 1, 0, READS)),
        ("plain update", scenario("no-cache", 16, 0, WRITES)),
        ("write-through update", scenario("write-through", 16, 0, WRITES)),
    ]
}

fn patterns(criterion: &mut Criterion) {
    let registry = Registry::built_in().pattern("miss", "a read that never hits", miss);
    let options = Options { clock: OwnClock::Machine, ..Options::new("memcached".as_ref()) };
    let real = OwnServer::start(&options);
    let cache = |server: &OwnServer| CacheChoice::servers(vec![server.address().to_owned()]);
    let folder = tempfile::tempdir().expect("there is room for a database");
    let file = DatabaseChoice::SqliteFile(folder.path().join("bench.db"));
    let model = CacheChoice::Model;
    let mut servers = vec![
        ("models", model.clone(), DatabaseChoice::Model),
        ("model + SQLite in memory", model.clone(), DatabaseChoice::Sqlite),
        ("model + SQLite file", model, file),
    ];
    match &real {
        Ok(server) => {
            servers.push(("memcached + SQLite in memory", cache(server), DatabaseChoice::Sqlite));
        }
        Err(error) => eprintln!("SKIPPED memcached + SQLite: {error}"),
    }
    // A server of our own; it serves all runs of this process and ends with it.
    let postgres: DatabaseChoice = "postgres".parse().expect("it is a database");
    let trial = Servers { cache: CacheChoice::Model, database: postgres.clone() };
    match (run::run_once(&cases()[0].1, &registry, &trial, Seed(1)), &real) {
        (Err(error), _) => eprintln!("SKIPPED PostgreSQL: {error}"),
        (Ok(_), Err(_)) => servers.push(("model + PostgreSQL", CacheChoice::Model, postgres)),
        (Ok(_), Ok(server)) => servers.push(("memcached + PostgreSQL", cache(server), postgres)),
    }
    for (name, cache, database) in servers {
        let servers = Servers { cache, database };
        let mut group = criterion.benchmark_group(format!("patterns/{name}"));
        group.sample_size(10).warm_up_time(Duration::from_millis(300));
        group.measurement_time(Duration::from_secs(1));
        group.throughput(criterion::Throughput::Elements(u64::from(OPERATIONS)));
        for (case, scenario) in cases() {
            group.bench_function(case, |bencher| {
                bencher.iter(|| {
                    let run = run::run_once(&scenario, &registry, &servers, Seed(1));
                    let run = run.unwrap_or_else(|error| panic!("{error}"));
                    black_box(run.history.ops.len())
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, patterns);
criterion_main!(benches);
