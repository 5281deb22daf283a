//! Two results of one scenario side by side: what differs, and whether that is worse.
//!
//! Worse is: an expectation that was met and no longer is, a claim newly broken, a hazard that
//! was not there, damage where there was none, a share that rose beyond chance, a cost that
//! rose beyond a tolerance.

use std::fmt::Write;

use super::text::{Colour, shown};
use crate::run::sample::UNSEEN;
use crate::run::{ClaimVerdict, Outcome, ScenarioResult};

/// A difference that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// What it is about: a metric, `outcome`, `claim`, `hazard`.
    pub what: String,
    /// Before.
    pub before: String,
    /// After.
    pub after: String,
    /// Whether it counts as a regression.
    pub judged: Judged,
}

/// How a difference is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judged {
    /// A regression.
    Worse,
    /// An improvement.
    Better,
    /// Neither, or within what chance explains.
    Changed,
}

/// Why two results cannot be compared.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Incomparable {
    /// They are of different scenarios.
    #[error("the results are of different scenarios, `{0}` and `{1}`; compare results of one")]
    Scenario(String, String),
    /// The scenario has changed in between.
    #[error(
        "`{scenario}` was another one then: `{key}` differs; make the baseline anew with \
         `staleproof run {scenario} --out DIR`"
    )]
    Definition {
        /// The scenario.
        scenario: String,
        /// The first key that differs.
        key: String,
    },
}

/// What may differ between results that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Same {
    /// Nothing but seed, number of runs and expectations.
    Scenario,
    /// Also the pattern with its settings, and the name of the file: two patterns.
    Workload,
}

/// Keys of a definition that do not change what is measured.
const FREE: [&str; 6] = ["claim", "broken-if", "expect", "accept", "seed", "runs"];

/// Whether two results answer the same question.
pub fn comparable(
    before: &ScenarioResult,
    after: &ScenarioResult,
    same: Same,
) -> Result<(), Incomparable> {
    if same == Same::Scenario && before.scenario != after.scenario {
        return Err(Incomparable::Scenario(before.scenario.clone(), after.scenario.clone()));
    }
    let table = |result: &ScenarioResult| -> toml::Table {
        let mut table: toml::Table = result.definition.parse().unwrap_or_default();
        FREE.iter().for_each(|key| drop(table.remove(*key)));
        if same == Same::Workload {
            ["pattern", "settings"].iter().for_each(|key| drop(table.remove(*key)));
        }
        table
    };
    let (a, b) = (table(before), table(after));
    match a.keys().chain(b.keys()).find(|key| a.get(*key) != b.get(*key)) {
        None => Ok(()),
        Some(key) => {
            Err(Incomparable::Definition { scenario: after.scenario.clone(), key: key.clone() })
        }
    }
}

/// What a metric's rise means.
enum Meaning {
    /// Any of it is damage.
    Damage,
    /// A share of something counted by the named metric.
    Share(&'static str),
    /// A share that should be high.
    Gain(&'static str),
    /// A cost.
    Cost,
    /// Neither good nor bad.
    Neutral,
}

fn meaning(metric: &str) -> Meaning {
    match metric {
        "lost_writes"
        | "lost_updates"
        | "permanent_entries"
        | "phantom_reads"
        | "wrong_reads"
        | "ahead_reads"
        | "ahead_entries"
        | "ghost_entries"
        | "wrong_key_entries"
        | "undecodable_entries"
        | "negative_stale_entries"
        | "diverged_entries"
        | "misreported_failures"
        | "panics"
        | "bad_entries" => Meaning::Damage,
        "p_stale" => Meaning::Share("reads"),
        "p_stale_hits" => Meaning::Share("hits"),
        "hit_ratio" => Meaning::Gain("reads"),
        "db_reads_per_read" | "read_round_trips" | "write_round_trips" | "max_exposure" => {
            Meaning::Cost
        }
        name if name.contains("latency") || name.contains("staleness") => Meaning::Cost,
        _ => Meaning::Neutral,
    }
}

/// All differences that matter. Costs may rise by `tolerance` (0.2 is 20 %).
pub fn compare(before: &ScenarioResult, after: &ScenarioResult, tolerance: f64) -> Vec<Difference> {
    let mut differences = verdicts(before, after);
    for hazard in after.hazards.keys().filter(|name| !before.hazards.contains_key(*name)) {
        differences.push(Difference {
            what: "hazard".to_owned(),
            before: "-".to_owned(),
            after: hazard.clone(),
            judged: Judged::Worse,
        });
    }
    for (name, now) in &after.metrics {
        let (Some(now), Some(Some(then))) = (now, before.metrics.get(name)) else { continue };
        if now == then {
            continue;
        }
        let judged = judge(name, (before, *then), (after, *now), tolerance);
        differences.push(Difference {
            what: name.clone(),
            before: shown(name, *then),
            after: shown(name, *now),
            judged,
        });
    }
    differences
}

fn verdicts(before: &ScenarioResult, after: &ScenarioResult) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut note = |what: &str, then: &str, now: &str, judged| {
        differences.push(Difference {
            what: what.to_owned(),
            before: then.to_owned(),
            after: now.to_owned(),
            judged,
        });
    };
    let outcome = |outcome: Outcome| match outcome {
        Outcome::AsExpected => "as expected",
        Outcome::Differs => "differs",
        Outcome::NotTested => "not tested",
    };
    let claim = |verdict: Option<ClaimVerdict>| match verdict {
        Some(ClaimVerdict::Broken) => "broken",
        Some(ClaimVerdict::NotObserved) => UNSEEN,
        None => "-",
    };
    if before.outcome != after.outcome {
        let worse = before.outcome == Outcome::AsExpected;
        let judged = if worse { Judged::Worse } else { Judged::Better };
        note("outcome", outcome(before.outcome), outcome(after.outcome), judged);
    }
    if before.claim_verdict != after.claim_verdict {
        let judged = match after.claim_verdict {
            Some(ClaimVerdict::Broken) => Judged::Worse,
            Some(ClaimVerdict::NotObserved) => Judged::Better,
            None => Judged::Changed,
        };
        note("claim", claim(before.claim_verdict), claim(after.claim_verdict), judged);
    }
    differences
}

fn judge(
    name: &str,
    before: (&ScenarioResult, f64),
    after: (&ScenarioResult, f64),
    tolerance: f64,
) -> Judged {
    let ((old, then), (new, now)) = (before, after);
    let rise = |sign: f64| match (sign * (now - then)).partial_cmp(&0.0) {
        Some(std::cmp::Ordering::Greater) => Judged::Worse,
        _ => Judged::Better,
    };
    match meaning(name) {
        Meaning::Neutral => Judged::Changed,
        // More runs find more of the same: what counts is damage per run.
        Meaning::Damage => {
            let (then, now) = (then / old.runs.max(1) as f64, now / new.runs.max(1) as f64);
            match (then == 0.0, now == 0.0) {
                (true, _) => Judged::Worse,
                (_, true) => Judged::Better,
                _ if now > then * (1.0 + tolerance) => Judged::Worse,
                _ if now < then * (1.0 - tolerance) => Judged::Better,
                _ => Judged::Changed,
            }
        }
        Meaning::Share(of) if beyond_chance(of, before, after) => rise(1.0),
        Meaning::Gain(of) if beyond_chance(of, before, after) => rise(-1.0),
        Meaning::Share(_) | Meaning::Gain(_) => Judged::Changed,
        Meaning::Cost if now > then * (1.0 + tolerance) => Judged::Worse,
        Meaning::Cost if now < then * (1.0 - tolerance) => Judged::Better,
        Meaning::Cost => Judged::Changed,
    }
}

/// Whether two shares differ by more than three standard errors.
fn beyond_chance(
    of: &str,
    (old, then): (&ScenarioResult, f64),
    (new, now): (&ScenarioResult, f64),
) -> bool {
    let count = |result: &ScenarioResult| result.metrics.get(of).copied().flatten().unwrap_or(0.0);
    let (n, m) = (count(old), count(new));
    if n == 0.0 || m == 0.0 {
        return false;
    }
    let pooled = (then * n + now * m) / (n + m);
    let error = (pooled * (1.0 - pooled) * (1.0 / n + 1.0 / m)).sqrt();
    (now - then).abs() > 3.0 * error
}

/// The comparison in words, regressions first.
pub fn render(
    before: &ScenarioResult,
    after: &ScenarioResult,
    differences: &[Difference],
    colour: Colour,
) -> String {
    let worse = differences.iter().filter(|d| d.judged == Judged::Worse).count();
    let head = match (worse, differences.len()) {
        (_, 0) => colour.paint("32", "no difference"),
        (0, _) => colour.paint("32", "no regression"),
        (1, _) => colour.paint("31", "REGRESSION in one respect"),
        (n, _) => colour.paint("31", &format!("REGRESSION in {n} respects")),
    };
    let mut out = format!("{head}  {}\n", after.claim);
    for (what, a, b) in [
        ("scenario", &before.scenario, &after.scenario),
        ("pattern", &before.pattern, &after.pattern),
        ("cache", &before.cache, &after.cache),
        ("database", &before.database, &after.database),
    ] {
        if a != b {
            let _ = writeln!(out, "  {what}: {a} → {b}");
        }
    }
    for judged in [Judged::Worse, Judged::Better, Judged::Changed] {
        for d in differences.iter().filter(|d| d.judged == judged) {
            let (code, word) = match judged {
                Judged::Worse => ("31", "worse  "),
                Judged::Better => ("32", "better "),
                Judged::Changed => ("0", "changed"),
            };
            let _ = writeln!(
                out,
                "  {} {:<24} {:>14} → {}",
                colour.paint(code, word),
                d.what,
                d.before,
                d.after
            );
        }
    }
    out
}
