//! Which cache and which database a run is made on.

use super::DatabaseChoice;
use super::cache_choice::{CacheChoice, Place, RealCache};
use crate::backend::database_model::Model;
use crate::backend::memcached_model::{Limits, Nodes};
use crate::backend::postgres_model::Postgres;
use crate::backend::url::ServerPlace;
use crate::backend::{BackendError, Cache, Database};
use crate::pattern::Traits;
use crate::scenario::{Profile, Scenario};
use crate::step::Isolation;

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
        phases: &[u64],
    ) -> Result<Box<dyn Cache>, BackendError> {
        match &self.cache {
            CacheChoice::Model => {
                let limits = Limits {
                    items: scenario.cache.items_max.map(|items| items as usize),
                    bytes: scenario.cache.bytes_max,
                };
                Ok(Box::new(Nodes::new(limits, phases)))
            }
            CacheChoice::Memcached(cache) => real_cache(scenario, cache, phases),
        }
    }

    /// An empty database.
    pub(crate) fn database(
        &self,
        scenario: &Scenario,
        traits: Traits,
    ) -> Result<Box<dyn Database>, BackendError> {
        match &self.database {
            DatabaseChoice::Model => Ok(model(scenario)),
            DatabaseChoice::ModelOf(profile) => Ok(model_of(*profile, scenario.database.isolation)),
            DatabaseChoice::Postgres(place) => postgres(place, scenario),
            DatabaseChoice::MariaDb(place) => mariadb(place, scenario),
            choice => sqlite(choice, traits),
        }
    }

    /// The nodes' names, by which clients route. Servers of our own have the model's names:
    /// with those of their ports, routes would differ from run to run.
    pub(crate) fn node_names(&self, scenario: &Scenario) -> Vec<String> {
        match &self.cache {
            CacheChoice::Memcached(RealCache { place: Place::Servers(servers), .. }) => {
                servers.clone()
            }
            _ => (0..scenario.cache.nodes).map(|node| format!("node{node}:11211")).collect(),
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

/// The model with the rules that the scenario names.
pub(crate) fn model(scenario: &Scenario) -> Box<dyn Database> {
    model_of(scenario.database.profile, scenario.database.isolation)
}

fn model_of(profile: Profile, isolation: Isolation) -> Box<dyn Database> {
    match profile {
        Profile::Sqlite => Box::new(Model::new()),
        _ => Box::new(Postgres::new(level(profile, isolation))),
    }
}

/// A profile names a level too, which the scenario's own goes before.
fn level(profile: Profile, isolation: Isolation) -> Isolation {
    match (isolation, profile) {
        (Isolation::Default, Profile::PostgresRr) => Isolation::RepeatableRead,
        (isolation, _) => isolation,
    }
}

#[cfg(feature = "postgres")]
fn postgres(place: &ServerPlace, scenario: &Scenario) -> Result<Box<dyn Database>, BackendError> {
    let isolation = level(scenario.database.profile, scenario.database.isolation);
    crate::backend::postgres::open(place, isolation)
}

#[cfg(not(feature = "postgres"))]
fn postgres(_: &ServerPlace, _: &Scenario) -> Result<Box<dyn Database>, BackendError> {
    Err(BackendError {
        server: "postgres".to_owned(),
        problem: "this build has no PostgreSQL client; build with the feature `postgres`"
            .to_owned(),
    })
}

#[cfg(feature = "mariadb")]
fn mariadb(place: &ServerPlace, scenario: &Scenario) -> Result<Box<dyn Database>, BackendError> {
    crate::backend::mariadb::open(place, scenario.database.isolation)
}

#[cfg(not(feature = "mariadb"))]
fn mariadb(_: &ServerPlace, _: &Scenario) -> Result<Box<dyn Database>, BackendError> {
    Err(BackendError {
        server: "mariadb".to_owned(),
        problem: "this build has no MariaDB client; build with the feature `mariadb`".to_owned(),
    })
}

#[cfg(feature = "memcached")]
fn real_cache(
    scenario: &Scenario,
    choice: &RealCache,
    phases: &[u64],
) -> Result<Box<dyn Cache>, BackendError> {
    use super::cache_choice::{CacheClient, Pace};
    use crate::backend::memcached::{Memcached, Protocol};
    let cache = match &choice.place {
        Place::Own(program) => Memcached::start(program, phases)?,
        Place::Servers(servers) => {
            check_number(scenario, servers)?;
            Memcached::connect(servers)?
        }
    };
    let cache = cache.with_protocol(match choice.client {
        CacheClient::Meta => Protocol::Meta,
        CacheClient::Ascii => Protocol::Ascii,
        CacheClient::Binary => Protocol::Binary,
    });
    Ok(Box::new(match choice.pace {
        Pace::None => cache,
        Pace::Real => cache.paced(phases.first().copied().unwrap_or(0)),
    }))
}

/// A scenario's nodes are as many servers.
#[cfg(feature = "memcached")]
pub(crate) fn check_number(scenario: &Scenario, servers: &[String]) -> Result<(), BackendError> {
    if servers.len() == usize::from(scenario.cache.nodes) {
        return Ok(());
    }
    Err(BackendError {
        server: format!("memcached://{}", servers.join(",")),
        problem: format!(
            "the scenario has {} cache nodes and {} servers were given; give as many, separated \
             by commas",
            scenario.cache.nodes,
            servers.len()
        ),
    })
}

#[cfg(not(feature = "memcached"))]
fn real_cache(_: &Scenario, choice: &RealCache, _: &[u64]) -> Result<Box<dyn Cache>, BackendError> {
    Err(BackendError {
        server: CacheChoice::Memcached(choice.clone()).to_string(),
        problem: "this build has no memcached client; build with the feature `memcached`"
            .to_owned(),
    })
}
