//! Judges what a schedule came to: from its history, and from what the servers hold.

use std::collections::BTreeSet;

use super::finding::{Finding, Kind, Lasts};
use super::{load, register};
use crate::backend::{Cache, Database};
use crate::check::audit::{Audit, Entry};
use crate::check::cause::signs;
use crate::check::incidents::{self, Incident};
use crate::check::{States, incidents::Kind as Went};
use crate::entity::Entity;
use crate::history::record::{History, KeyId, Reported};
use crate::run::audit;
use crate::scenario::{Bound, Property};
use crate::schedule::RunError;
use crate::step::{Key, NodeId, Remaining, Ttl};

/// What is asked, and what is needed to answer.
pub(crate) struct Question<'a> {
    pub properties: &'a [Property],
    pub entity: &'a dyn Entity,
    pub node_of: &'a dyn Fn(&Key) -> NodeId,
    /// Whether findings are to name their hazards.
    pub name_hazards: bool,
    /// Hazards that the scenario accepts: they are no findings, within their bounds.
    pub accepted: Vec<(&'a str, Bound)>,
    /// For how long an entry can stay wrong, up to the tick after its TTL; `None` when entries
    /// never expire.
    pub ttl_nanos: Option<u64>,
}

impl<'a> Question<'a> {
    /// What is asked of a program's schedules.
    pub fn of(
        subject: &'a super::subject::Subject,
        node_of: &'a dyn Fn(&Key) -> NodeId,
    ) -> Question<'a> {
        let scenario = &subject.scenario;
        let bound = |text| Bound::parse(text).expect("checked when the scenario was loaded");
        let accepted = scenario.accept.iter().map(|(hazard, text)| (hazard.as_str(), bound(text)));
        let Ttl(ttl) = scenario.cache.ttl(subject.entity.ttl());
        Question {
            properties: &subject.properties,
            entity: &*subject.entity,
            node_of,
            name_hazards: true,
            accepted: accepted.collect(),
            ttl_nanos: (ttl > 0).then(|| (ttl as u64 + 1) * 1_000_000_000),
        }
    }

    fn asks(&self, property: Property) -> bool {
        self.properties.contains(&property)
    }

    /// Whether a finding is known and accepted. The steps of a schedule have no lengths, so what
    /// is over with the operations is within every bound, and an entry lasts for its TTL.
    fn accepts(&self, finding: &Finding) -> bool {
        let nanos = match finding.lasts {
            Lasts::Transient => Some(0),
            Lasts::Bounded => self.ttl_nanos,
            Lasts::Permanent | Lasts::Lost => None,
        };
        let is_it = |hazard: &str| finding.hazard.as_deref() == Some(hazard);
        self.accepted.iter().any(|(hazard, bound)| is_it(hazard) && bound.allows(nanos))
    }
}

/// Everything that is wrong, each once, in order.
pub(crate) fn judge(
    history: &History,
    cache: &mut dyn Cache,
    database: &mut dyn Database,
    deadlocks: u32,
    question: &Question<'_>,
) -> Result<Vec<Finding>, RunError> {
    let states = States::new(history);
    let mut found = Vec::new();
    let entries = match question.asks(Property::FinalState) {
        true => {
            let asked = Audit { history, states: &states, entity: question.entity };
            let node_of = question.node_of;
            audit::audit(&asked, &mut audit::Servers { cache, database, node_of })?
        }
        false => Vec::new(),
    };
    for incident in incidents::find(history, &states, &entries, usize::MAX) {
        let kind = kind_of(incident.kind);
        if let Some(kind) = kind.filter(|kind| question.asks(kind.property())) {
            let lasts = lasting(&incident, kind, &entries);
            let hazard = incident.hazard.filter(|_| question.name_hazards);
            let hazard = kind.hazard().or(hazard);
            found.push(Finding {
                hazard: hazard.map(ToOwned::to_owned),
                ..Finding::about(kind, name(history, incident.key), lasts)
            });
        }
    }
    if question.asks(Property::FinalState) {
        if deadlocks > 0 {
            found.push(Finding::about(Kind::Deadlock, String::new(), Lasts::Transient));
        }
        for op in history.ops.iter().filter(|op| op.reported == Reported::Panic) {
            found.push(Finding::about(Kind::Panic, name(history, op.key), Lasts::Transient));
        }
    }
    if question.asks(Property::Load) {
        load::judge(history, &mut found);
    }
    register::judge(history, &states, question.properties, &mut found);
    debug_assert!(found.iter().all(|finding| has_signs(finding, history)), "{found:?}");
    found.retain(|finding| !question.accepts(finding));
    found.sort();
    found.dedup();
    Ok(found)
}

/// Whether the steps are there without which a hazard has not that name.
fn has_signs(finding: &Finding, history: &History) -> bool {
    let mut steps = BTreeSet::new();
    signs::note(history, &mut steps);
    finding
        .hazard
        .as_deref()
        .is_none_or(|hazard| signs::allow(hazard, &steps) && finding.kind.allows(hazard))
}

fn kind_of(went: Went) -> Option<Kind> {
    Some(match went {
        Went::Entry(class) => Kind::of_entry(class)?,
        Went::StaleRead => Kind::StaleRead,
        Went::AheadRead => Kind::AheadRead,
        Went::PhantomRead => Kind::PhantomRead,
        Went::WrongRead => Kind::WrongRead,
        Went::TornRead => Kind::TornRead,
        Went::LostUpdate => Kind::LostUpdate,
        Went::LostWrite => Kind::LostWrite,
        Went::DoubleApplied => Kind::DoubleApplied,
        Went::MisreportedFailure => Kind::MisreportedFailure,
    })
}

/// An entry is wrong until it expires; a database is wrong for good; the rest is over when the
/// operations are.
fn lasting(incident: &Incident, kind: Kind, entries: &[Entry]) -> Lasts {
    let entry = entries.iter().find(|entry| entry.key == incident.key);
    let remaining = entry.and_then(|entry| entry.remaining);
    match (incident.kind, kind) {
        (Went::Entry(_), _) if remaining == Some(Remaining::Never) => Lasts::Permanent,
        (Went::Entry(_), _) => Lasts::Bounded,
        (_, Kind::LostWrite | Kind::LostUpdate) => Lasts::Lost,
        _ => Lasts::Transient,
    }
}

fn name(history: &History, key: KeyId) -> String {
    history.keys.name(key).to_string()
}
