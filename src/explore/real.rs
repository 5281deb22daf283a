//! Exploration on real servers, for small bounds.
//!
//! Every schedule is run from the start on servers that are empty. States of a real server cannot
//! be seen, so none are merged; of steps that touch the same server one order is enough only
//! where neither writes.

use super::counterexample::Counterexample;
use super::replay;
use super::result::{ExploreResult, most_telling, result};
use super::search::{Limits, Models, Watch, explore_on, node_names, phases_of};
use super::subject::Subject;
use super::timing::Moments;
use crate::run::{CacheChoice, Servers};
use crate::schedule::{OnServers, RunError, Search, Servers as FreshServers};

/// Servers of the user's choice, made anew for each schedule.
struct Fresh<'a> {
    servers: &'a Servers,
    subject: &'a Subject,
    /// What they were.
    described: String,
}

impl FreshServers for Fresh<'_> {
    fn with(&mut self, run: OnServers<'_>) -> Result<(), RunError> {
        let subject = self.subject;
        if self.servers.cache == CacheChoice::Model {
            let mut database = self.servers.database(&subject.scenario, subject.entry.traits)?;
            return Models::of(subject).with(&mut |cache, _| {
                self.described = format!("{} and {}", cache.describe(), database.describe());
                run(cache, &mut *database)
            });
        }
        let phases = phases_of(subject.scenario.cache.nodes, &[]);
        let (traits, plan) = (subject.entry.traits, subject.plan());
        let (scenario, entity) = (&subject.scenario, &*subject.entity);
        let mut host = self.servers.host(scenario, traits, entity, &plan, &phases)?;
        self.described = format!("{} and {}", host.cache.describe(), host.database.describe());
        run(&mut *host.cache, &mut *host.database)
    }
}

/// Searches all schedules of a program on real servers; also says what they were. The
/// counterexample is the first schedule that showed its finding, not the smallest one.
pub fn explore_on_servers(
    subject: &Subject,
    servers: &Servers,
    name: &str,
    limits: Limits,
    watch: Watch<'_>,
) -> Result<(ExploreResult, String), RunError> {
    // No states are merged, so that the names of what was met cost nothing.
    let subject = &Subject { name_hazards: true, ..subject.clone() };
    let mut fresh = Fresh { servers, subject, described: String::new() };
    let search = Search { reduce: true, switches: None };
    let exploration = explore_on(subject, &mut fresh, search, limits, watch)?;
    let settings = subject.scenario.explore.clone();
    let mut counterexample = None;
    if let Some((finding, choices)) = most_telling(&exploration, settings.hazard.as_deref()) {
        let names = node_names(subject);
        fresh.with(&mut |cache, database| {
            let moments = Moments::default();
            let (_, history) = replay::run(subject, &choices, &moments, &names, cache, database)?;
            let mut example = Counterexample::new(subject, &finding, &choices, moments, &history);
            example.small = Some("on real servers nothing is cut down".to_owned());
            example.database = servers.database.to_string();
            counterexample = Some(example);
            Ok(())
        })?;
    }
    let result = result(subject, name, &settings, exploration, counterexample);
    Ok((result, fresh.described))
}
