//! The embedded server: modelled nodes behind sockets, with faults and a control port.
//!
//! [`Server::start`] binds everything and says where; [`Server::run`] serves until it is
//! told to stop. Each address is a node of its own. `connection` is the life of one client,
//! `rules` decides which fault strikes, `control` answers HTTP.

mod address;
mod connection;
mod control;
mod http;
mod rules;
mod shared;
mod world;

pub use address::{Address, AddressProblem};
pub use rules::check_for_server;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::backend::memcached_model::Limits;
use crate::fault::Fault;
use crate::seed::Seed;
use address::Listener;
use shared::Shared;

/// What to serve.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen; each address is a node, numbered from 0.
    pub listen: Vec<Address>,
    /// Where the control port listens.
    pub control: Option<SocketAddr>,
    /// The faults that are armed from the start.
    pub faults: Vec<Fault>,
    /// Decides what is left to chance.
    pub seed: Seed,
    /// What each node may hold.
    pub limits: Limits,
    /// More connections than this are turned away.
    pub connections_max: usize,
}

/// Why a server could not be started.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {source}; {}", remedy(source))]
    Bind {
        /// The address as it was given.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// A fault is not one that a bare server can carry out.
    #[error("fault {number}: `{field}`: {problem}")]
    Fault {
        /// The fault's place in the list, from 1.
        number: usize,
        /// The field that is wrong.
        field: &'static str,
        /// What is wrong with it.
        problem: String,
    },
}

fn remedy(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => {
            "something else is there: stop it, or take another address (port 0 is any)"
        }
        io::ErrorKind::NotFound => "make the directory first",
        io::ErrorKind::PermissionDenied => "use a port above 1023, or a directory of your own",
        _ => "use an address of this machine, such as 127.0.0.1:0",
    }
}

/// A server that has bound its addresses.
pub struct Server {
    shared: Arc<Shared>,
    listeners: Vec<Listener>,
    control: Option<TcpListener>,
    stop: watch::Sender<bool>,
}

impl Server {
    /// Binds all addresses and arms the faults.
    pub async fn start(options: Options) -> Result<Server, ServeError> {
        let mut listeners = Vec::new();
        for address in &options.listen {
            let bound = address.bind().await;
            let error = |source| ServeError::Bind { address: address.to_string(), source };
            listeners.push(bound.map_err(error)?);
        }
        let control = match options.control {
            None => None,
            Some(address) => {
                let error = |source| ServeError::Bind { address: address.to_string(), source };
                Some(TcpListener::bind(address).await.map_err(error)?)
            }
        };
        let names: Vec<String> = listeners.iter().map(Listener::name).collect();
        let shared = Arc::new(Shared::new(&options, &names));
        for (number, fault) in options.faults.into_iter().enumerate() {
            let number = number + 1;
            world::arm(&shared, fault).map_err(|wrong| ServeError::Fault {
                number,
                field: wrong.field,
                problem: wrong.problem,
            })?;
        }
        let (stop, _) = watch::channel(false);
        Ok(Server { shared, listeners, control, stop })
    }

    /// The addresses of the nodes, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<String> {
        self.listeners.iter().map(Listener::name).collect()
    }

    /// The address of the control port.
    pub fn control_address(&self) -> Option<SocketAddr> {
        self.control.as_ref().and_then(|listener| listener.local_addr().ok())
    }

    /// Serves until the future is done; then closes the connections as soon as they have
    /// answered what they have read, or do not take their replies.
    pub async fn run(self, until: impl Future<Output = ()>) {
        let mut tasks = Vec::new();
        for (node, listener) in self.listeners.into_iter().enumerate() {
            let (shared, stop) = (self.shared.clone(), self.stop.subscribe());
            tasks.push(tokio::spawn(connection::accept(shared, node, listener, stop)));
        }
        if let Some(listener) = self.control {
            let (shared, stop) = (self.shared.clone(), self.stop.subscribe());
            tasks.push(tokio::spawn(control::accept(shared, listener, stop)));
        }
        until.await;
        self.stop.send_replace(true);
        self.shared.drained().await;
        for task in tasks {
            // A task that was cancelled has nothing more to say.
            let _ = task.await;
        }
    }
}
