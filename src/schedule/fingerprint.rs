//! The fingerprint of a stepper's state; what of a world is in it, `identity.rs` says.

use std::hash::Hash;

use super::identity::Fold128;
use super::monitor::replaced;
use super::progress::{Background, Progress};
use super::stepper::{Bounds, Stepper};
use super::story;
use super::symmetry::Places;
use super::terms::{counts, feed};
use crate::backend::memcached_model::CasNames;
use crate::history::record::History;
use crate::operation::OpId;

impl Stepper<'_> {
    /// A fingerprint of what servers hold and operations returned.
    pub fn end(&self) -> u128 {
        let mut hasher = Fold128::default();
        self.world.fingerprint_of_servers(&mut CasNames::new(), &mut hasher);
        self.progress.monitor.returned().hash(&mut hasher);
        hasher.finish128()
    }

    /// Feeds the state to a hasher, and says which client stands in which place of it; `None`
    /// when a server's state cannot be seen.
    pub fn fingerprint(&self, into: &mut Fold128) -> Option<Places> {
        let Progress {
            bounds,
            flying,
            sleeping,
            locked,
            hanging,
            background,
            invoked,
            begun,
            lasting,
            monitor,
            deadlocks,
            // What is in it is compared by what could have happened when: `fingerprint_clock`.
            clock: _,
            // A function of what each operation was told.
            spent: _,
            // How it came here.
            choices: _,
        } = &self.progress;
        let mut names = self.world.cas_names();
        if !self.world.fingerprint_of_servers(&mut names, into) {
            return None;
        }
        let places = self.places(&names, into);
        self.world.fingerprint_of_clients(&places, &mut names, into);
        let mut flying: Vec<_> = flying.iter().map(|flight| self.name(*flight, &places)).collect();
        flying.sort_unstable();
        feed("Progress.flying", &flying, into);
        for flight in locked {
            let (op, number, _) = self.name(*flight, &places);
            feed("Progress.locked", &(op, number), into);
        }
        let mut sleeping: Vec<_> =
            sleeping.iter().map(|flight| self.name(*flight, &places)).collect();
        sleeping.sort_unstable();
        feed("Progress.sleeping", &sleeping, into);
        for work in background.iter().flatten() {
            work.fingerprint(into);
        }
        for place in 0..invoked.len() {
            feed("Progress.invoked", &invoked[places.client_at(place)], into);
            feed("Progress.begun", &begun[places.client_at(place)], into);
        }
        feed("Progress.lasting", lasting, into);
        let Bounds { faults, advances } = bounds;
        feed("Bounds.faults", faults, into);
        feed("Bounds.advances", advances, into);
        feed("Progress.hanging", &hanging.len(), into);
        let history = self.world.history();
        monitor.fingerprint(history, &self.open_operations(&places), &places, into);
        self.fingerprint_replaced(history, &places, into);
        if monitor.names_hazards() {
            self.fingerprint_reached(history, into);
        }
        feed("Progress.deadlocks", &(*deadlocks > 0), into);
        self.fingerprint_clock(&places, into);
        Some(places)
    }

    /// A step under way by the name that its operation has in the state's form.
    pub(super) fn name(&self, flight: usize, places: &Places) -> (OpId, u32, Option<u128>) {
        let pending = self.world.pending(flight);
        let op = self.renamed(pending.op, places);
        self.world.flight(flight).identity(op, pending.current)
    }

    /// Operations that have been invoked and have not ended, in the order of the form's places.
    fn open_operations(&self, places: &Places) -> Vec<OpId> {
        let invoked = &self.progress.invoked;
        let clients = (0..invoked.len()).map(|place| places.client_at(place));
        let open = clients.filter(|client| invoked[*client] && self.world.is_busy(*client));
        open.map(|client| self.world.op_of(client)).collect()
    }

    /// Feeds what the commits of read-modify-writes replaced that have not ended.
    fn fingerprint_replaced(&self, history: &History, places: &Places, into: &mut Fold128) {
        let clients = (0..self.progress.invoked.len()).map(|place| places.client_at(place));
        for client in clients.filter(|client| self.world.modifies(*client)) {
            let writer = replaced(history, self.world.op_of(client)).map(|writer| {
                match writer.client().is_ordinary() && writer != OpId::INITIAL {
                    true => self.renamed(writer, places),
                    false => writer,
                }
            });
            feed("History.commits, before a modify", &writer, into);
        }
    }

    /// Feeds who has reached which node since a fault struck that may keep out only some.
    fn fingerprint_reached(&self, history: &History, into: &mut Fold128) {
        let several = self.world.has_several_nodes();
        let keeps_some_out = |rule: u16| {
            let fault = self.world.fault(rule);
            several || (fault.what.lasts() && fault.clients.is_some())
        };
        if !counts("story::reached") {
            return;
        }
        let mut known = Vec::new();
        for fault in history.faults.iter().filter(|fault| keeps_some_out(fault.rule)) {
            if !known.contains(&fault.rule) {
                known.push(fault.rule);
                story::reached(history, fault.at, into);
            }
        }
    }
}

impl Background {
    fn fingerprint(&self, into: &mut Fold128) {
        let Background {
            waiting,
            dirty,
            looked_at,
            // But for what came late it follows from what the round was told.
            round: _,
            late,
        } = self;
        feed("Background.waiting", waiting, into);
        feed("Background.dirty", dirty, into);
        for (location, _) in looked_at.iter().flat_map(|footprint| footprint.entries()) {
            feed("Background.looked_at", location, into);
        }
        // In no order: a late step can come between any two of the round.
        let touched = |sum: u128, entry| sum.wrapping_add(Fold128::of(entry));
        feed("Background.late", &late.iter().fold(0, touched), into);
    }
}
