//! The connection on which the server itself is asked, on no pattern's behalf.
//!
//! PostgreSQL's own limits (`statement_timeout`) are kept by the server, so a server that is
//! stopped or cut off keeps nobody's; the client has none. Each question therefore has a thread,
//! which is left behind with its connection when it gets no answer.

use std::sync::Arc;

use postgres::{Client, Config, NoTls};

use super::session::is_lost;
use super::{refused, text};
use crate::backend::deadline::{silent, within};

/// For what is asked on no pattern's behalf: somebody's lock must not keep it waiting for ever.
pub(super) fn bounded(config: &Config) -> Config {
    let mut config = config.clone();
    config.options("-c lock_timeout=15s -c statement_timeout=25s");
    config
}

/// A connection of which each answer comes in time, or never.
pub(super) struct Control {
    config: Config,
    /// Absent once the server has not answered in time: it is not waited for again.
    client: Option<Client>,
}

impl Control {
    pub(super) fn new(config: &Config, client: Client) -> Control {
        Control { config: bounded(config), client: Some(client) }
    }

    pub(super) fn open(config: &Config) -> Result<Control, String> {
        Ok(Control::new(config, connect(&bounded(config))?))
    }

    /// Asks the server; once more on a new connection where the old one is gone.
    pub(super) fn ask<T: Send + 'static>(
        &mut self,
        ask: impl Fn(&mut Client) -> Result<T, postgres::Error> + Send + Sync + 'static,
    ) -> Result<T, String> {
        // Shared with its thread: what it carries may be all rows of a table.
        let ask = Arc::new(ask);
        let again = Arc::clone(&ask);
        match self.ask_once(move |client| ask(client))? {
            Err(error) if is_lost(&error) => {
                self.connect_again()?;
                self.ask_once(move |client| again(client))?.map_err(|error| text(&error))
            }
            answer => answer.map_err(|error| text(&error)),
        }
    }

    /// What the server answers on this connection; the outer error is that it does not in time.
    pub(super) fn ask_once<T: Send + 'static>(
        &mut self,
        ask: impl FnOnce(&mut Client) -> Result<T, postgres::Error> + Send + 'static,
    ) -> Result<Result<T, postgres::Error>, String> {
        let mut client = self.client.take().ok_or_else(silent)?;
        let (client, answer) = within(move || {
            let answer = ask(&mut client);
            (client, answer)
        })?;
        self.client = Some(client);
        Ok(answer)
    }

    pub(super) fn connect_again(&mut self) -> Result<(), String> {
        self.client = Some(connect(&self.config)?);
        Ok(())
    }
}

/// A new connection, or that the server does not take it in time.
fn connect(config: &Config) -> Result<Client, String> {
    let config = config.clone();
    within(move || config.connect(NoTls))?.map_err(|error| refused(&error))
}
