//! What lies in a folder and in those below it.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// The files below a folder that are wanted, in the order of their paths. Each folder is listed
/// once: links may lead back. Fails with the folder that cannot be listed.
pub(crate) fn files_below(
    folder: &Path,
    wanted: impl Fn(&Path) -> bool,
) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    let (mut seen, mut files) = (BTreeSet::new(), Vec::new());
    // By path, the last one next: which of several ways to a folder is taken is always the same.
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error| (folder.clone(), error);
        if !seen.insert(folder.canonicalize().map_err(failed)?) {
            continue;
        }
        let mut below = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            match path.is_dir() {
                true => below.push(path),
                false if wanted(&path) => files.push(path),
                false => {}
            }
        }
        below.sort_unstable_by(|one, other| other.cmp(one));
        folders.append(&mut below);
    }
    files.sort_unstable();
    Ok(files)
}
