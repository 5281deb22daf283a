//! How long a server may take to answer what is asked on no pattern's behalf.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Longer than such a question waits for a lock, or than the server works at it.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What the work returns; if it takes longer, it is left behind and goes on unheard.
pub(super) fn within<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (tell, told) = mpsc::channel();
    let started = thread::Builder::new().spawn(move || tell.send(work()));
    started.map_err(|error| format!("no thread to ask it on: {error}"))?;
    told.recv_timeout(PATIENCE).map_err(|_| silent())
}

/// What is said of a server that did not answer in time.
pub(super) fn silent() -> String {
    format!("it did not answer within {} s; is it stopped, or overloaded?", PATIENCE.as_secs())
}
