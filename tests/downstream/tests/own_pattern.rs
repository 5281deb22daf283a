//! A user's pattern and rows go through the public API, and the cause is named.

use staleproof::run::{Outcome, Servers, metrics, run};
use staleproof::scenario::{Known, load};

#[test]
fn the_own_pattern_is_broken_for_the_right_reason() {
    let registry = downstream::registry();
    let specs = metrics::specs();
    let known = Known {
        patterns: registry.patterns().iter().map(|entry| entry.name.as_str()).collect(),
        entities: registry.entities().iter().map(|entity| entity.name()).collect(),
        metrics: &specs,
    };
    let path = std::path::Path::new("scenarios/delete-first.toml");
    let scenario = load(path, &known).unwrap();
    let result = run(&scenario, "delete-first", &registry, &Servers::default(), &mut ()).unwrap();
    assert_eq!(result.outcome, Outcome::AsExpected, "{result:#?}");
    let hazards: Vec<&str> = result.hazards.keys().map(String::as_str).collect();
    assert_eq!(hazards, ["delete-before-write"]);
    assert!(result.findings[0].key.starts_with("s/"));
}
