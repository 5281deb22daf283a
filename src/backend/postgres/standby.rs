//! A hot standby of our own server, that applies what was committed only after a while.
//!
//! It begins as a base backup, follows by streaming, and `recovery_min_apply_delay` holds it back.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::{Postgres, own_control, recipe};
use crate::backend::server::{Recipe, Running};

/// Starts a standby; reads of it see the database as it was this long ago.
pub(super) fn start(primary: &Postgres, lag: Duration) -> Result<Postgres, String> {
    let Some(running) = &primary.running else {
        return Err("only a server of our own gets a standby; leave the URL out".to_owned());
    };
    let recipe = recipe_of(running.folder(), lag);
    let running = Arc::new(Running::start(&recipe, primary.programs.as_deref())?);
    let mut config = postgres::Config::new();
    config.host_path(running.folder()).user("staleproof").dbname("postgres");
    let control = own_control(&running, &config)?;
    Ok(Postgres {
        place: format!("{} (standby)", primary.place),
        config,
        control,
        isolation: primary.isolation,
        version: primary.version.clone(),
        schema: primary.schema.clone(),
        reset: false,
        created: false,
        deadlock_ms: primary.deadlock_ms,
        tables: Arc::clone(&primary.tables),
        running: Some(running),
        programs: primary.programs.clone(),
    })
}

fn recipe_of(primary: &Path, lag: Duration) -> Recipe {
    let primary = primary.display().to_string();
    let backup = ["-D", "{}/data", "-h", &primary, "-U", "staleproof", "-R", "-X", "stream"];
    let mut recipe = recipe();
    let backup = backup.iter().chain(&["-c", "fast", "--no-sync"]);
    recipe.make = ("pg_basebackup", backup.map(|word| (*word).to_owned()).collect());
    let delay = format!("recovery_min_apply_delay={}ms", lag.as_millis());
    recipe.run.1.extend(["-c".to_owned(), delay]);
    recipe
}

/// That it is in recovery, and when the last transaction that it has applied was committed.
pub(super) fn witness(standby: &mut Postgres) -> Option<String> {
    let ask = "SELECT pg_is_in_recovery(), (extract(epoch FROM clock_timestamp() - \
               pg_last_xact_replay_timestamp()) * 1000)::bigint";
    let row = standby.control.ask(|control| control.query_one(ask, &[])).ok()?;
    let process = standby.running.as_ref()?.process()?;
    let behind: Option<i64> = row.get(1);
    match (row.get::<_, bool>(0), behind) {
        (true, Some(behind)) => Some(format!(
            "standby process {process} is in recovery, and its last commit was {behind} ms old"
        )),
        _ => None,
    }
}
