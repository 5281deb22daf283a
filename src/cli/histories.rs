//! Writes the histories of runs into a folder.

use std::path::PathBuf;

use crate::history::file;
use crate::run::Run;
use crate::seed::Seed;

/// Where the histories of a scenario's runs go.
pub(super) struct Histories {
    /// The folder.
    pub folder: PathBuf,
    /// The scenario's name.
    pub stem: String,
    /// Whether they are compressed.
    pub zstd: bool,
    /// Whether one could not be written.
    pub failed: bool,
}

impl Histories {
    /// Writes a run's history under the scenario's name and the run's seed.
    pub fn write(&mut self, seed: Seed, run: &Run) {
        let mut bytes = Vec::new();
        file::write(&run.history, &mut bytes).expect("memory takes all bytes");
        let ending = if self.zstd { "jsonl.zst" } else { "jsonl" };
        if self.zstd {
            bytes = file::compressed(&bytes);
        }
        let path = self.folder.join(format!("{}-{}.{ending}", self.stem, seed.0));
        let partial = path.with_extension("partial");
        let written = std::fs::create_dir_all(&self.folder)
            .and_then(|()| std::fs::write(&partial, &bytes))
            .and_then(|()| std::fs::rename(&partial, &path));
        if let Err(error) = written {
            complain!("{}: cannot be written: {error}; choose another --history", path.display());
            self.failed = true;
        }
    }
}
