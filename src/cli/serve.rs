//! `staleproof serve`: an embedded memcached with faults.

use std::io::{self, Write};
use std::net::SocketAddr;

use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::backend::memcached_model::Limits;
use crate::fault::Fault;
use crate::seed::Seed;
use crate::wire::server::{Address, Options, ServeError, Server};

/// Wrong input.
const EXIT_INPUT: u8 = 2;
/// The environment failed: a port in use, a directory that is not there.
const EXIT_ENVIRONMENT: u8 = 5;

/// Serve memcached's protocols from a model that can misbehave on command.
///
/// Text, meta and binary are spoken on each address, as memcached 1.6 does. Slab classes
/// are not modelled: items are evicted in strict LRU order when the limits are reached.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Where to listen: HOST:PORT or unix:PATH; port 0 lets the system choose. Each address
    /// is a node of its own, numbered from 0.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:11211")]
    listen: Vec<Address>,
    /// Where the control port listens (HTTP and JSON); no control port when not given.
    #[arg(long, value_name = "HOST:PORT")]
    control: Option<SocketAddr>,
    /// A fault as in a scenario: `do = "lose-reply", on = "cache.set", nth = 1`, or the
    /// same as a JSON object.
    #[arg(long = "fault", value_name = "FAULT")]
    faults: Vec<String>,
    /// Decides what is left to chance.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The most megabytes that each node holds.
    #[arg(long, value_name = "MEGABYTES", default_value_t = 64,
        value_parser = clap::value_parser!(u64).range(1..=1 << 30))]
    memory: u64,
    /// The most items that each node holds.
    #[arg(long, value_name = "COUNT")]
    items: Option<usize>,
    /// The most connections; further ones are turned away.
    #[arg(long, value_name = "COUNT", default_value_t = 8192,
        value_parser = clap::value_parser!(u32).range(1..))]
    connections: u32,
    /// Allow addresses that other machines can reach. There is no authentication.
    #[arg(long)]
    allow_remote: bool,
    /// Threads that serve; as many as there are processors when not given.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
}

/// Serves until interrupted; gives the exit code.
pub fn run(args: ServeArgs) -> u8 {
    let threads = args.threads;
    let options = match options(args) {
        Ok(options) => options,
        Err(problem) => return fail(EXIT_INPUT, &problem),
    };
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    if let Some(threads) = threads {
        builder.worker_threads(usize::from(threads));
    }
    let options = Options { connections_max: allowed(options.connections_max), ..options };
    let runtime = match builder.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(EXIT_ENVIRONMENT, &format!("cannot start threads: {error}")),
    };
    runtime.block_on(serve(options))
}

/// Files that are open beside connections: listeners, standard streams, the runtime's own.
const OTHER_FILES: u64 = 64;

/// Raises the limit on open files as far as the connections need it, as memcached does;
/// gives how many connections there can be.
fn allowed(connections: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = connections as u64 + OTHER_FILES;
    if limit.current.is_none_or(|current| current >= wanted) {
        return connections;
    }
    let most = limit.maximum.map_or(wanted, |maximum| maximum.min(wanted));
    let raised = Rlimit { current: Some(most), ..limit };
    let files = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => most,
        Err(_) => limit.current.unwrap_or(wanted),
    };
    if files >= wanted {
        return connections;
    }
    let fewer = files.saturating_sub(OTHER_FILES).max(1) as usize;
    complain!(
        "note: only {files} files may be open, so at most {fewer} connections are accepted; \
         raise the hard limit (`ulimit -Hn`) or give --connections {fewer}"
    );
    fewer
}

async fn serve(options: Options) -> u8 {
    let server = match Server::start(options).await {
        Ok(server) => server,
        Err(error @ ServeError::Fault { .. }) => return fail(EXIT_INPUT, &error.to_string()),
        Err(error) => return fail(EXIT_ENVIRONMENT, &error.to_string()),
    };
    // Before anybody is told where we are, so that whoever knows can also stop us.
    let interrupted = match interrupted() {
        Ok(interrupted) => interrupted,
        Err(error) => {
            return fail(EXIT_ENVIRONMENT, &format!("cannot listen for signals: {error}"));
        }
    };
    // Nobody need read what is printed.
    let _ = print_addresses(&server);
    server.run(interrupted).await;
    0
}

fn print_addresses(server: &Server) -> io::Result<()> {
    let mut out = io::stdout().lock();
    for (node, address) in server.addresses().iter().enumerate() {
        writeln!(out, "node {node} listens on {address}")?;
    }
    if let Some(address) = server.control_address() {
        writeln!(out, "control port on http://{address}/")?;
    }
    out.flush()
}

/// Waits for Ctrl-C or a request to terminate; both are caught from the call on.
fn interrupted() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn fail(code: u8, problem: &str) -> u8 {
    complain!("error: {problem}");
    code
}

fn options(args: ServeArgs) -> Result<Options, String> {
    let remote = args.listen.iter().find(|address| !address.is_local()).map(ToString::to_string);
    let control = args.control.filter(|address| !address.ip().is_loopback());
    if let Some(address) = remote.or(control.map(|address| address.to_string()))
        && !args.allow_remote
    {
        return Err(format!(
            "{address} can be reached from other machines, and nothing is protected by a \
             password; use 127.0.0.1, or give --allow-remote"
        ));
    }
    let faults = args.faults.iter().map(|text| parse_fault(text)).collect::<Result<_, _>>()?;
    Ok(Options {
        listen: args.listen,
        control: args.control,
        faults,
        seed: Seed(args.seed),
        limits: Limits { items: args.items, bytes: Some(args.memory << 20) },
        connections_max: args.connections as usize,
    })
}

#[derive(serde::Deserialize)]
struct OneFault {
    fault: Fault,
}

/// Reads a fault as scenarios have it, or as JSON.
fn parse_fault(text: &str) -> Result<Fault, String> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text).map_err(|error| format!("--fault `{text}`: {error}"));
    }
    let table = format!("fault = {{ {text} }}");
    let parsed: Result<OneFault, _> = toml::from_str(&table);
    parsed.map(|one| one.fault).map_err(|error| format!("--fault `{text}`: {}", error.message()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_in_both_notations() {
        let toml = parse_fault("do = \"lose-reply\", on = \"cache.set\", nth = 1").unwrap();
        let json = parse_fault(r#"{"do": "lose-reply", "on": "cache.set", "nth": 1}"#).unwrap();
        assert_eq!(toml, json);
        for text in ["do = \"explode\"", "do", "{", "do = \"fail\", on = \"cache.nothing\""] {
            let problem = parse_fault(text).unwrap_err();
            assert!(problem.starts_with("--fault `"), "{problem}");
        }
    }
}
