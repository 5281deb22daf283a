//! `staleproof init`: a first scenario, with comments, that passes as it is.

use std::io::{ErrorKind, Write};
use std::path::PathBuf;

use clap::Args;

use super::{Exit, print};

#[derive(Args)]
pub(super) struct Arguments {
    /// The file to write
    #[arg(default_value = "first.toml")]
    file: PathBuf,
}

const FIRST: &str = include_str!("first.toml");

pub(super) fn run(arguments: &Arguments) -> Exit {
    let file = arguments.file.display();
    let opened = std::fs::OpenOptions::new().write(true).create_new(true).open(&arguments.file);
    match opened.and_then(|mut out| out.write_all(FIRST.as_bytes())) {
        Ok(()) => print(&format!(
            "wrote {file}; now try\n  staleproof run {file}\n  staleproof run {file} --report \
             first.html\n  staleproof lint {file}\n"
        )),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            complain!("{file}: exists already, and is left as it is; name another file");
            Exit::WrongInput
        }
        Err(error) => {
            complain!("{file}: cannot be written: {error}; name another file");
            Exit::Environment
        }
    }
}
