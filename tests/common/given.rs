//! Database servers that are not the tool's, with a user, a password and a port of their own.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use mysql::prelude::Queryable;

pub const PASSWORD: &str = "ge!heim";
/// The same in a URL.
pub const IN_URL: &str = "ge%21heim";

/// A server that is not the tool's.
pub struct Given {
    pub kind: &'static str,
    pub port: u16,
    process: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Given {
    fn drop(&mut self) {
        self.signal("CONT");
        let id = self.process.id().to_string();
        let _ = Command::new("kill").args(["-s", "QUIT", &id]).status();
        std::thread::sleep(Duration::from_millis(200));
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    folders.push("/usr/sbin".into());
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    folders.extend(versions.map(|version| version.path().join("bin")));
    folders.into_iter().map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// These servers do not run as root.
fn as_somebody(command: &mut Command, user: &str, folder: &Path) {
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        return;
    }
    let users = std::fs::read_to_string("/etc/passwd").unwrap();
    let line = users.lines().find(|line| line.starts_with(&format!("{user}:"))).unwrap();
    let ids: Vec<u32> = line.split(':').skip(2).take(2).map(|id| id.parse().unwrap()).collect();
    chown(folder, Some(ids[0]), Some(ids[1])).unwrap();
    command.uid(ids[0]).gid(ids[1]).current_dir(folder);
}

/// `None` where it is not installed.
pub fn start(kind: &'static str) -> Option<Given> {
    let (make, server, user) = match kind {
        "postgres" => ("initdb", "postgres", "postgres"),
        _ => ("mariadb-install-db", "mariadbd", "mysql"),
    };
    let (Some(make), Some(server)) = (program(make), program(server)) else {
        assert!(std::env::var_os("STALEPROOF_REQUIRE_SERVERS").is_none(), "{kind} is missing");
        println!("SKIPPED: {kind} is not installed");
        return None;
    };
    let folder = tempfile::tempdir().unwrap();
    let (home, data) = (folder.path().display().to_string(), folder.path().join("data"));
    let data = data.display().to_string();
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let word = folder.path().join("word");
    std::fs::write(&word, PASSWORD).unwrap();
    let (mut making, mut running) = (Command::new(make), Command::new(server));
    if kind == "postgres" {
        making.args(["-D", &data, "-A", "scram-sha-256", "-U", "shop", "--no-sync"]);
        making.arg(format!("--pwfile={}", word.display()));
        running.args(["-D", &data, "-k", &home, "-p", &port.to_string()]);
        running.args(["-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]);
        running.args(["-c", "wal_level=logical"]);
    } else {
        making.args(["--no-defaults", "--skip-test-db"]).arg(format!("--datadir={data}"));
        making.arg("--auth-root-authentication-method=normal");
        running.args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-log-bin"]);
        running.arg(format!("--datadir={data}")).arg(format!("--port={port}"));
        running.arg(format!("--socket={home}/socket"));
    }
    for command in [&mut making, &mut running] {
        as_somebody(command, user, folder.path());
        command.env("HOME", &home).stdout(Stdio::null()).stderr(Stdio::null());
    }
    assert!(making.status().unwrap().success(), "{kind} has no data folder");
    let process = running.spawn().unwrap();
    let mut given = Given { kind, port, process, _folder: folder };
    let begun = Instant::now();
    while !given.is_up(&home) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{kind} does not answer");
        std::thread::sleep(Duration::from_millis(50));
    }
    Some(given)
}

impl Given {
    /// Whether it answers; the first answer makes MariaDB's user.
    fn is_up(&mut self, home: &str) -> bool {
        if self.kind == "postgres" {
            return postgres::Client::connect(&self.config(self.port), postgres::NoTls).is_ok();
        }
        let options = mysql::OptsBuilder::new().user(Some("root"));
        let Ok(mut root) = mysql::Conn::new(options.socket(Some(format!("{home}/socket")))) else {
            return false;
        };
        let grant = format!("GRANT ALL ON *.* TO shop@'127.0.0.1' IDENTIFIED BY '{PASSWORD}'");
        root.query_drop(grant).unwrap();
        true
    }

    /// To the server and to the processes that it has made.
    fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let signal = format!("-{signal}");
        let _ = Command::new("kill").args([&signal, &id]).status();
        let _ = Command::new("pkill").args([&signal, "-P", &id]).status();
    }

    /// Makes it stand still until it is dropped.
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// How PostgreSQL's client is told of it, at a port that may be a proxy's.
    pub fn config(&self, port: u16) -> String {
        format!("host=127.0.0.1 port={port} user=shop password='{PASSWORD}' dbname=postgres")
    }

    pub fn url(&self, password: &str, options: &str) -> String {
        let database = if self.kind == "postgres" { "/postgres" } else { "" };
        format!("{}://shop:{password}@127.0.0.1:{}{database}{options}", self.kind, self.port)
    }

    /// A connection of MariaDB's client, through a port that may be a proxy's.
    pub fn mariadb(&self, port: u16) -> mysql::Conn {
        let options = mysql::OptsBuilder::new().ip_or_hostname(Some("127.0.0.1"));
        let options = options.tcp_port(port).user(Some("shop")).pass(Some(PASSWORD));
        mysql::Conn::new(options.prefer_socket(false)).unwrap()
    }

    /// The texts that a statement answers with.
    pub fn ask(&self, sql: &str) -> Vec<String> {
        if self.kind == "postgres" {
            let mut client =
                postgres::Client::connect(&self.config(self.port), postgres::NoTls).unwrap();
            let messages = client.simple_query(sql).unwrap();
            let row = |message| match message {
                postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
                _ => None,
            };
            return messages.into_iter().filter_map(row).collect();
        }
        let mut client = self.mariadb(self.port);
        let mut found = Vec::new();
        for statement in sql.split(';').filter(|statement| !statement.trim().is_empty()) {
            found = client.query(statement).unwrap();
        }
        found
    }

    pub fn namespaces(&self) -> Vec<String> {
        self.ask(
            "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE \
             'staleproof%' ORDER BY 1",
        )
    }
}
