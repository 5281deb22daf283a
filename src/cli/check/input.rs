//! Where histories come from: files, folders, standard input; plain or compressed.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::history::file::{self, decompressed};

/// One history's source.
pub(super) struct Source {
    /// What it is called in messages.
    pub name: String,
    /// `None` for standard input.
    path: Option<PathBuf>,
}

impl Source {
    /// Opens it; what is compressed is decompressed.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, file::Error> {
        let failed = |source| file::Error::Source { name: self.name.clone(), source };
        let plain: Box<dyn Read + Send> = match &self.path {
            None => Box::new(io::stdin()),
            Some(path) => Box::new(File::open(path).map_err(failed)?),
        };
        decompressed(BufReader::with_capacity(1 << 18, plain)).map_err(failed)
    }
}

/// The sources that the paths name; folders are searched, in the order of names.
pub(super) fn find(paths: &[PathBuf]) -> Result<Vec<Source>, String> {
    let mut sources = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            sources.push(Source { name: "standard input".to_owned(), path: None });
        } else if path.is_dir() {
            let before = sources.len();
            search(path, &mut BTreeSet::new(), &mut sources)?;
            if sources.len() == before {
                return Err(format!(
                    "{}: no histories in this folder; expected files named *.jsonl, *.ndjson, or \
                     the same with .zst behind",
                    path.display()
                ));
            }
        } else if path.exists() {
            sources.push(named(path));
        } else {
            return Err(format!(
                "{}: no such file; name a history file, a folder, or - for standard input",
                path.display()
            ));
        }
    }
    Ok(sources)
}

fn named(path: &Path) -> Source {
    Source { name: path.display().to_string(), path: Some(path.to_owned()) }
}

/// Searches a folder and those in it, each once: links may lead back.
fn search(
    folder: &Path,
    seen: &mut BTreeSet<PathBuf>,
    sources: &mut Vec<Source>,
) -> Result<(), String> {
    let failed = |error: io::Error| format!("{}: cannot be read: {error}", folder.display());
    if !seen.insert(folder.canonicalize().map_err(failed)?) {
        return Ok(());
    }
    let entries: Result<Vec<_>, _> = std::fs::read_dir(folder).map_err(failed)?.collect();
    let mut paths: Vec<PathBuf> =
        entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            search(&path, seen, sources)?;
        } else if is_history(&path) {
            sources.push(named(&path));
        }
    }
    Ok(())
}

fn is_history(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name = name.strip_suffix(".zst").unwrap_or(&name);
    name.ends_with(".jsonl") || name.ends_with(".ndjson")
}
