//! A finding's timeline is data from which the race can be read.

use crate::common;
use staleproof::report::{json, lanes};
use staleproof::run::timeline::Freshness;

const RACE: &str = "claim = '-'\npattern = 'write-through'\nruns = 50\n
[workload]\nrows = 1\nthink = '0'\n
[[workload.group]]\nclients = 1\nscript = ['read 0', 'read 0 after 5ms']\n
[[workload.group]]\nclients = 1\nscript = ['update 0']\n";

#[test]
fn the_stale_install_is_marked_and_drawn() {
    let result = common::result(RACE);
    let timeline = &result.findings.first().expect("the race takes place in 50 runs").timeline;
    assert_eq!(timeline.clients(), ["c0", "c1"]);
    let stale: Vec<_> =
        timeline.steps.iter().filter(|step| step.freshness == Some(Freshness::Stale)).collect();
    assert_eq!(stale.len(), 1, "{timeline:#?}");
    assert_eq!((stale[0].kind.as_str(), stale[0].lane.as_str()), ("cache.set", "cache0"));
    assert_eq!(stale[0].value.as_deref(), Some("initial"));
    assert!(timeline.steps.iter().any(|step| step.lane == "database"));
    let drawn = lanes::render(timeline).join("\n");
    assert!(drawn.contains("c0#1 read → ok"), "{drawn}");
    assert!(drawn.contains("cache.set initial STALE"), "{drawn}");
}

#[test]
fn a_struck_step_names_its_fault() {
    let result = common::result(
        "claim = '-'\npattern = 'write-through'\n[cache]\nttl-seconds = 0\n
[[fault]]\ndo = 'lose-request'\non = 'cache.set'\nafter = 'db.commit'\n",
    );
    let timeline = &result.findings.first().expect("lost sets leave stale entries").timeline;
    let struck = timeline.steps.iter().find(|step| step.fault.is_some()).expect("one was lost");
    assert_eq!(struck.fault.as_deref(), Some("lose-request on cache.set after db.commit"));
    assert!(!struck.executed);
    assert_eq!(struck.note.as_deref(), Some("timeout"));
    assert!(timeline.faults.iter().any(|fault| fault.step.is_some()));
}

#[test]
fn results_survive_a_file_and_foreign_ones_are_refused_by_name() {
    let result = common::result(RACE);
    let text = json::render(&result);
    assert_eq!(json::parse(&text).unwrap(), [result]);
    for (text, message) in [
        (
            text.replace("\"format\": 2", "\"format\": 1"),
            "format 1, this staleproof reads format 2",
        ),
        (String::new(), "is empty"),
        ("{}".to_owned(), "`format` is missing"),
        (text[..text.len() / 2].to_owned(), "no complete result"),
    ] {
        let error = json::parse(&text).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}
