//! A memcached process of our own: on a free port, stopped and removed with its value.
//!
//! Under libfaketime its clock stands still and moves when it is told to: a file holds its
//! time, and a connection wakes its main thread so that it looks at once rather than at its
//! next timer. Time moves in whole seconds only, since memcached counts in seconds and its
//! timer would miss a second that begins less than one second after its last look.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::backend::BackendError;
use crate::backend::process::{Process, Signal};
use crate::backend::scratch::Scratch;

/// A server that does not answer for so long did not start.
const START_TIMEOUT: Duration = Duration::from_secs(10);
/// Ports are taken by others between our look and the server's; so often we try.
const PORTS_TRIED: u32 = 5;
/// A server's clock that does not move for so long stands still.
const TICK_WITHIN: Duration = Duration::from_secs(3);
/// How exactly its next second is seen.
const TICK_LOOK_EVERY: Duration = Duration::from_millis(2);

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// The program: a name to be found on PATH, or a path.
    pub binary: PathBuf,
    /// Megabytes of memory.
    pub megabytes: u32,
    /// Whether its clock is to be ours, where libfaketime is installed.
    pub clock: OwnClock,
    /// Whether it may be restarted with its memory kept (`-e`). Its clock is then the machine's:
    /// while time stands still, the threads that write memory down never wake.
    pub warm: bool,
    /// More options of the program.
    pub arguments: Vec<String>,
}

/// Whose clock a server of our own follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnClock {
    /// The machine's.
    Machine,
    /// Ours, where libfaketime is installed; else the machine's.
    Faketime,
}

impl Options {
    /// A server as the virtual schedulers want it.
    pub fn new(binary: &Path) -> Options {
        Options {
            binary: binary.to_owned(),
            megabytes: 64,
            clock: OwnClock::Faketime,
            warm: false,
            arguments: Vec::new(),
        }
    }
}

/// A running server.
#[derive(Debug)]
pub struct OwnServer {
    options: Options,
    address: String,
    process: Process,
    faketime: Option<Faketime>,
    /// The memory file, in memory-backed storage.
    memory: Option<PathBuf>,
    /// Where its clock is; removed after the process has ended.
    _scratch: Scratch,
}

/// The clock of a server that follows ours.
#[derive(Debug)]
struct Faketime {
    library: PathBuf,
    file: PathBuf,
    /// The unix time that the server believes in.
    seconds: i64,
    /// The same when it was started.
    started: i64,
    /// Where its uptime is asked.
    control: Option<TcpStream>,
}

impl OwnServer {
    /// Starts a server and waits until it answers.
    pub fn start(options: &Options) -> Result<OwnServer, BackendError> {
        let scratch = Scratch::new().map_err(|error| {
            failed(options, &format!("no folder for it can be made: {error}; is the disk full?"))
        })?;
        let mut faketime = match options.clock {
            OwnClock::Faketime if !options.warm => Faketime::find(scratch.path()),
            _ => None,
        };
        let memory = options.warm.then(|| memory_file(&scratch));
        let mut last = String::new();
        for _ in 0..PORTS_TRIED {
            let port = free_port().map_err(|error| failed(options, &error.to_string()))?;
            match launch(options, port, faketime.as_mut(), memory.as_deref()) {
                Ok(process) => {
                    let address = format!("127.0.0.1:{port}");
                    let options = options.clone();
                    return Ok(OwnServer {
                        options,
                        address,
                        process,
                        faketime,
                        memory,
                        _scratch: scratch,
                    });
                }
                Err(Launch::Missing(error)) => return Err(error),
                Err(Launch::Ended(problem)) => last = problem,
            }
        }
        Err(failed(options, &last))
    }

    /// `host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Its process id: the witness of what is done to it.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Whether its clock moves only when it is told to.
    pub fn follows(&self) -> bool {
        self.faketime.is_some()
    }

    /// Stops it or lets it go on.
    pub fn signal(&self, signal: Signal) -> Result<(), BackendError> {
        self.process.signal(signal).map_err(|error| failed(&self.options, &error.to_string()))
    }

    /// Moves the clock forward and waits until the server has seen it.
    pub fn advance(&mut self, seconds: i64) -> Result<(), BackendError> {
        let Some(faketime) = &mut self.faketime else { return Ok(()) };
        if seconds <= 0 {
            return Ok(());
        }
        faketime.seconds += seconds;
        faketime
            .write()
            .and_then(|()| faketime.await_seen(&self.address))
            .map_err(|error| failed(&self.options, &format!("its clock does not follow: {error}")))
    }

    /// Kills it and starts it anew, empty, on the same port.
    pub fn restart_cold(&mut self) -> Result<(), BackendError> {
        let _ = self.process.signal(Signal::Kill);
        if let Some(memory) = &self.memory {
            remove_memory(memory);
        }
        self.again()
    }

    /// Lets it write its memory down, ends it, and starts it with what it held.
    pub fn restart_warm(&mut self) -> Result<(), BackendError> {
        let Some(memory) = self.memory.clone() else {
            return Err(failed(&self.options, "it was not started for a warm restart"));
        };
        self.signal(Signal::User1)?;
        self.await_end()?;
        await_past(stop_time(&memory));
        self.again()
    }

    /// Ends it without starting it again.
    pub fn kill(&mut self) -> Result<(), BackendError> {
        let broken = |error: std::io::Error| failed(&self.options, &error.to_string());
        self.process.signal(Signal::Kill).map_err(broken)?;
        self.process.wait().map(|_| ()).map_err(broken)
    }

    fn await_end(&mut self) -> Result<(), BackendError> {
        let begun = Instant::now();
        loop {
            match self.process.ended() {
                Ok(Some(_)) => return Ok(()),
                Ok(None) if begun.elapsed() < START_TIMEOUT => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(None) => return Err(failed(&self.options, "it does not end when told to")),
                Err(error) => return Err(failed(&self.options, &error.to_string())),
            }
        }
    }

    fn again(&mut self) -> Result<(), BackendError> {
        self.await_end()?;
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        let port = port.expect("our own addresses end in a port");
        let begun = Instant::now();
        loop {
            let faketime = self.faketime.as_mut();
            match launch(&self.options, port, faketime, self.memory.as_deref()) {
                Ok(process) => {
                    self.process = process;
                    return Ok(());
                }
                Err(Launch::Missing(error)) => return Err(error),
                Err(Launch::Ended(problem)) if begun.elapsed() > START_TIMEOUT => {
                    return Err(failed(&self.options, &problem));
                }
                Err(Launch::Ended(_)) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // The memory file lies outside the folder, where there is memory-backed storage.
        let _ = self.process.signal(Signal::Kill);
        if let Some(memory) = &self.memory {
            remove_memory(memory);
        }
    }
}

fn meta_file(memory: &Path) -> PathBuf {
    let mut name = memory.as_os_str().to_owned();
    name.push(".meta");
    PathBuf::from(name)
}

/// The second in which a server says that it stopped, which may lie in the future.
fn stop_time(memory: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(meta_file(memory)).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Kstop_time ")?.trim().parse().ok())
}

/// A server discards memory that was written down after its own start.
fn await_past(second: Option<u64>) {
    let Some(second) = second else { return };
    let deadline = Instant::now() + START_TIMEOUT;
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |d| d.as_secs());
    while now() <= second && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn remove_memory(file: &Path) {
    // Neither needs to exist.
    let _ = std::fs::remove_file(file);
    let _ = std::fs::remove_file(meta_file(file));
}

fn memory_file(scratch: &Scratch) -> PathBuf {
    let name = scratch.path().file_name().expect("a scratch folder has a name");
    match Path::new("/dev/shm") {
        shared if shared.is_dir() => shared.join(name),
        _ => scratch.path().join("memory"),
    }
}

enum Launch {
    /// Trying again is no use.
    Missing(BackendError),
    /// It ended or did not answer: perhaps the port was taken.
    Ended(String),
}

fn launch(
    options: &Options,
    port: u16,
    faketime: Option<&mut Faketime>,
    memory: Option<&Path>,
) -> Result<Process, Launch> {
    let mut command = Command::new(&options.binary);
    command.args(["-l", "127.0.0.1", "-U", "0", "-p", &port.to_string()]);
    command.args(["-m", &options.megabytes.to_string()]);
    // As root it refuses to start without a user; becoming another would clear the kernel's
    // promise to kill it when we are gone.
    command.args(["-u", "root"]);
    if let Some(memory) = memory {
        command.arg("-e").arg(memory);
    }
    command.args(&options.arguments).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some(faketime) = &faketime {
        let broken = |e: std::io::Error| Launch::Missing(failed(options, &e.to_string()));
        faketime.write().map_err(broken)?;
        command.env("LD_PRELOAD", &faketime.library);
        command.env("FAKETIME_TIMESTAMP_FILE", &faketime.file);
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_FMT", "%s");
    }
    let mut process = Process::start(&mut command).map_err(|error| missing(options, &error))?;
    let address = format!("127.0.0.1:{port}");
    let begun = Instant::now();
    loop {
        if let Ok(Some(status)) = process.ended() {
            return Err(Launch::Ended(format!("it ended at once ({status})")));
        }
        if stat(&address, "pid").ok().flatten() == Some(i64::from(process.id())) {
            break;
        }
        if begun.elapsed() > START_TIMEOUT {
            return Err(Launch::Ended("it does not answer".to_owned()));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    if let Some(faketime) = faketime {
        faketime.started = faketime.seconds;
        faketime.control = None;
        forget_shared_memory(process.id());
    }
    Ok(process)
}

/// libfaketime shares its state with children through named memory, which it removes only when
/// its process ends in peace. There are no children, and what is mapped needs no name.
fn forget_shared_memory(process: u32) {
    for name in [format!("faketime_shm_{process}"), format!("sem.faketime_sem_{process}")] {
        // Versions differ in what they make.
        let _ = std::fs::remove_file(Path::new("/dev/shm").join(name));
    }
}

fn missing(options: &Options, error: &std::io::Error) -> Launch {
    let problem = match error.kind() {
        std::io::ErrorKind::NotFound => {
            "there is no such program; install it (`apt-get install memcached`) or give its \
             path, as in `--cache memcached:/usr/bin/memcached`"
                .to_owned()
        }
        std::io::ErrorKind::PermissionDenied => "it is not a program that may be run".to_owned(),
        _ => error.to_string(),
    };
    Launch::Missing(failed(options, &problem))
}

fn failed(options: &Options, problem: &str) -> BackendError {
    BackendError {
        server: format!("memcached ({})", options.binary.display()),
        problem: problem.to_owned(),
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

impl Faketime {
    fn find(folder: &Path) -> Option<Faketime> {
        let library = find_library()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs() as i64;
        let file = folder.join("clock");
        Some(Faketime { library, file, seconds: now, started: now, control: None })
    }

    /// In one go: a server that found the file empty would live in the present.
    fn write(&self) -> std::io::Result<()> {
        let new = self.file.with_extension("new");
        std::fs::write(&new, format!("{}\n", self.seconds))?;
        std::fs::rename(&new, &self.file)
    }

    /// Wakes the server until its uptime is what it must be.
    fn await_seen(&mut self, address: &str) -> std::io::Result<()> {
        let wanted = self.seconds - self.started + UPTIME_AT_START;
        let begun = Instant::now();
        loop {
            drop(TcpStream::connect(address)?);
            let control = match &mut self.control {
                Some(control) => control,
                none => none.insert(connect(address)?),
            };
            let uptime = ask(control, "uptime")?;
            if uptime == Some(wanted) {
                return Ok(());
            }
            if begun.elapsed() > START_TIMEOUT {
                let problem = format!("uptime is {uptime:?} and should be {wanted}");
                return Err(std::io::Error::other(problem));
            }
        }
    }
}

/// memcached begins its life at the age of two seconds.
const UPTIME_AT_START: i64 = 2;

/// The library for programs with threads, wherever a distribution puts it. The plain one
/// reads its file without a lock and sometimes gives the real time instead.
fn find_library() -> Option<PathBuf> {
    let mut folders: Vec<PathBuf> =
        ["/usr/lib/faketime", "/usr/lib64/faketime", "/usr/local/lib/faketime"]
            .map(PathBuf::from)
            .to_vec();
    let multiarch = std::fs::read_dir("/usr/lib").into_iter().flatten().flatten();
    let mut triples: Vec<PathBuf> = multiarch
        .filter(|entry| entry.file_name().to_string_lossy().contains("-linux-"))
        .map(|entry| entry.path().join("faketime"))
        .collect();
    triples.sort();
    folders.extend(triples);
    folders.iter().map(|folder| folder.join("libfaketimeMT.so.1")).find(|path| path.exists())
}

fn connect(address: &str) -> std::io::Result<TcpStream> {
    super::bare::socket(address, Duration::from_secs(2))
}

/// One of the server's numbers, on a connection of its own.
pub fn stat(address: &str, name: &str) -> std::io::Result<Option<i64>> {
    ask(&mut connect(address)?, name)
}

/// When a server's clock moves to its next second, which takes up to a second to see; `None` where
/// it does not move.
pub(super) fn next_tick(address: &str) -> std::io::Result<Option<Instant>> {
    let mut stream = connect(address)?;
    let (begun, first) = (Instant::now(), ask(&mut stream, "time")?);
    while begun.elapsed() < TICK_WITHIN {
        std::thread::sleep(TICK_LOOK_EVERY);
        if ask(&mut stream, "time")? != first {
            return Ok(Some(Instant::now()));
        }
    }
    Ok(None)
}

fn ask(stream: &mut TcpStream, name: &str) -> std::io::Result<Option<i64>> {
    stream.write_all(b"stats\r\n")?;
    let mut text = Vec::new();
    let mut buffer = [0; 4096];
    while !text.ends_with(b"END\r\n") {
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => text.extend_from_slice(&buffer[..count]),
        }
    }
    let text = String::from_utf8_lossy(&text);
    let value = text.lines().find_map(|line| {
        line.strip_prefix("STAT ")?.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok()
    });
    Ok(value)
}
