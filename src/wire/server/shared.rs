//! What all connections of a server share.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, broadcast, watch};

use super::Options;
use super::rules::Rules;
use crate::backend::memcached_model::Node;
use crate::step::NodeId;
use crate::time::Time;
use crate::wire::counters::Counters;

/// Lines of the stream of steps that a slow reader may lag behind before it loses some.
const STEPS_BUFFERED: usize = 4096;

/// The server's state.
pub(super) struct Shared {
    pub(super) nodes: Vec<NodeState>,
    pub(super) clock: Clock,
    rules: Mutex<Rules>,
    /// Whether there is any rule; without one no connection looks at them.
    pub(super) armed: AtomicBool,
    pub(super) steps: broadcast::Sender<String>,
    pub(super) last_step: AtomicU64,
    pub(super) last_connection: AtomicU32,
    pub(super) connections: AtomicUsize,
    pub(super) connections_max: usize,
    closed: Notify,
}

/// A node and what is counted about it.
pub(super) struct Served {
    node: Node,
    counters: Counters,
}

impl Served {
    /// Both, to execute a request.
    pub(super) fn parts(&mut self) -> (&mut Node, &mut Counters) {
        (&mut self.node, &mut self.counters)
    }
}

impl Deref for Served {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

impl DerefMut for Served {
    fn deref_mut(&mut self) -> &mut Node {
        &mut self.node
    }
}

/// One node.
pub(super) struct NodeState {
    node: Mutex<Served>,
    /// Counts the restarts: connections of an earlier life end.
    pub(super) life: watch::Sender<u64>,
}

impl Shared {
    pub(super) fn new(options: &Options, addresses: &[String]) -> Shared {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let unix = i64::try_from(unix).unwrap_or(0);
        let node = |(number, address): (usize, &String)| NodeState {
            node: Mutex::new(Served {
                node: Node::new(NodeId(number as u16), options.limits, 0).with_epoch(unix),
                counters: Counters::at(address.clone()),
            }),
            life: watch::channel(0).0,
        };
        Shared {
            nodes: addresses.iter().enumerate().map(node).collect(),
            clock: Clock::new(),
            rules: Mutex::new(Rules::new(options.seed)),
            armed: AtomicBool::new(false),
            steps: broadcast::channel(STEPS_BUFFERED).0,
            last_step: AtomicU64::new(0),
            last_connection: AtomicU32::new(0),
            connections: AtomicUsize::new(0),
            connections_max: options.connections_max,
            closed: Notify::new(),
        }
    }

    pub(super) fn rules(&self) -> MutexGuard<'_, Rules> {
        locked(&self.rules)
    }

    /// Notes whether there are rules; to be called after each change of them.
    pub(super) fn update_armed(&self) {
        let any = !self.rules().is_empty();
        self.armed.store(any, Ordering::Release);
    }

    /// A connection begins; `false` when there are too many.
    pub(super) fn open(&self) -> bool {
        if self.connections.fetch_add(1, Ordering::AcqRel) < self.connections_max {
            return true;
        }
        self.close();
        false
    }

    pub(super) fn close(&self) {
        self.connections.fetch_sub(1, Ordering::AcqRel);
        self.closed.notify_waiters();
    }

    /// Waits until all connections have ended.
    pub(super) async fn drained(&self) {
        loop {
            let closed = self.closed.notified();
            if self.connections.load(Ordering::Acquire) == 0 {
                return;
            }
            closed.await;
        }
    }

    pub(super) fn next_step(&self) -> u64 {
        self.last_step.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl NodeState {
    pub(super) fn lock(&self) -> MutexGuard<'_, Served> {
        locked(&self.node)
    }

    /// Restarts the node, cold or warm, and ends its connections before anybody can reach it.
    pub(super) fn restart(&self, now: Time, warm: bool) {
        let mut state = self.lock();
        let (node, counters) = state.parts();
        if warm {
            node.restart_warm(now);
        } else {
            node.restart(now);
        }
        counters.restart(node);
        self.life.send_modify(|life| *life += 1);
    }
}

/// A panic in another connection is a bug, but not a reason to panic in all.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The nodes' clock: it can be stopped and moved ahead.
pub(super) struct Clock {
    start: Instant,
    /// What is added to the time since the start.
    offset: AtomicI64,
    /// The time at which it stands still; negative while it runs.
    frozen: AtomicI64,
}

impl Clock {
    fn new() -> Clock {
        Clock { start: Instant::now(), offset: AtomicI64::new(0), frozen: AtomicI64::new(-1) }
    }

    /// Time since the start that nobody moves: windows and delays of faults follow it.
    pub(super) fn elapsed(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    fn running(&self) -> i64 {
        let elapsed = i64::try_from(self.elapsed().0).unwrap_or(i64::MAX);
        elapsed.saturating_add(self.offset.load(Ordering::Acquire))
    }

    /// What the nodes' clock shows.
    pub(super) fn now(&self) -> Time {
        let frozen = self.frozen.load(Ordering::Acquire);
        let now = if frozen < 0 { self.running() } else { frozen };
        Time(u64::try_from(now).unwrap_or(0))
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.frozen.load(Ordering::Acquire) >= 0
    }

    pub(super) fn freeze(&self) {
        if !self.is_frozen() {
            self.frozen.store(self.running().max(0), Ordering::Release);
        }
    }

    /// Lets it go on from where it stood.
    pub(super) fn thaw(&self) {
        let frozen = self.frozen.swap(-1, Ordering::AcqRel);
        if frozen >= 0 {
            self.offset.fetch_add(frozen - self.running(), Ordering::AcqRel);
        }
    }

    pub(super) fn advance(&self, by: Duration) {
        let by = i64::try_from(by.as_nanos()).unwrap_or(i64::MAX / 4);
        if self.is_frozen() {
            self.frozen.fetch_add(by, Ordering::AcqRel);
        } else {
            self.offset.fetch_add(by, Ordering::AcqRel);
        }
    }
}
