//! The executor alone against tokio with paused time and shuttle: the same toy program, in
//! one run, so that the ratios mean something on a busy machine.
//!
//! The program: eight clients, each of whose operations waits twice (a request on its way, a
//! reply on its way) and then records what it saw. Here and in tokio a wait is a sleep in
//! virtual time of 1 to 4 ms; shuttle has no time, so there it is a point at which another
//! task may be scheduled.

use std::cell::RefCell;
use std::hint::black_box;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use staleproof::backend::database_model::Model;
use staleproof::backend::memcached_model::{Limits, Nodes};
use staleproof::entity::Product;
use staleproof::operation::{Op, Reply};
use staleproof::pattern::{Cx, Failure, Registry};
use staleproof::plan::Plan;
use staleproof::scenario::{Known, Scenario, parse};
use staleproof::schedule::{Setup, simulate};
use staleproof::seed::Seed;

const CLIENTS: u64 = 8;
const OPERATIONS: u64 = 25_000;
const ROUNDS: usize = 9;

/// A wait, from the client's own little sequence of numbers.
fn wait(state: &mut u64) -> Duration {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    Duration::from_millis(1 + (*state >> 62))
}

async fn toy(cx: &Cx, op: Op) -> Result<Reply, Failure> {
    let mut state = op.id.0;
    cx.sleep(wait(&mut state)).await;
    cx.sleep(wait(&mut state)).await;
    Ok(Reply::Row(None))
}

struct Ours {
    registry: Registry,
    scenario: Scenario,
    plan: Plan,
}

impl Ours {
    fn new() -> Ours {
        let registry = Registry::built_in().pattern("toy", "waits twice", toy);
        let text = format!(
            "claim = '-'\npattern = 'toy'\nrecord = 'operations'\n[workload]\n\
             clients = {CLIENTS}\noperations = {OPERATIONS}\nmix = {{ read = 1, update = 0 }}\nthink = '0s'\n"
        );
        let known = Known { patterns: vec!["toy"], entities: vec!["product"], metrics: &[] };
        let scenario = parse("toy.toml".as_ref(), &text, &known).expect("it is well-formed");
        let plan = Plan::draw(&scenario, Seed(1), &Product);
        Ours { registry, scenario, plan }
    }

    fn run(&self) {
        let mut cache = Nodes::new(Limits::default(), &[0]);
        let history = simulate(Setup {
            scenario: &self.scenario,
            seed: Seed(1),
            plan: &self.plan,
            entry: self.registry.find("toy").expect("it was added"),
            entity: Arc::new(Product),
            cache: &mut cache,
            database: &mut Model::new(),
            node_names: &["node0:11211".to_owned()],
        });
        assert_eq!(history.expect("nothing fails").ops.len() as u64, CLIENTS * OPERATIONS);
    }
}

fn tokio_paused() {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().expect("no threads are needed");
    let history = Rc::new(RefCell::new(Vec::new()));
    let tasks = tokio::task::LocalSet::new();
    for client in 0..CLIENTS {
        let history = Rc::clone(&history);
        tasks.spawn_local(async move {
            let mut state = client;
            for number in 0..OPERATIONS {
                let start = tokio::time::Instant::now();
                tokio::time::sleep(wait(&mut state)).await;
                tokio::time::sleep(wait(&mut state)).await;
                let end = tokio::time::Instant::now();
                history.borrow_mut().push((client, number, start, end));
            }
        });
    }
    runtime.block_on(tasks);
    assert_eq!(black_box(history.borrow().len()) as u64, CLIENTS * OPERATIONS);
}

fn shuttle_random() {
    let history = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&history);
    let mut config = shuttle::Config::new();
    config.max_steps = shuttle::MaxSteps::None;
    let scheduler = shuttle::scheduler::RandomScheduler::new_from_seed(1, 1);
    shuttle::Runner::new(scheduler, config).run(move || {
        let client = |client: u64| {
            let history = Arc::clone(&history);
            shuttle::future::spawn(async move {
                for number in 0..OPERATIONS {
                    shuttle::future::yield_now().await;
                    shuttle::future::yield_now().await;
                    history.lock().expect("nobody panics").push((client, number));
                }
            })
        };
        let tasks: Vec<_> = (0..CLIENTS).map(client).collect();
        for task in tasks {
            shuttle::future::block_on(task).expect("nobody panics");
        }
    });
    assert_eq!(seen.lock().expect("nobody panics").len() as u64, CLIENTS * OPERATIONS);
}

fn nanos_per_wait(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    start.elapsed().as_nanos() as f64 / (2 * CLIENTS * OPERATIONS) as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    let ours = Ours::new();
    let (mut own, mut tokio, mut shuttle) = (Vec::new(), Vec::new(), Vec::new());
    // In turn, so that whatever else the machine does strikes all alike.
    for _ in 0..ROUNDS {
        own.push(nanos_per_wait(|| ours.run()));
        tokio.push(nanos_per_wait(tokio_paused));
        shuttle.push(nanos_per_wait(shuttle_random));
    }
    let (own, tokio, shuttle) = (median(own), median(tokio), median(shuttle));
    println!("nanoseconds per wait, median of {ROUNDS} rounds");
    println!("  staleproof           {own:8.0}");
    println!("  tokio, paused time   {tokio:8.0}   {:.1} times as long", tokio / own);
    println!("  shuttle, random      {shuttle:8.0}   {:.1} times as long", shuttle / own);
}
