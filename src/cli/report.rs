//! `staleproof report`: results that were kept, in another format.

use std::path::PathBuf;

use clap::Args;

use super::output::{self, Format};
use super::{Exit, print};

#[derive(Args)]
pub(super) struct Arguments {
    /// Results that `run --out` or `run --format json` wrote
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// How they are printed
    #[arg(long, default_value = "text")]
    format: Format,
    /// Write to this file instead; its ending (.html, .md, .xml, .json, .txt) says the format
    #[arg(long)]
    report: Option<PathBuf>,
}

pub(super) fn run(arguments: &Arguments) -> Exit {
    let results = match output::read(&arguments.files) {
        Ok(results) => results,
        Err(exit) => return exit,
    };
    let Some(path) = &arguments.report else {
        return print(&output::render(&results, arguments.format, output::colour()));
    };
    match Format::of(path) {
        Ok(format) => {
            output::write(path, &output::render(&results, format, crate::report::text::Colour::Off))
        }
        Err(message) => {
            complain!("{message}");
            Exit::WrongInput
        }
    }
}
