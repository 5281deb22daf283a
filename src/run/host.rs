//! The servers that one run is made on, empty.

use super::Servers;
use crate::backend::{BackendError, Cache, Clock, Database, Origin};
use crate::entity::Entity;
use crate::pattern::Traits;
use crate::plan::Plan;
use crate::scenario::Scenario;
use crate::schedule::route;
use crate::seed::{Purpose, Seed, below};
use crate::step::{CacheCommand, ConnectionId, Footprint, Table};
use crate::time::Time;

/// Servers for one run.
pub(crate) struct Host {
    /// The cache, without our keys.
    pub cache: Box<dyn Cache>,
    /// The database, without our tables.
    pub database: Box<dyn Database>,
    /// The nodes' names, by which clients route.
    pub node_names: Vec<String>,
}

/// How far each modelled node's clock is into its second when a run begins.
pub(super) fn phases(scenario: &Scenario, seed: Seed) -> Vec<u64> {
    let phase = |node| below(seed.draw(Purpose::ClockPhase, node, 0), 1_000_000_000);
    (0..u64::from(scenario.cache.nodes)).map(phase).collect()
}

impl Servers {
    /// Empty servers for a plan.
    pub(crate) fn host(
        &self,
        scenario: &Scenario,
        traits: Traits,
        entity: &dyn Entity,
        plan: &Plan,
        phases: &[u64],
    ) -> Result<Host, BackendError> {
        let mut cache = self.cache(scenario, phases)?;
        let database = self.database(scenario, traits)?;
        let node_names = self.node_names(scenario);
        if cache.clock() != Clock::Virtual {
            clear(&mut *cache, plan, entity, &node_names)?;
        }
        Ok(Host { cache, database, node_names })
    }
}

/// A real server may hold entries of an earlier run; only our own keys are removed.
fn clear(
    cache: &mut dyn Cache,
    plan: &Plan,
    entity: &dyn Entity,
    node_names: &[String],
) -> Result<(), BackendError> {
    let node_of = route(node_names);
    for row in plan.row_ids() {
        let key = entity.key(Table(0), row);
        let node = node_of(&key);
        let delete = CacheCommand::Delete { key };
        let (connection, origin) = (ConnectionId(u32::MAX), Origin::default());
        cache.execute(Time::ZERO, node, connection, origin, &delete, &mut Footprint::off())?;
    }
    Ok(())
}
