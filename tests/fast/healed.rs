//! Evidence that expires between the end of the workload and the audit counts all the same.

use crate::common;
use staleproof::report::text;
use staleproof::run::{ClaimVerdict, Outcome, ScenarioResult};

/// An old entry that the workload leaves behind, and a late request that keeps everything from
/// coming to rest for so long.
fn left_behind(head: &str, late: &str) -> ScenarioResult {
    common::result(&format!(
        "claim = 'a refused delete leaves nothing stale'\npattern = 'cache-aside'\nruns = 5\n\
         broken-if = {{ stale_entries = '> 0' }}\n{head}\n\
         [workload]\nrows = 2\n[cache]\nttl-seconds = 2\n\
         [[workload.group]]\nclients = 1\nscript = ['read 0', 'read 0', 'update 0 after 10ms']\n\
         [[workload.group]]\nclients = 1\nscript = ['update 1 after 1ms']\n\
         [[fault]]\ndo = 'refuse'\non = 'cache.delete'\nclients = [0]\n\
         [[fault]]\ndo = 'deliver-late'\non = 'cache.delete'\nclients = [1]\ndelay = '{late}'\n"
    ))
}

#[test]
fn what_expired_before_everything_came_to_rest_is_no_proof() {
    let head = "[expect]\nstale_entries = 0\nbad_entries = 5\nhealed_by_expiry = 5\n\
                max_entry_staleness = '<= 2s'";
    let result = left_behind(head, "10s");
    assert_eq!(result.claim_verdict, Some(ClaimVerdict::Broken));
    assert_eq!(result.outcome, Outcome::Differs);
    let unmet = result.expectations.iter().filter(|e| e.met != Some(true));
    assert_eq!(unmet.map(|e| e.metric.as_str()).collect::<Vec<_>>(), ["stale_entries"]);
    assert_eq!(result.metrics["healed_by_expiry"], Some(5.0));
    let finding = &result.findings[0];
    assert_eq!((&*finding.class, finding.hazard.as_deref()), ("stale", Some("delete-fails")));
    let healed = finding.healed_at_nanos.unwrap();
    assert!((1_000_000_000..2_000_000_000).contains(&healed), "{healed}");
    assert_eq!(finding.age_nanos, Some(healed - finding.since_nanos.unwrap()));
    let said = text::details(&result, text::Colour::Off);
    assert!(said.contains("healed_by_expiry 5") && said.contains("expired at 1."), "{said}");
}

#[test]
fn what_is_still_there_at_rest_has_not_healed() {
    let result = left_behind("", "100ms");
    assert_eq!(result.metrics["stale_entries"], Some(5.0));
    assert_eq!(result.metrics.get("healed_by_expiry"), None, "it is 0");
    assert!(result.findings.iter().all(|finding| finding.healed_at_nanos.is_none()));
}

#[test]
fn what_a_step_ended_before_rest_has_not_healed_by_expiry() {
    // The late request is the delete that the entry waits for.
    let result = common::result(
        "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 1\n[cache]\nttl-seconds = 2\n\
         [[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0 after 10ms']\n\
         [[fault]]\ndo = 'deliver-late'\non = 'cache.delete'\ndelay = '500ms'\n",
    );
    assert_eq!(result.metrics["bad_entries"], Some(0.0));
    assert_eq!(result.metrics.get("healed_by_expiry"), None, "it is 0");
    // Too late: the entry had expired.
    let result = common::result(
        "claim = '-'\npattern = 'cache-aside'\n[workload]\nrows = 1\n[cache]\nttl-seconds = 2\n\
         [[workload.group]]\nclients = 1\nscript = ['read 0', 'update 0 after 10ms']\n\
         [[fault]]\ndo = 'deliver-late'\non = 'cache.delete'\ndelay = '5s'\n",
    );
    assert_eq!(result.metrics["healed_by_expiry"], Some(1.0));
}

#[test]
fn what_has_healed_is_accepted_up_to_its_end() {
    let accepts = |bound: &str| {
        let head = format!("[accept]\nmisreported-failure = 'any'\ndelete-fails = '{bound}'");
        left_behind(&head, "10s").outcome
    };
    assert_eq!(accepts("<= 2s"), Outcome::AsExpected);
    assert_eq!(accepts("<= 500ms"), Outcome::Differs);
}

#[test]
fn without_steps_nobody_knows_what_expired() {
    let result = left_behind("record = 'operations'", "10s");
    assert_eq!(result.outcome, Outcome::NotTested);
    assert!(result.not_tested[0].contains("may have expired"), "{:?}", result.not_tested);
    let result = left_behind("record = 'operations'", "100ms");
    assert_eq!(result.outcome, Outcome::AsExpected, "{:?}", result.not_tested);
}
