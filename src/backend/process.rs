//! A server process of our own, which never outlives us.
//!
//! It is killed and waited for when the value is dropped, and killed by the kernel when the
//! thread that started it is gone, however that came about: so it must be started on a thread
//! that lives as long as it is needed. It has a process group of its own, since a Ctrl-C
//! meant for us must not stop it while its last statements are still wanted.

use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};

/// A child process.
#[derive(Debug)]
pub struct Process {
    child: Child,
}

/// What can be sent to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Stop it where it stands.
    Stop,
    /// Let it go on.
    Continue,
    /// SIGUSR1, which memcached takes as "write your memory down and end".
    User1,
    /// End now.
    Kill,
}

impl Process {
    /// Starts a command without input; its output goes nowhere unless the command says where.
    pub fn start(command: &mut Command) -> io::Result<Process> {
        command.stdin(Stdio::null());
        die_with_parent(command);
        Ok(Process { child: command.spawn()? })
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        signal_to(self.child.id(), signal)
    }

    /// Waits until it has ended.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, which is what we want.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(target_os = "linux")]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    let parent = std::process::id();
    command.process_group(0);
    let last_will = move || {
        // SAFETY: both are plain system calls without memory of ours, allowed after a fork.
        let armed = unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        // The parent may have died before the call took effect.
        let orphaned = unsafe { libc::getppid() } as u32 != parent;
        match armed {
            0 if !orphaned => Ok(()),
            0 => Err(io::Error::other("the parent process is gone")),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: the closure allocates nothing and takes no lock.
    unsafe { command.pre_exec(last_will) };
}

#[cfg(all(unix, not(target_os = "linux")))]
fn die_with_parent(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.process_group(0);
}

#[cfg(not(unix))]
fn die_with_parent(_: &mut Command) {}

#[cfg(unix)]
fn signal_to(process: u32, signal: Signal) -> io::Result<()> {
    let number = match signal {
        Signal::Stop => libc::SIGSTOP,
        Signal::Continue => libc::SIGCONT,
        Signal::User1 => libc::SIGUSR1,
        Signal::Kill => libc::SIGKILL,
    };
    // SAFETY: a system call without memory of ours; the child has not been waited for, so its
    // id is still its own.
    match unsafe { libc::kill(process as libc::pid_t, number) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(not(unix))]
fn signal_to(_: u32, _: Signal) -> io::Result<()> {
    Err(io::Error::other("signals need a Unix system"))
}
