//! Which cache and which database a run is made on.

use std::path::PathBuf;

use crate::backend::database_model::Model;
use crate::backend::memcached_model::{Limits, Nodes};
use crate::backend::{BackendError, Cache, Database};
use crate::pattern::Traits;
use crate::scenario::Scenario;
use crate::seed::{Purpose, Seed, below};

/// The cache of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum CacheChoice {
    /// The model.
    #[default]
    Model,
    /// Real servers, as `host:port`.
    Memcached(Vec<String>),
}

/// The database of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DatabaseChoice {
    /// The model.
    Model,
    /// SQLite: in memory, or in a temporary WAL file where the pattern opens transactions.
    #[default]
    Sqlite,
    /// SQLite in this file.
    SqliteFile(PathBuf),
}

/// What a run is made on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Servers {
    /// The cache.
    pub cache: CacheChoice,
    /// The database.
    pub database: DatabaseChoice,
}

impl Servers {
    /// An empty cache.
    pub(super) fn cache(
        &self,
        scenario: &Scenario,
        seed: Seed,
    ) -> Result<Box<dyn Cache>, BackendError> {
        match &self.cache {
            CacheChoice::Model => {
                let limits = Limits {
                    items: scenario.cache.items_max.map(|items| items as usize),
                    bytes: scenario.cache.bytes_max,
                };
                let phase = |node| below(seed.draw(Purpose::ClockPhase, node, 0), 1_000_000_000);
                let phases: Vec<u64> = (0..u64::from(scenario.cache.nodes)).map(phase).collect();
                Ok(Box::new(Nodes::new(limits, &phases)))
            }
            CacheChoice::Memcached(servers) => real_cache(scenario, servers),
        }
    }

    /// An empty database.
    pub(super) fn database(&self, traits: Traits) -> Result<Box<dyn Database>, BackendError> {
        match &self.database {
            DatabaseChoice::Model => Ok(Box::new(Model::new())),
            choice => sqlite(choice, traits),
        }
    }

    /// The nodes' names, by which clients route.
    pub(super) fn node_names(&self, scenario: &Scenario) -> Vec<String> {
        match &self.cache {
            CacheChoice::Model => {
                (0..scenario.cache.nodes).map(|node| format!("node{node}:11211")).collect()
            }
            CacheChoice::Memcached(servers) => servers.clone(),
        }
    }
}

#[cfg(feature = "sqlite")]
fn sqlite(choice: &DatabaseChoice, traits: Traits) -> Result<Box<dyn Database>, BackendError> {
    use crate::backend::sqlite::Sqlite;
    Ok(Box::new(match choice {
        DatabaseChoice::SqliteFile(path) => Sqlite::file(path)?,
        _ if traits.transactions => Sqlite::temporary()?,
        _ => Sqlite::in_memory()?,
    }))
}

#[cfg(not(feature = "sqlite"))]
fn sqlite(_: &DatabaseChoice, _: Traits) -> Result<Box<dyn Database>, BackendError> {
    Err(BackendError {
        server: "sqlite".to_owned(),
        problem: "this build has no SQLite; build with the feature `sqlite`, or use \
                  `--database model`"
            .to_owned(),
    })
}

#[cfg(feature = "memcached")]
fn real_cache(scenario: &Scenario, servers: &[String]) -> Result<Box<dyn Cache>, BackendError> {
    use crate::backend::memcached::Memcached;
    if servers.len() != usize::from(scenario.cache.nodes) {
        return Err(BackendError {
            server: format!("memcached://{}", servers.join(",")),
            problem: format!(
                "the scenario has {} cache nodes and {} servers were given; give as many, \
                 separated by commas",
                scenario.cache.nodes,
                servers.len()
            ),
        });
    }
    Ok(Box::new(Memcached::connect(servers)?))
}

#[cfg(not(feature = "memcached"))]
fn real_cache(_: &Scenario, servers: &[String]) -> Result<Box<dyn Cache>, BackendError> {
    Err(BackendError {
        server: format!("memcached://{}", servers.join(",")),
        problem: "this build has no memcached client; build with the feature `memcached`"
            .to_owned(),
    })
}
