//! What `check --measure` finds out beside linearizability.

use super::plural;
use crate::check::found::Found;
use crate::check::linear::Judgement;
use crate::check::linear::words::{self, Clock};
use crate::check::sessions::{self, Sessions};
use crate::check::staleness::{self, Delta, Part, SINCE, Staleness};
use crate::check::values::Values;
use crate::check::versions::{self, Versions};
use crate::check::{durability, phantoms, torn, updates};
use crate::history::log::Log;
use crate::history::record::KeyId;
use crate::metric::{self, Source};
use crate::scenario::Number;
use crate::time::human;

/// Everything that was measured.
pub(super) struct Measures {
    pub staleness: Staleness,
    /// The largest of all keys' Deltas.
    pub delta: Delta,
    pub sessions: Sessions,
    pub updates: Found,
    pub durability: Found,
    pub phantoms: Found,
    pub torn: Found,
    pub versions: Versions,
    /// Keys that are violated though the versions explain everything.
    pub disagreements: Vec<KeyId>,
}

/// What one checker says.
pub(super) struct Answer<'a> {
    /// The metric that it decides.
    pub metric: &'static str,
    /// What it judges.
    pub name: &'static str,
    /// What it looks for, in words.
    pub what: &'static str,
    pub found: &'a Found,
}

impl Measures {
    pub fn of(log: &Log, judgement: &Judgement, limit: u64) -> Measures {
        let values = Values::of(log);
        let versions = versions::judge(log, &values);
        let violated = |key: &KeyId| judgement.violated.iter().any(|(other, _)| other == key);
        let deltas = judgement
            .violated
            .iter()
            .map(|(key, _)| *key)
            .chain(judgement.unknown.iter().map(|(key, _)| *key))
            .map(|key| staleness::delta(log, &values, key, limit));
        Measures {
            staleness: staleness::measure(log, &values),
            delta: deltas.max().unwrap_or(Delta::Least(0)),
            sessions: sessions::judge(log, &values),
            updates: updates::judge(log, &values),
            durability: durability::judge(log, &values),
            phantoms: phantoms::judge(log, &values),
            torn: torn::judge(log, &values),
            disagreements: versions.sound.iter().copied().filter(violated).collect(),
            versions,
        }
    }

    /// A time that is a metric.
    fn value(&self, name: &str) -> Option<u64> {
        match (metric::find(Source::Check, name)?.value)(self)? {
            Number::Whole(nanos) => Some(nanos),
            Number::Real(_) => None,
        }
    }

    /// Each checker's answer.
    pub fn answers(&self) -> [Answer<'_>; 9] {
        let sessions = &self.sessions;
        let answer = |metric, name, what, found| Answer { metric, name, what, found };
        [
            answer(
                "read_your_writes",
                "read-your-writes",
                "a client read something older than what it had written",
                &sessions.read_your_writes,
            ),
            answer(
                "monotonic_reads",
                "monotonic reads",
                "a client read something older than what it had read",
                &sessions.monotonic_reads,
            ),
            answer(
                "monotonic_writes",
                "monotonic writes",
                "a client saw a write, and then not the one before it by the same writer",
                &sessions.monotonic_writes,
            ),
            answer(
                "writes_follow_reads",
                "writes-follow-reads",
                "a client saw a write, and then not what its writer had read",
                &sessions.writes_follow_reads,
            ),
            answer(
                "lost_updates",
                "lost updates",
                "a read-modify-write overwrote a write that it had not seen",
                &self.updates,
            ),
            answer(
                "lost_writes",
                "durability",
                "an acknowledged write is in no later state",
                &self.durability,
            ),
            answer(
                "phantom_reads",
                "phantoms",
                "what was read never was committed",
                &self.phantoms,
            ),
            answer(
                "torn_views",
                "torn views",
                "one operation read values that were never there at one time",
                &self.torn,
            ),
            answer(
                "stale_versions",
                "versions",
                "an older version was shown after a newer one",
                &self.versions.backwards,
            ),
        ]
    }

    pub fn describe(&self, log: &Log, out: &mut String) {
        let clock = Clock::of(log);
        self.describe_staleness(out);
        for Answer { name, what, found, .. } in self.answers() {
            let line = match found.holds() {
                None => format!("  {name:<20} not tested: the history does not tell\n"),
                Some(true) => format!("  {name:<20} holds in {}\n", plural(found.tested, "case")),
                Some(false) => {
                    format!(
                        "  {name:<20} violated in {} of {}: {what}\n",
                        found.count, found.tested
                    )
                }
            };
            out.push_str(&line);
            if let Some(first) = found.findings.first() {
                let key = words::name(log.key_name(log.ops[first[0]].key));
                out.push_str(&format!("    {key}\n"));
                for lane in words::lanes(log, first, &clock) {
                    out.push_str(&format!("    {}\n", lane.trim_end()));
                }
            }
        }
        for key in &self.disagreements {
            out.push_str(&format!(
                "  BUG: {} is violated by the intervals, though its versions explain everything; \
                 one of the two checks or a version is wrong, please report it\n",
                words::name(log.key_name(*key))
            ));
        }
    }

    fn describe_staleness(&self, out: &mut String) {
        let staleness = &self.staleness;
        out.push_str(&format!("  reads                {}\n", part(&staleness.all)));
        if staleness.hits.reads > 0 {
            out.push_str(&format!("  hits                 {}\n", part(&staleness.hits)));
        }
        for (name, phase) in
            ["before", "during", "after"].iter().zip(staleness.phases.iter().flatten())
        {
            out.push_str(&format!("  {:<20} {}\n", format!("{name} faults"), part(phase)));
        }
        if staleness.never_legal > 0 {
            let reads = staleness.never_legal;
            out.push_str(&format!(
                "  never legal          {} of what nobody wrote before\n",
                plural(reads, "read")
            ));
        }
        let quantile = |name: &str| human(self.value(name).unwrap_or(0));
        out.push_str(&format!(
            "  staleness            p50 {}, p99 {}, p99.9 {}, max {}; possible up to {}; {} \
             behind\n",
            quantile("read_staleness_p50"),
            quantile("read_staleness_p99"),
            quantile("read_staleness_p999"),
            quantile("max_read_staleness"),
            quantile("max_possible_staleness"),
            plural(staleness.versions_behind, "write")
        ));
        out.push_str(&match self.delta {
            Delta::Least(delta) => format!("  smallest delta       {}\n", human(delta)),
            Delta::Infinite => "  smallest delta       none: some read is never legal\n".to_owned(),
            Delta::Undecided => "  smallest delta       undecided: raise --limit\n".to_owned(),
        });
        self.describe_time(out);
    }

    /// Visibility and contradictions by time since the acknowledgement.
    fn describe_time(&self, out: &mut String) {
        let staleness = &self.staleness;
        let seen = staleness.visible.iter().zip(SINCE).filter(|((reads, _), _)| *reads > 0);
        let visible: Vec<String> = seen
            .map(|((reads, visible), since)| {
                let percent = *visible as f64 / *reads as f64 * 100.0;
                format!("{percent:.4} % after {}", human(since))
            })
            .collect();
        out.push_str(&format!("  visible              {}\n", visible.join(", ")));
        let nines: Vec<String> = (0..SINCE.len())
            .filter_map(|bucket| {
                let nines = staleness.nines(bucket)?;
                Some(format!("{nines:.2} after {}", human(SINCE[bucket])))
            })
            .collect();
        out.push_str(&match nines.as_slice() {
            [] => format!(
                "  nines                no write of {} was contradicted\n",
                staleness.writes
            ),
            nines => format!("  nines                {}\n", nines.join(", ")),
        });
    }
}

fn part(part: &Part) -> String {
    match (part.share(), part.at_most()) {
        (Some(share), Some(at_most)) => format!(
            "{}, of which {} stale ({:.4} %; below {:.4} % with 95 % confidence)",
            part.reads,
            part.stale,
            share * 100.0,
            at_most * 100.0
        ),
        _ => "none".to_owned(),
    }
}
