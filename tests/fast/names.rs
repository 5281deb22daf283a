//! Names of hazards that are asked for: merged states lose none. In each of these programs a name
//! was lost once, and others of the same kind were still found.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use staleproof::explore::{self, ExploreResult, Finding, Limits, Sizes, Subject};
use staleproof::pattern::Registry;
use staleproof::report::exploration::text;
use staleproof::report::text::Colour;
use staleproof::schedule::Search;

use crate::common;

struct Case {
    pattern: &'static str,
    sections: &'static str,
    scripts: &'static [&'static str],
    /// What was lost.
    hazard: &'static str,
}

const CASES: &[Case] = &[
    Case {
        pattern: "early-refresh",
        sections: "",
        scripts: &["'read 0', 'read 0'", "'read 0', 'update 0'"],
        hazard: "fresh-then-stale-inversion",
    },
    Case {
        pattern: "snapshot-fill",
        sections: "[database]\nprofile = 'postgres'\n",
        scripts: &["'read 0', 'update 0'", "'read 0'"],
        hazard: "stale-set",
    },
    Case {
        pattern: "cas-after-read",
        sections: "",
        scripts: &["'update 0', 'read 0'", "'delete 0', 'read 0'"],
        hazard: "unexplained",
    },
];

fn subject(case: &Case) -> Subject {
    let mut text = format!("claim = '-'\npattern = '{}'\n{}", case.pattern, case.sections);
    text.push_str("[workload]\nrows = 1\n");
    for script in case.scripts {
        text.push_str(&format!("[[workload.group]]\nclients = 1\nscript = [{script}]\n"));
    }
    Subject::of(&common::scenario(&text), &Registry::built_in(), Sizes::default()).unwrap()
}

fn found(subject: &Subject, reduce: bool) -> BTreeSet<Finding> {
    let search = Search { reduce, switches: None };
    let go_on = &mut |_: &_| ControlFlow::Continue(());
    let exploration = explore::explore(subject, search, Limits::default(), go_on).unwrap();
    exploration.findings.into_iter().map(|(finding, _)| finding).collect()
}

#[test]
fn merged_states_lose_no_name_that_is_asked_for() {
    for case in CASES {
        let mut subject = subject(case);
        subject.name_hazards = true;
        let whole = found(&subject, false);
        let is_it = |finding: &&Finding| finding.hazard.as_deref() == Some(case.hazard);
        assert!(whole.iter().any(|finding| is_it(&finding)), "{}: {whole:?}", case.pattern);
        assert_eq!(found(&subject, true), whole, "{}", case.pattern);
    }
}

/// Without a question the only name is that of the smallest schedule, and the report says so.
#[test]
fn who_asks_for_no_name_gets_that_of_the_smallest_schedule() {
    let mut subject = subject(&CASES[1]);
    let explored = |subject: &Subject| -> ExploreResult {
        let go_on = &mut |_: &_| ControlFlow::Continue(());
        explore::explore_scenario(subject, "test", Limits::default(), go_on).unwrap()
    };
    let said = "others were not searched";
    let result = explored(&subject);
    let smallest = result.counterexample.as_ref().unwrap().finding.clone();
    assert!(smallest.hazard.is_some() && result.findings.contains(&smallest), "{result:?}");
    assert!(text(&result, Colour::Off).contains(said), "{result:?}");
    subject.scenario.explore.hazard = Some("stale-set".to_owned());
    subject.name_hazards = true;
    let result = explored(&subject);
    assert!(result.findings.iter().any(|found| found.hazard.as_deref() == Some("stale-set")));
    assert!(!text(&result, Colour::Off).contains(said), "{result:?}");
}
