//! What stands before a load begins: servers, tables, rows, and a seat for each client.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use crate::backend::memcached::own::{Options as OwnOptions, OwnClock, OwnServer, stat};
use crate::backend::memcached::{Memcached, Protocol};
use crate::backend::{BackendError, Cache, Database, Origin};
use crate::entity::Entity;
use crate::operation::{ClientId, ProcessId};
use crate::pattern::{Entry, Registry};
use crate::plan::Plan;
use crate::run::{CacheChoice, CacheClient, DatabaseChoice, Place, Servers, check_number};
use crate::scenario::Scenario;
use crate::schedule::Memory;
use crate::step::{CacheCommand, ConnectionId, Footprint, RowId, Table};
use crate::time::Time;

use super::audit::{Entries, Subject, audit};
use super::chaos::{Aftermath, Chaos, Rings, Timed};
use super::client::Seat;
use super::fault::RealWhat;
use super::harms::Harms;
use super::log::Log;
use super::outcome::Struck;
use super::proxy::{Lane, Orders, Proxy, Weather};
use super::rules::{self, Dealt, Rules};
use super::scribe::Scribe;
use super::tally::Live;
use super::versions::Versions;
use super::{LoadError, Options, Shared};

/// Operations that are drawn for each client; a longer load begins again, in the name of new
/// operations.
const DRAWN_OPERATIONS: u32 = 1 << 16;

/// Everything but the clients.
pub(super) struct Stage {
    scenario: Scenario,
    options: Options,
    entry: Entry,
    entity: Arc<dyn Entity>,
    plan: Arc<Plan>,
    versions: Arc<Versions>,
    memories: Vec<Arc<Mutex<Memory>>>,
    database: Box<dyn Database>,
    /// It lags behind the database.
    replica: Option<Box<dyn Database + Send>>,
    addresses: Vec<SocketAddr>,
    names: Vec<String>,
    node_names: Vec<String>,
    described: (String, String),
    /// Ours, stopped with this value; chaos has them while it lasts.
    own: Vec<OwnServer>,
    rings: Arc<Rings>,
    harms: Arc<Harms>,
    dealt: Dealt,
    rules: Option<Arc<Rules>>,
    weather: Option<Arc<Weather>>,
    /// By thread and node, where there are any.
    proxies: Vec<Vec<(Proxy, Arc<Orders>)>>,
    chaos: Option<Loose>,
    scribe: Option<Scribe>,
    log: Option<Arc<Log>>,
}

/// Chaos on its thread. The thread stays until this is dropped: servers that it started anew
/// would be killed with it.
struct Loose {
    over: Arc<AtomicBool>,
    aftermath: Receiver<Aftermath>,
    _stay: Sender<()>,
}

impl Stage {
    pub fn set(
        scenario: &Scenario,
        registry: &Registry,
        servers: &Servers,
        options: &Options,
    ) -> Result<Stage, LoadError> {
        let missing = |what: &str, name: &str| {
            LoadError::Input(format!("the registry has no {what} `{name}`"))
        };
        let entry = registry
            .find(&scenario.pattern)
            .ok_or_else(|| missing("pattern", &scenario.pattern))?
            .clone();
        let entity = registry
            .find_entity(&scenario.entity)
            .ok_or_else(|| missing("entity", &scenario.entity))?;
        let mut scenario = scenario.clone();
        scenario.workload.groups.clear();
        scenario.workload.clients = options.clients;
        scenario.workload.operations = DRAWN_OPERATIONS;
        scenario.workload.arrivals_per_second = None;
        let plan = Plan::draw(&scenario, options.seed, &**entity);
        let (own, names) = start(&scenario, &servers.cache, options)?;
        check_faults(options, &own, names.len())?;
        let addresses = names.iter().map(|name| resolve(name)).collect::<Result<Vec<_>, _>>()?;
        let mut database = open_database(&scenario, servers, &entry)?;
        check_database_faults(options, &*database)?;
        check_log_faults(options, &entry)?;
        database.create(&entity.tables(), plan.rows())?;
        let replica = scenario.database.replica_lag.map(|lag| database.standby(lag)).transpose()?;
        let log = entry.traits.reads_log.then(|| database.feed()).transpose()?;
        let log = log.map(|feed| Arc::new(Log::new(feed)));
        let node_names = servers.node_names(&scenario);
        let cache = clear(&plan, &**entity, &names, &node_names)?;
        let described = (cache, database.describe());
        let rows = plan.rows().len();
        let scribe = options.history.as_ref().map(|path| Scribe::begin(path, &plan, entity));
        let scribe = scribe.transpose().map_err(LoadError::Output)?;
        Ok(Stage {
            memories: (0..plan.processes()).map(|_| Arc::default()).collect(),
            versions: Arc::new(Versions::new(rows)),
            plan: Arc::new(plan),
            entity: Arc::clone(entity),
            options: options.clone(),
            entry,
            database,
            replica,
            addresses,
            rings: Arc::new(Rings::new(&node_names)),
            harms: Arc::new(Harms::new(options.faults.len())),
            dealt: rules::deal(&scenario.faults),
            scenario,
            node_names,
            names,
            described,
            own,
            rules: None,
            weather: None,
            proxies: Vec::new(),
            chaos: None,
            scribe,
            log,
        })
    }

    /// Puts the proxies between clients and nodes, and lets things happen from this time on.
    pub fn arm(&mut self, start: Instant) -> Result<(), LoadError> {
        let on_wire = self.options.faults.iter().any(|fault| fault.what.is_on_wire());
        let has_rules = !self.dealt.on_wire.is_empty();
        if on_wire || has_rules {
            let rules = Arc::new(Rules::new(&self.dealt.on_wire, self.options.seed));
            let weather = Arc::new(Weather::new(&self.options.faults, start));
            for thread in 0..self.threads() {
                let lanes = self.addresses.iter().enumerate().map(|(node, target)| {
                    let orders = Arc::<Orders>::default();
                    let proxy = Proxy::start(Lane {
                        client: thread as u32,
                        node: node as u16,
                        target: *target,
                        orders: Arc::clone(&orders),
                        weather: Arc::clone(&weather),
                        blows: Arc::clone(&rules.blows),
                    })?;
                    Ok((proxy, orders))
                });
                let lanes: std::io::Result<Vec<_>> = lanes.collect();
                self.proxies.push(lanes.map_err(|error| {
                    LoadError::Backend(BackendError {
                        server: "proxy".to_owned(),
                        problem: format!("{error}; are there enough ports and files?"),
                    })
                })?);
            }
            self.rules = has_rules.then_some(rules);
            self.weather = Some(weather);
        }
        let timed = self.options.faults.iter().any(|fault| !fault.what.is_on_wire());
        if timed || !self.dealt.timed.is_empty() {
            self.let_loose(start)?;
        }
        Ok(())
    }

    fn let_loose(&mut self, start: Instant) -> Result<(), LoadError> {
        let over = Arc::new(AtomicBool::new(false));
        let chaos = Chaos {
            stopped: BTreeSet::new(),
            bypassed: 0,
            log: self.log.clone(),
            pen: self.scribe.as_ref().map(Scribe::pen),
            real: self.options.faults.clone(),
            scenario: Timed::all(&self.dealt.timed, self.options.seed),
            own: std::mem::take(&mut self.own),
            addresses: self.names.clone(),
            cache: Box::new(Memcached::connect(&self.names)?),
            database: self.database.another()?,
            rings: Arc::clone(&self.rings),
            plan: Arc::clone(&self.plan),
            entity: Arc::clone(&self.entity),
            versions: Arc::clone(&self.versions),
            harms: Arc::clone(&self.harms),
            start,
            over: Arc::clone(&over),
        };
        let (tell, aftermath) = channel();
        let (stay, left) = channel::<()>();
        std::thread::spawn(move || {
            // Nobody listens when the load failed to begin.
            let _ = tell.send(chaos.run());
            let _ = left.recv();
        });
        self.chaos = Some(Loose { over, aftermath, _stay: stay });
        Ok(())
    }

    /// Ends every fault; how each fared, and what is not tested.
    pub fn calm(&mut self) -> (Vec<Struck>, Vec<String>) {
        if let Some(rules) = &self.rules {
            rules.disarm();
        }
        if let Some(weather) = &self.weather {
            weather.over.store(true, Ordering::Relaxed);
        }
        let aftermath = self.chaos.as_ref().and_then(|loose| {
            loose.over.store(true, Ordering::Relaxed);
            loose.aftermath.recv().ok()
        });
        let mut problems = Vec::new();
        let mut struck = Vec::new();
        for (place, why) in &self.dealt.refused {
            problems.push(format!("fault `{}`: {why}", self.scenario.faults[*place]));
        }
        for (place, count) in self.rules.iter().flat_map(|rules| rules.struck()) {
            let fault = self.scenario.faults[place].to_string();
            struck.push(Struck::new(fault, "wire", count, "the proxy's count"));
        }
        for (place, fault) in self.options.faults.iter().enumerate() {
            let name = fault.what.name().to_owned();
            let weather = self.weather.as_ref().filter(|_| fault.what.is_on_wire());
            if let Some(weather) = weather {
                let count = weather.struck[place].load(Ordering::Relaxed);
                struck.push(Struck::new(name, "wire", count, "the proxy's count"));
            } else if let Some(aftermath) = &aftermath {
                let done = &aftermath.real[place];
                let level = if fault.what.is_to_database() { "database" } else { "server" };
                struck.push(Struck::new(name, level, done.struck, &done.witness));
            }
        }
        if let (Some(replica), Some(lag)) = (&mut self.replica, self.scenario.database.replica_lag)
        {
            let name = format!("replica-lag {}", crate::time::human(lag.as_nanos() as u64));
            let witness = replica.lag_witness();
            let struck_once = u64::from(witness.is_some());
            struck.push(Struck::new(name, "database", struck_once, &witness.unwrap_or_default()));
        }
        if let Some(aftermath) = aftermath {
            for (place, done) in &aftermath.scenario {
                let fault = self.scenario.faults[*place].to_string();
                struck.push(Struck::new(fault, "server", done.struck, &done.witness));
            }
            problems.extend(aftermath.problems);
            self.own = aftermath.own;
        }
        let never = struck.iter().filter(|fault| fault.struck == 0);
        problems.extend(never.map(|fault| format!("fault `{}` never struck", fault.fault)));
        (struck, problems)
    }

    /// Ends the history; how many operations it has, or why it could not be written.
    pub fn recorded(&mut self) -> Option<Result<u64, String>> {
        self.scribe.take().map(Scribe::close)
    }

    /// Items that the servers evicted for want of memory, where they tell.
    pub fn evictions(&self) -> u64 {
        let evictions = |name| stat(name, "evictions").ok().flatten().unwrap_or(0);
        self.names.iter().map(|name| evictions(name) as u64).sum()
    }

    /// What cache and database are.
    pub fn describe(&self) -> (String, String) {
        self.described.clone()
    }

    /// Ordinary clients.
    pub fn clients(&self) -> usize {
        self.plan.clients().len()
    }

    /// Ordinary clients first, then one for each process with background work.
    pub fn threads(&self) -> usize {
        let background = if self.entry.traits.background { self.memories.len() } else { 0 };
        self.clients() + background
    }

    /// The seat of a thread, and its connection to the database.
    pub fn seat(
        &self,
        number: usize,
        shared: Arc<Shared>,
        live: Arc<Live>,
    ) -> Result<(Seat, Box<dyn Database + Send>), LoadError> {
        let (id, process) = match self.plan.clients().get(number) {
            Some(planned) => (planned.id, planned.process),
            None => {
                let process = ProcessId((number - self.clients()) as u32);
                (ClientId::background(process), process)
            }
        };
        let scenario = &self.scenario;
        let proxies = self.proxies.get(number).map_or(&[][..], Vec::as_slice);
        let seat = Seat {
            id,
            shared,
            live,
            versions: Arc::clone(&self.versions),
            memory: Arc::clone(&self.memories[process.0 as usize]),
            plan: Arc::clone(&self.plan),
            entity: Arc::clone(&self.entity),
            entry: self.entry.clone(),
            settings: scenario.settings.clone(),
            rings: Arc::clone(&self.rings),
            harms: Arc::clone(&self.harms),
            rules: self.rules.clone(),
            orders: proxies.iter().map(|(_, orders)| Arc::clone(orders)).collect(),
            nodes: match proxies.is_empty() {
                true => self.addresses.clone(),
                false => proxies.iter().map(|(proxy, _)| proxy.address()).collect(),
            },
            ttl: scenario.cache.ttl(self.entity.ttl()),
            cache_timeout: scenario.cache.timeout,
            database_timeout: scenario.database.timeout,
            retries: (scenario.cache.retries, scenario.database.retries),
            tick_every: scenario.workload.tick_every,
            replica: self.replica.as_ref().map(|replica| replica.another()).transpose()?,
            rate: self.options.rate.map(|rate| rate / f64::from(self.options.clients)),
            seed: self.options.seed,
            log: self.log.clone(),
            pen: self.scribe.as_ref().map(Scribe::pen),
        };
        Ok((seat, self.database.another()?))
    }

    /// Compares rows and entries.
    pub fn audit(&mut self) -> Result<Entries, BackendError> {
        let node_of = crate::schedule::route(&self.node_names);
        audit(&mut Subject {
            database: &mut *self.database,
            entity: &*self.entity,
            nodes: &self.addresses,
            node_of: &node_of,
            initial: self.plan.rows().iter().map(|(_, row)| row.id).collect::<Vec<RowId>>(),
        })
    }
}

/// The addresses of the servers, and those that are ours.
fn start(
    scenario: &Scenario,
    cache: &CacheChoice,
    load: &Options,
) -> Result<(Vec<OwnServer>, Vec<String>), LoadError> {
    let CacheChoice::Memcached(real) = cache else {
        let problem = "a load needs real servers: give `--cache memcached` to have one started";
        return Err(LoadError::Input(problem.to_owned()));
    };
    if real.client != CacheClient::Meta {
        let problem = "a load goes through the meta client; leave `protocol` out";
        return Err(LoadError::Input(problem.to_owned()));
    }
    match &real.place {
        Place::Servers(servers) => {
            check_number(scenario, servers)?;
            Ok((Vec::new(), servers.clone()))
        }
        Place::Own(program) => {
            let warm = load.faults.iter().any(|fault| fault.what == RealWhat::RestartWarm);
            let clock = OwnClock::Machine;
            let options = OwnOptions { clock, warm, ..OwnOptions::new(program) };
            let own = (0..scenario.cache.nodes).map(|_| OwnServer::start(&options));
            let own = own.collect::<Result<Vec<OwnServer>, BackendError>>()?;
            let names = own.iter().map(|server| server.address().to_owned()).collect();
            Ok((own, names))
        }
    }
}

/// Faults that cannot be carried out here.
fn check_faults(options: &Options, own: &[OwnServer], nodes: usize) -> Result<(), LoadError> {
    for fault in &options.faults {
        let name = fault.what.name();
        let problem = match () {
            () if usize::from(fault.node) >= nodes => {
                format!("fault `{name}`: there is no node {}; they count from 0", fault.node)
            }
            () if fault.what.is_to_process() && own.is_empty() => format!(
                "fault `{name}` needs a server of ours; leave the address out, as in \
                 `--cache memcached`"
            ),
            () if fault.what == RealWhat::LeaveRing && nodes < 2 => {
                format!("fault `{name}` needs two nodes; the scenario has one")
            }
            () => continue,
        };
        return Err(LoadError::Input(problem));
    }
    Ok(())
}

/// Faults that this database does not know.
fn check_database_faults(options: &Options, database: &dyn Database) -> Result<(), LoadError> {
    let mut faults = options.faults.iter().filter(|fault| fault.what.is_to_database());
    match faults.next() {
        Some(fault) if !database.can_be_harmed() => Err(LoadError::Input(format!(
            "fault `{}` needs a database server; give `--database postgres` or `mariadb`",
            fault.what.name()
        ))),
        _ => Ok(()),
    }
}

fn check_log_faults(options: &Options, entry: &Entry) -> Result<(), LoadError> {
    let fault = options.faults.iter().find(|fault| fault.what.is_to_log());
    match fault.filter(|_| !entry.traits.reads_log) {
        Some(fault) => Err(LoadError::Input(format!(
            "fault `{}` concerns the log of commits, which pattern `{}` does not read; patterns \
             such as `cdc-invalidate` do",
            fault.what.name(),
            entry.name
        ))),
        None => Ok(()),
    }
}

fn resolve(name: &str) -> Result<SocketAddr, LoadError> {
    let addresses = name.to_socket_addrs();
    addresses.ok().and_then(|mut found| found.next()).ok_or_else(|| {
        LoadError::Backend(BackendError {
            server: format!("memcached://{name}"),
            problem: "there is no such host; is it spelt right?".to_owned(),
        })
    })
}

/// A database that threads can share: a file, where it is SQLite.
fn open_database(
    scenario: &Scenario,
    servers: &Servers,
    entry: &Entry,
) -> Result<Box<dyn Database>, LoadError> {
    let mut traits = entry.traits;
    // Threads have connections of their own, so a database in memory will not do.
    traits.transactions |= servers.database == DatabaseChoice::Sqlite;
    Ok(servers.database(scenario, traits)?)
}

/// Removes our keys, which also finds out whether the servers live; what they are.
fn clear(
    plan: &Plan,
    entity: &dyn Entity,
    addresses: &[String],
    node_names: &[String],
) -> Result<String, BackendError> {
    let mut cache = Memcached::connect(addresses)?.with_protocol(Protocol::Meta);
    let node_of = crate::schedule::route(node_names);
    for row in plan.row_ids() {
        let key = entity.key(Table(0), row);
        let node = node_of(&key);
        let delete = CacheCommand::Delete { key };
        let connection = ConnectionId(0);
        let origin = Origin::default();
        cache.execute(Time::ZERO, node, connection, origin, &delete, &mut Footprint::off())?;
    }
    Ok(cache.describe())
}
