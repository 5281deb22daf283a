//! Background work: when a round of it can begin, and when it has to be looked at again.

use super::effects::Effects;
use super::error::RunError;
use super::stepper::Stepper;
use crate::operation::{ClientId, ProcessId};
use crate::step::{Access, Footprint};

impl Stepper<'_> {
    pub(super) fn tick(
        &mut self,
        process: ProcessId,
        effects: &mut Effects,
    ) -> Result<(), RunError> {
        let client = self.world.place_of_client(ClientId::background(process));
        effects.client = Some(client);
        let work = self.progress.background[client].as_mut().expect("it is background work");
        work.waiting = false;
        work.dirty = false;
        work.round.clear();
        work.late.clear();
        self.progress.invoked[client] = true;
        self.goes_on_now(client);
        self.world.tick_now(client)
    }

    pub(super) fn end_round(&mut self, client: usize, idle: bool) {
        let begun = self.world.begun(client) > 0;
        let work = self.progress.background[client].as_mut().expect("it is background work");
        work.waiting = true;
        work.dirty = !idle;
        work.late.clear();
        if idle && begun {
            let mut looked_at = Footprint::on();
            for (location, _) in work.round.drain(..) {
                looked_at.read(|| location);
            }
            work.looked_at = Some(looked_at);
        }
    }

    /// Background work is to be looked at again when what it looks at has changed.
    pub(super) fn note_background(&mut self, effects: &Effects) {
        let touched = &self.world.footprint;
        let writes = touched.entries().iter().any(|(_, access)| *access != Access::Read);
        for (client, work) in self.progress.background.iter_mut().enumerate() {
            let Some(work) = work else { continue };
            if effects.everything {
                work.dirty |= work.waiting;
            } else if effects.client == Some(client) && work.waiting {
                // A round that was idle ended with this step, which belongs to what it looked at.
                if let Some(looked_at) = work.looked_at.as_mut().filter(|_| !work.dirty) {
                    for (location, _) in touched.entries() {
                        looked_at.read(|| location.clone());
                    }
                }
            } else if effects.client == Some(client) {
                work.round.extend(touched.entries().iter().cloned());
                if effects.late {
                    work.late.extend(touched.entries().iter().cloned());
                }
            } else {
                work.dirty |= work.waiting
                    && match &work.looked_at {
                        None => writes || effects.everything,
                        Some(looked_at) => !looked_at.independent_of(touched),
                    };
            }
        }
    }
}
