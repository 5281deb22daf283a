//! The catalogue of hazards, as data: what has to be so, in which order it happens, for how long
//! it stays wrong, which patterns are open to it, and which close it.
//!
//! The entries are in `catalogue.toml`. Each hazard that can be reproduced here has a scenario,
//! `scenarios/hazards/ID.toml`; for each other one the entry says why not.

pub mod shipped;

use std::sync::OnceLock;

use serde::Deserialize;

/// One hazard.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hazard {
    /// Its name, as in findings and file names.
    pub id: String,
    /// What it takes.
    pub section: Section,
    /// For how long it stays.
    pub duration: Duration,
    /// How cache and database then differ.
    pub direction: Direction,
    /// What has to be so.
    pub needs: String,
    /// The smallest order of steps that does it.
    pub steps: Vec<String>,
    /// Patterns that are open to it.
    pub vulnerable: Vec<String>,
    /// Patterns that close it.
    pub defences: Vec<String>,
    /// Why it has no scenario, where it has none.
    #[serde(default)]
    pub not_here: Option<String>,
}

/// What a hazard takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Section {
    /// Nothing but concurrency.
    Race,
    /// A failure of a part.
    Failure,
    /// A property of memcached or of its clients.
    Memcached,
}

/// For how long it stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Duration {
    /// Until the operations under way have ended.
    Transient,
    /// Until the entry expires or is written again.
    Bounded,
    /// For ever.
    Permanent,
    /// Data is lost: the database itself is wrong.
    Lost,
}

/// How cache and database differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// The cache is older.
    Behind,
    /// The cache has what was never committed, or is lost.
    Ahead,
    /// The value of another key, or none that can be read.
    Wrong,
    /// Keys that are right one by one and impossible together.
    Torn,
    /// Both have something, in different orders.
    Diverged,
    /// Nothing is wrong, but the database is asked too often.
    Load,
}

impl Section {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Section::Race => "a race without any fault",
            Section::Failure => "a partial failure",
            Section::Memcached => "a matter of memcached",
        }
    }
}

impl Duration {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Duration::Transient => "transient: over when the operations are",
            Duration::Bounded => "bounded: until the entry expires or is written again",
            Duration::Permanent => "permanent, whatever the TTL",
            Duration::Lost => "data is lost: the database itself is wrong",
        }
    }
}

impl Direction {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Direction::Behind => "the cache is behind the database",
            Direction::Ahead => "the cache has what the database has not",
            Direction::Wrong => "the cache has the wrong thing",
            Direction::Torn => "keys are right one by one, and not together",
            Direction::Diverged => "cache and database went different ways",
            Direction::Load => "nothing is wrong, the database has the load",
        }
    }
}

#[derive(Deserialize)]
struct File {
    hazard: Vec<Hazard>,
}

/// All hazards, in the catalogue's order.
pub fn all() -> &'static [Hazard] {
    static ALL: OnceLock<Vec<Hazard>> = OnceLock::new();
    ALL.get_or_init(|| {
        let file: File = toml::from_str(include_str!("catalogue.toml"))
            .expect("the catalogue is well-formed: a test reads it");
        file.hazard
    })
}

/// The hazard of this name.
pub fn find(id: &str) -> Option<&'static Hazard> {
    all().iter().find(|hazard| hazard.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Registry;

    #[test]
    fn every_entry_is_complete_and_names_patterns_that_exist() {
        let registry = Registry::built_in();
        for hazard in all() {
            assert!(!hazard.steps.is_empty() && !hazard.needs.is_empty(), "{}", hazard.id);
            for name in hazard.vulnerable.iter().chain(&hazard.defences) {
                assert!(registry.find(name).is_some(), "{}: no pattern `{name}`", hazard.id);
            }
            let twice = all().iter().filter(|other| other.id == hazard.id).count();
            assert_eq!(twice, 1, "{}", hazard.id);
        }
        assert!(all().len() >= 87, "84 of the literature and three of our own");
    }

    #[test]
    fn each_has_a_scenario_or_a_reason() {
        for hazard in all() {
            let file = format!("scenarios/hazards/{}.toml", hazard.id);
            let exists = std::path::Path::new(&file).exists();
            assert_eq!(exists, hazard.not_here.is_none(), "{}", hazard.id);
        }
        let files = std::fs::read_dir("scenarios/hazards").unwrap();
        let mut files: Vec<String> =
            files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        files.sort();
        let shipped = shipped::SHIPPED.iter().map(|(id, _)| format!("{id}.toml"));
        assert_eq!(shipped.collect::<Vec<String>>(), files);
    }
}
