//! Simulated application operations per second, with faults armed and history recorded.
//!
//! cache-aside, 8 clients, 32 keys, zipf, 70 % reads: what DESIGN.md's figure is about.
//! The same plan runs on the model database and on real SQLite, so the two are compared
//! within one run.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use staleproof::backend::Database;
use staleproof::backend::database_model::Model;
use staleproof::backend::memcached_model::{Limits, Nodes};
use staleproof::backend::sqlite::Sqlite;
use staleproof::entity::Product;
use staleproof::pattern::Registry;
use staleproof::plan::Plan;
use staleproof::run::{memory, metrics};
use staleproof::scenario::{Known, Record, Scenario, parse};
use staleproof::schedule::{Setup, simulate};
use staleproof::seed::Seed;

const OPERATIONS: u64 = 200_000;

fn scenario(record: Record) -> Scenario {
    let text = format!(
        "claim = \"speed\"\npattern = \"cache-aside\"\n\
         [workload]\nclients = 8\nrows = 32\noperations = {}\n\
         [[fault]]\ndo = \"lose-reply\"\non = \"cache.delete\"\nprobability = 0.000001\n",
        OPERATIONS / 8
    );
    let specs = metrics::specs();
    let known = Known { patterns: vec!["cache-aside"], entities: vec!["product"], metrics: &specs };
    let mut scenario = parse("bench.toml".as_ref(), &text, &known).expect("it is well-formed");
    scenario.record = record;
    scenario
}

fn run(scenario: &Scenario, plan: &Plan, registry: &Registry, database: &mut dyn Database) {
    let mut cache = Nodes::new(Limits::default(), &[0]);
    let history = simulate(Setup {
        scenario,
        seed: Seed(1),
        plan,
        entry: registry.find("cache-aside").expect("it is built in"),
        entity: Arc::new(Product),
        cache: &mut cache,
        database,
        node_names: &["node0:11211".to_owned()],
    });
    assert_eq!(black_box(history.expect("nothing fails").ops.len() as u64), OPERATIONS);
}

fn simulation(criterion: &mut Criterion) {
    // As `staleproof run` does.
    memory::keep_freed();
    let registry = Registry::built_in();
    let mut group = criterion.benchmark_group("simulation");
    group.throughput(Throughput::Elements(OPERATIONS)).sample_size(10);
    for (name, record) in [("steps", Record::Steps), ("operations", Record::Operations)] {
        let scenario = scenario(record);
        let plan = Plan::draw(&scenario, Seed(1), &Product);
        group.bench_function(format!("model database, {name} recorded"), |bencher| {
            bencher.iter(|| run(&scenario, &plan, &registry, &mut Model::new()));
        });
        group.bench_function(format!("SQLite in memory, {name} recorded"), |bencher| {
            bencher.iter(|| {
                let mut sqlite = Sqlite::in_memory().expect("memory is there");
                run(&scenario, &plan, &registry, &mut sqlite);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, simulation);
criterion_main!(benches);
