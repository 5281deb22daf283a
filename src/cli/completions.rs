//! `staleproof completions`: what a shell has to know to complete our commands.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Exit, print};

#[derive(Args)]
pub(super) struct Arguments {
    /// Which shell
    shell: Shell,
}

pub(super) fn run<C: CommandFactory>(arguments: &Arguments) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut C::command(), "staleproof", &mut text);
    print(&String::from_utf8_lossy(&text))
}
