//! Memory between runs.
//!
//! The record of a run is tens of megabytes. A C library gives a piece that large back to the
//! kernel as soon as the run is over, and each page of the next record is a fault: a tenth of
//! the time of a simulation.

/// Asks the C library to keep what was freed for the next run, up to 64 MB a piece. Where it
/// knows no such wish, nothing happens.
pub fn keep_freed() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: the call takes two numbers and changes what later calls of `malloc` and `free`
    // do with memory of this size, under the allocator's own lock.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 256 << 20);
    }
}
