//! Where histories come from: files, folders, standard input; plain or compressed.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::history::file::{self, decompressed};
use crate::scenario::files_below;

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
            let files = files_below(path, is_history).map_err(|(folder, error)| {
                format!("{}: cannot be read: {error}", folder.display())
            })?;
            if files.is_empty() {
                return Err(format!(
                    "{}: no histories in this folder; expected files named *.jsonl, *.ndjson, or \
                     the same with .zst behind",
                    path.display()
                ));
            }
            sources.extend(files.iter().map(|file| named(file)));
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

fn is_history(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let name = name.strip_suffix(".zst").unwrap_or(&name);
    name.ends_with(".jsonl") || name.ends_with(".ndjson")
}
