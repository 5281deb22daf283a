//! Time to exhaust small programs, and to hunt down the classic race.
//!
//! `benches/peers` has the comparison with another explorer.

use std::hint::black_box;
use std::ops::ControlFlow;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use staleproof::explore::{self, Hunt, Limits, Sizes, Subject, hunt};
use staleproof::pattern::Registry;
use staleproof::scenario::{Known, Property, Scenario, parse};
use staleproof::schedule::Search;

fn scenario() -> Scenario {
    let known = Known { patterns: vec!["cache-aside"], entities: vec!["product"], metrics: &[] };
    parse(Path::new("bench.toml"), "claim = '-'\npattern = 'cache-aside'\n", &known)
        .expect("it is well-formed")
}

fn subject(clients: u32, properties: &[Property], name_hazards: bool) -> Subject {
    let sizes = Sizes { readers: Some(clients), writers: Some(clients), keys: Some(1) };
    let mut subject =
        Subject::of(&scenario(), &Registry::built_in(), sizes).expect("it fits a search");
    subject.properties = properties.to_vec();
    // A verdict needs no names; how entries came to be then tells no states apart.
    subject.name_hazards = name_hazards;
    subject
}

fn exhaust(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exhaust cache-aside, one key");
    group.sample_size(10);
    let real_time = [Property::FinalState, Property::Linearizability];
    let questions = [
        ("final state", &real_time[..1], false),
        ("final state and hazards", &real_time[..1], true),
        ("real time", &real_time[..], false),
    ];
    for (name, properties, name_hazards) in questions {
        for clients in [2, 3] {
            let subject = subject(clients, properties, name_hazards);
            let size = BenchmarkId::new(name, format!("{clients} x {clients}"));
            group.bench_function(size, |bencher| {
                bencher.iter(|| {
                    let search = Search { reduce: true, switches: None };
                    let go_on = &mut |_: &_| ControlFlow::Continue(());
                    let found = explore::explore(&subject, search, Limits::default(), go_on)
                        .expect("models answer");
                    assert!(found.complete);
                    black_box(found)
                });
            });
        }
    }
    group.finish();
}

/// By what a hunt asks when it is not told, and by the harder question whether an entry is stale
/// in the end, which few schedules show.
fn hunt_down(criterion: &mut Criterion) {
    let default = Subject::whole(&scenario(), &Registry::built_in()).expect("it fits a hunt");
    let mut of_the_end = default.clone();
    of_the_end.properties = vec![Property::FinalState];
    for (name, subject) in [("", default), (", by the final state alone", of_the_end)] {
        let name = format!("hunt the stale set from a default scenario{name}");
        criterion.bench_function(&name, |bencher| {
            bencher.iter(|| {
                let found = hunt(&subject, &Hunt::over(1, 100), &|| ControlFlow::Continue(()))
                    .expect("models answer");
                let mut findings = found.failures.iter().flat_map(|failure| &failure.findings);
                assert!(findings.any(|found| found.hazard.as_deref() == Some("stale-set")));
                black_box(found)
            });
        });
    }
}

criterion_group!(benches, exhaust, hunt_down);
criterion_main!(benches);
