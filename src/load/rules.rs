//! Which faults of a scenario a load carries out, how, and which it cannot.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::fault::{Fault, Server, What};
use crate::schedule::{Injector, Target};
use crate::seed::Seed;

use super::proxy::{Blow, Order};

/// How long after the client gave up a late delivery comes, where the fault does not say.
const LATE: Duration = Duration::from_millis(10);

/// The faults of a scenario, dealt out to those who carry them out.
pub(super) struct Dealt {
    /// To requests, by the proxies: their places in the scenario.
    pub on_wire: Vec<(usize, Fault)>,
    /// By the clock.
    pub timed: Vec<(usize, Fault)>,
    /// Not at all, and why.
    pub refused: Vec<(usize, &'static str)>,
}

/// Deals out a scenario's faults.
pub(super) fn deal(faults: &[Fault]) -> Dealt {
    let mut dealt = Dealt { on_wire: Vec::new(), timed: Vec::new(), refused: Vec::new() };
    for (place, fault) in faults.iter().enumerate() {
        match carrier(fault) {
            Ok(Carrier::Wire) => dealt.on_wire.push((place, fault.clone())),
            Ok(Carrier::Clock) => dealt.timed.push((place, fault.clone())),
            Err(why) => dealt.refused.push((place, why)),
        }
    }
    dealt
}

enum Carrier {
    Wire,
    Clock,
}

fn carrier(fault: &Fault) -> Result<Carrier, &'static str> {
    let on_cache = fault.on.as_ref().is_some_and(|on| on.server() == Some(Server::Cache));
    match fault.what {
        What::Refuse | What::LoseRequest | What::LoseReply | What::DeliverLate | What::Fail => {
            match on_cache {
                true => Ok(Carrier::Wire),
                false => Err("a load strikes steps of the cache only"),
            }
        }
        What::Unreachable => Ok(Carrier::Wire),
        What::FlushNode | What::RestartNode | What::Evict if fault.on.is_none() => {
            Ok(Carrier::Clock)
        }
        what if what.bypasses() && fault.on.is_none() => Ok(Carrier::Clock),
        What::FlushNode | What::RestartNode | What::Evict => {
            Err("a load does it by the clock: give `at` or `every` instead of `on`")
        }
        what if what.bypasses() => {
            Err("a load does it by the clock: give `at` or `every` instead of `on`")
        }
        What::JumpClock => Err("the servers of a load have the machine's clock"),
        What::Delay => Err("a load delays the replies of a node: give `--fault` a `delay`"),
        What::AnswerWithoutDoing => Err("a load's servers do what they say"),
        _ => Err("a load does not do this to clients"),
    }
}

/// The rules for requests, shared by all clients.
pub(super) struct Rules {
    injector: Mutex<Injector>,
    /// The places in the scenario.
    places: Vec<usize>,
    faults: Vec<Fault>,
    /// How often each was carried out on the wire, by its place among the rules.
    pub blows: Arc<Vec<AtomicU64>>,
}

impl Rules {
    pub fn new(on_wire: &[(usize, Fault)], seed: Seed) -> Rules {
        let faults: Vec<Fault> = on_wire.iter().map(|(_, fault)| fault.clone()).collect();
        Rules {
            injector: Mutex::new(Injector::new(&faults, seed)),
            places: on_wire.iter().map(|(place, _)| *place).collect(),
            blows: Arc::new(faults.iter().map(|_| AtomicU64::new(0)).collect()),
            faults,
        }
    }

    /// What is to be done to a request.
    pub fn judge(&self, target: &Target) -> Option<Order> {
        let mut injector = self.injector.lock().unwrap_or_else(PoisonError::into_inner);
        let strike = injector.unreachable(target).or_else(|| injector.judge(target))?;
        let rule = usize::from(strike.rule);
        let blow = match strike.what {
            What::LoseRequest => Blow::LoseRequest,
            What::LoseReply => Blow::LoseReply,
            What::DeliverLate => Blow::DeliverLate(self.faults[rule].delay.unwrap_or(LATE)),
            What::Fail => Blow::Fail,
            _ => Blow::Refuse,
        };
        Some(Order { rule, blow })
    }

    /// Nothing strikes from now on.
    pub fn disarm(&self) {
        self.injector.lock().unwrap_or_else(PoisonError::into_inner).disarm();
    }

    /// Places in the scenario, and how often each was carried out.
    pub fn struck(&self) -> impl Iterator<Item = (usize, u64)> {
        let blows = self.blows.iter().map(|blows| blows.load(Ordering::Relaxed));
        self.places.iter().copied().zip(blows)
    }
}
