//! Scenario files: wrong ones are refused with the place and a remedy, whatever the bytes.

use std::path::Path;

use proptest::prelude::*;
use staleproof::scenario::{self, Known, MetricKind, MetricSpec, Problem, Scenario};

const METRICS: [MetricSpec; 2] = [
    MetricSpec { name: "stale_entries", kind: MetricKind::Count, summary: "" },
    MetricSpec { name: "hit_ratio", kind: MetricKind::Ratio, summary: "" },
];

fn parse(text: &str) -> Result<Scenario, Vec<Problem>> {
    let known = Known {
        patterns: vec!["no-cache", "cache-aside"],
        entities: vec!["product"],
        metrics: &METRICS,
    };
    scenario::parse(Path::new("race.toml"), text, &known)
}

/// Each problem as `LINE:COLUMN MESSAGE`.
fn problems(text: &str) -> Vec<String> {
    let shown = |problem: &Problem| {
        let (line, column) = problem.place.unwrap_or_default();
        format!("{line}:{column} {}", problem.message)
    };
    parse(text).expect_err(text).iter().map(shown).collect()
}

const FULL: &str = r#"
claim = "x"
pattern = "cache-aside"
seed = 7
runs = 3
record = "operations"

[broken-if]
stale_entries = "> 0"

[workload]
processes = 2
operations = 100
rows = 64
mix = { read = 70, update = 10, modify = 5, insert = 8, delete = 7 }
keys = { hotspot = { rows = 4, share = 0.9 } }
think = "100us..300us, 1% 20ms"
arrivals-per-second = 1000.0

[[workload.group]]
clients = 4
keys = { zipf = 0.99 }

[[workload.group]]
clients = 1
script = ["read 3", "update 3 after 5ms"]

[cache]
nodes = 2
ttl-seconds = 300
timeout = "50ms"

[[fault]]
do = "lose-reply"
on = "cache.set"
after = "db.commit"
probability = 0.5
clients = [0, 4]

[expect]
stale_entries = 0

[expect.each]
hit_ratio = ">= 0.5"
"#;

#[test]
fn all_problems_of_a_file_are_reported_in_its_order() {
    let text = "claim = \"x\"\npattern = \"no-cash\"\nruns = 0\n[workload]\nclients = \"many\"\n\
                thnk = \"1ms\"\nthink = \"soon\"\n[[fault]]\ndo = \"refuse\"\non = \"cache.sett\"\n\
                [expect]\nhit_rato = 1\n";
    let found = problems(text);
    for (found, expected) in found.iter().zip([
        "2:11 unknown pattern `no-cash`; did you mean `no-cache`?",
        "3:8 there must be at least one run",
        "5:11 must be a whole number, not a string",
        "6:1 unknown key `thnk`; did you mean `think`?",
        "7:9 `soon` is not a duration",
        "10:6 unknown value `cache.sett`; did you mean `cache.set`?",
        "12:12 unknown metric `hit_rato`; did you mean `hit_ratio`?",
    ]) {
        assert!(found.starts_with(expected), "{found}\n{expected}");
    }
    assert_eq!(found.len(), 7, "{found:#?}");
}

#[test]
fn types_and_keys_are_checked_against_the_schema() {
    for (text, expected) in [
        ("colour = 1", "3:1 unknown key `colour`; known are"),
        ("seed = -1", "3:8 must not be negative"),
        ("runs = 1.5", "3:8 must be a whole number, not a number"),
        ("record = \"step\"", "3:10 unknown value `step`; did you mean `steps`?"),
        ("record = 2020-01-01", "3:10 must be a string, not a date"),
        ("[workload]\nrows = 4000000000", "4:8 a run has at most 10000000 rows"),
        ("[workload]\noperations = 4000000000", "4:14 16000000000 operations of all clients"),
        ("[workload]\nclients = 99999999999", "4:11 is too large; the most is 4294967295"),
        ("[cache]\nretries = 1001", "4:11 at most 1000 retries are made"),
        ("[database]\nretries = 1001", "4:11 at most 1000 retries are made"),
        ("[workload]\nclients = 0", "4:11 `clients` must be at least 1"),
        ("[cache]\nttl-seconds = -1", "4:15 a negative TTL expires at once"),
        (
            "[[fault]]\ndo = \"refuse\"\non = \"cache.set\"\nprobability = 1.5",
            "6:15 a probability lies",
        ),
        (
            "[[fault]]\ndo = \"refuse\"\non = \"cache.set\"\nfrom = \"2s\"\nuntil = \"1s\"",
            "7:9 the window's end must come after its start",
        ),
        (
            "[expect.some]\nhit_rato = 1",
            "4:12 unknown metric `hit_rato`; did you mean `hit_ratio`?",
        ),
        ("[workload]\nkeys = \"unifrom\"", "4:8 unknown value `unifrom`; did you mean `uniform`?"),
        ("[workload]\nkeys = { zip = 1 }", "4:10 unknown key `zip`; did you mean `zipf`?"),
        ("[workload]\nmix = { reed = 1 }", "4:9 unknown key `reed`; did you mean `read`?"),
        ("[[workload.group]]\nthink = \"1ms\"", "3:1 `clients` is missing; how many"),
        ("[[fault]]\non = \"cache.set\"", "3:1 `do` is missing; what happens"),
        ("[[fault]]\ndo = \"loose-reply\"", "4:6 unknown value `loose-reply`; did you mean"),
    ] {
        let found = problems(&format!("claim = \"x\"\npattern = \"no-cache\"\n{text}"));
        assert!(found[0].starts_with(expected), "{text}\n{found:#?}\n{expected}");
        assert_eq!(found.len(), 1, "{text}\n{found:#?}");
    }
    let found = problems("pattern = \"no-cache\"");
    assert!(found[0].contains("`claim` is missing"), "{found:?}");
}

#[test]
fn a_right_file_is_accepted() {
    parse(FULL).unwrap_or_else(|problems| panic!("{problems:?}"));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_loader_panic(text in "[ -~\n\t\"'=\\[\\]{}#,.µé0-9]{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn no_change_of_a_right_file_makes_the_loader_panic(
        place in 0..FULL.len(),
        removed in 0usize..30,
        inserted in "[ -~\n\"=\\[\\]{},.0-9é-]{0,12}",
    ) {
        let end = (place + removed).min(FULL.len());
        let text = format!("{}{inserted}{}", &FULL[..place], &FULL[end..]);
        if let Err(problems) = parse(&text) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn no_value_in_any_place_makes_the_loader_panic(
        line in 0..FULL.lines().count(),
        value in prop_oneof![
            Just("nan"), Just("inf"), Just("-1"), Just("1e308"), Just("\"\""), Just("[]"),
            Just("{}"), Just("9999999999999999999"), Just("2020-01-01"), Just("true"),
            Just("\"99999999999h\""), Just("[[1]]"), Just("0.000000000000001"), Just("-0x1"),
            Just("\"0s..18446744073s\""), Just("[\"read 99999999999\"]"),
        ],
    ) {
        let changed = FULL.lines().enumerate().map(|(number, text)| match text.split_once(" = ") {
            Some((key, _)) if number == line => format!("{key} = {value}"),
            _ => text.to_owned(),
        });
        let _ = parse(&changed.collect::<Vec<_>>().join("\n"));
    }
}
