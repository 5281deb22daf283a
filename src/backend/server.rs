//! Database servers of our own: a private folder, a Unix socket, nothing left behind.
//!
//! A server is started under a small supervisor, a shell that reads from a pipe whose other
//! end only this process holds. However this process ends, by returning, by Ctrl-C or by a
//! crash, the pipe closes; then the supervisor stops the server and removes its folder.
//! Servers that refuse to run as root run as an unprivileged user. Nothing listens on a port.
//! One server of a kind serves all runs of a process, until [`stop_all`].

use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How a server of some kind is made and run. `{}` in arguments stands for its folder.
pub(super) struct Recipe {
    /// What it is, for messages.
    pub name: &'static str,
    /// The package that has it.
    pub package: &'static str,
    /// The program that makes an empty data folder, and its arguments.
    pub make: (&'static str, Vec<String>),
    /// The server, and its arguments.
    pub run: (&'static str, Vec<String>),
    /// Folders in which the programs are looked for after PATH.
    pub folders: Vec<PathBuf>,
    /// Users to run it as when we are root, in this order.
    pub users: &'static [&'static str],
    /// The signal on which it stops at once, as `kill` names it.
    pub stop: &'static str,
    /// The signal on which it stops as if it had crashed, all its processes with it.
    pub crash: &'static str,
}

/// A server that runs.
pub(super) struct Running {
    folder: PathBuf,
    pipe: Mutex<Option<ChildStdin>>,
    supervisor: Child,
}

/// How long a server may take to start or to stop.
const PATIENCE: Duration = Duration::from_secs(60);

/// Makes and runs the server in a session of its own; kills it and runs it again for each line of
/// standard input; stops it and removes the folder when that ends.
const SUPERVISOR: &str = r#"
trap '' INT TERM HUP
folder=$1; signal=$2; crash=$3; make=$4; run=$5
start() {
    setsid /bin/sh -c "trap - INT TERM HUP; $1" < /dev/null >> "$folder/log" 2>&1 &
    server=$!
    echo "$server" > "$folder/server.new" && mv "$folder/server.new" "$folder/server"
}
start "$make; $run"
while read -r _; do
    kill -s "$crash" "$server" 2> /dev/null
    wait "$server" 2> /dev/null
    start "$run"
done
kill -s "$signal" "$server" 2> /dev/null
for _ in 1 2 3 4 5 6 7 8 9 10; do
    kill -0 "$server" 2> /dev/null || break
    sleep 0.1
done
kill -s KILL -- "-$server" 2> /dev/null
wait "$server" 2> /dev/null
cd / && rm -rf "$folder"
"#;

/// The file that says that the data folder could not be made.
const FAILED: &str = "failed";

type All = BTreeMap<(&'static str, Option<PathBuf>), Arc<Running>>;

fn all() -> MutexGuard<'static, All> {
    static ALL: Mutex<All> = Mutex::new(BTreeMap::new());
    ALL.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Stops all servers that were started by this process and waits until they are gone.
pub fn stop_all() {
    let running = std::mem::take(&mut *all());
    drop(running);
}

impl Running {
    /// The server of this kind, started when there is none yet.
    pub fn shared(recipe: &Recipe, programs: Option<&Path>) -> Result<Arc<Running>, String> {
        let key = (recipe.name, programs.map(Path::to_owned));
        let mut all = all();
        if let Some(running) = all.get_mut(&key) {
            return Ok(Arc::clone(running));
        }
        let running = Arc::new(Running::start(recipe, programs)?);
        all.insert(key, Arc::clone(&running));
        Ok(running)
    }

    /// A server that ends with its value.
    pub fn start(recipe: &Recipe, programs: Option<&Path>) -> Result<Running, String> {
        let make = find(recipe, recipe.make.0, programs)?;
        let run = find(recipe, recipe.run.0, programs)?;
        let user = unprivileged(recipe)?;
        let folder = private_folder(user)?;
        let quoted = |program: &Path, arguments: &[String]| {
            let mut line = quote(&program.display().to_string());
            for argument in fill(arguments, &folder) {
                line.push(' ');
                line.push_str(&quote(&argument));
            }
            line
        };
        let failed = quote(&folder.join(FAILED).display().to_string());
        let (make, run) = (quoted(&make, &recipe.make.1), quoted(&run, &recipe.run.1));
        let make = format!("{make} || {{ : > {failed}; exit 1; }}");
        let run = format!("exec {run}");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SUPERVISOR, "supervisor"]).arg(&folder);
        command.args([recipe.stop, recipe.crash, &make, &run]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        command.current_dir(&folder).env("HOME", &folder).env("TMPDIR", &folder);
        // A group of its own: Ctrl-C in the terminal is for us, who then end it.
        command.process_group(0);
        if let Some((user, group)) = user {
            command.uid(user).gid(group);
        }
        let mut supervisor = command.spawn().map_err(|error| format!("/bin/sh: {error}"))?;
        let pipe = Mutex::new(supervisor.stdin.take());
        Ok(Running { folder, pipe, supervisor })
    }

    /// Its folder, in which the socket is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The server's process.
    pub fn process(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.folder.join("server")).ok()?;
        text.trim().parse().ok()
    }

    /// Kills the server and starts it again with its data; its process before and after. It
    /// takes a moment until it answers.
    pub fn restart(&self) -> Result<(u32, u32), String> {
        let process = || self.process().ok_or_else(|| "its process is not known".to_owned());
        let before = process()?;
        if let Some(pipe) = &mut *self.pipe.lock().unwrap_or_else(PoisonError::into_inner) {
            pipe.write_all(b"again\n").map_err(|error| format!("its supervisor: {error}"))?;
        }
        let started = Instant::now();
        loop {
            let after = process()?;
            if after != before {
                return Ok((before, after));
            }
            if started.elapsed() > PATIENCE {
                return Err("it does not end when it is killed".to_owned());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tries until it works; a server takes a moment until it answers.
    pub fn await_connection<T, E: std::fmt::Display>(
        &self,
        mut connect: impl FnMut() -> Result<T, E>,
    ) -> Result<T, String> {
        let started = Instant::now();
        loop {
            let error = match connect() {
                Ok(connected) => return Ok(connected),
                Err(error) => error,
            };
            let failed = self.folder.join(FAILED).exists();
            if failed || started.elapsed() > PATIENCE {
                let log = std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
                let log = last_lines(&log);
                return Err(match failed {
                    true => format!("its data folder could not be made: {log}"),
                    false => format!("it does not answer: {error}; its log ends with: {log}"),
                });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The end of its input tells the supervisor.
        *self.pipe.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let started = Instant::now();
        while let Ok(None) = self.supervisor.try_wait()
            && started.elapsed() < PATIENCE
        {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn fill(arguments: &[String], folder: &Path) -> Vec<String> {
    let folder = folder.display().to_string();
    arguments.iter().map(|argument| argument.replace("{}", &folder)).collect()
}

/// A word for the shell.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(3)..].join(" / ")
}

fn find(recipe: &Recipe, program: &str, folder: Option<&Path>) -> Result<PathBuf, String> {
    if let Some(folder) = folder {
        let path = folder.join(program);
        return match path.is_file() {
            true => Ok(path),
            false => Err(format!("{} has no `{program}`", folder.display())),
        };
    }
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&on_path).collect();
    folders.extend(recipe.folders.iter().cloned());
    folders.iter().map(|folder| folder.join(program)).find(|path| path.is_file()).ok_or_else(|| {
        format!(
            "{} is not installed: there is no `{program}`; install it with `apt-get install {}`, \
             or say where its programs are with `{}:FOLDER`",
            recipe.name, recipe.package, recipe.name
        )
    })
}

/// The newest folder `ROOT/*/bin` first.
#[cfg(feature = "postgres")]
pub(super) fn versioned_folders(root: &str) -> Vec<PathBuf> {
    let mut found: Vec<(u64, PathBuf)> = std::fs::read_dir(root)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, entry.path())))
        .collect();
    found.sort_by(|a, b| b.cmp(a));
    found.into_iter().map(|(_, path)| path.join("bin")).collect()
}

/// User and group to become, when we are root.
type User = Option<(u32, u32)>;

fn unprivileged(recipe: &Recipe) -> Result<User, String> {
    use std::os::unix::fs::MetadataExt;
    let own = std::fs::metadata("/proc/self").map_or(1, |metadata| metadata.uid());
    if own != 0 {
        return Ok(None);
    }
    let users = std::fs::read_to_string("/etc/passwd").map_err(|e| format!("/etc/passwd: {e}"))?;
    let find = |name: &&str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(*name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    recipe.users.iter().find_map(find).map(Some).ok_or_else(|| {
        let (name, users) = (recipe.name, recipe.users.join("` or `"));
        format!("{name} does not run as root, and there is no user `{users}` to run it as")
    })
}

/// A new folder that only the server's user can enter. Short, because the path of a socket
/// has at most 107 bytes.
fn private_folder(user: User) -> Result<PathBuf, String> {
    use std::os::unix::fs::{DirBuilderExt, chown};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("staleproof-{}-{number}", std::process::id());
    let folder = std::env::temp_dir().join(name);
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    if let Some((user, group)) = user {
        chown(&folder, Some(user), Some(group)).map_err(failed)?;
    }
    Ok(folder)
}
