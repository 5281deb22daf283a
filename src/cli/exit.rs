//! Exit codes.

use std::process::ExitCode;

/// How the program ends. Of several scenarios the worst counts, in the order of this list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// Everything was as expected.
    AsExpected,
    /// Nothing was tested, or not what was meant to be.
    NotTested,
    /// A limit was reached before there was a verdict.
    Unknown,
    /// A verdict differs from the expected one.
    Differs,
    /// Wrong input.
    WrongInput,
    /// The environment failed: a dead server, a full disk.
    Environment,
    /// Somebody interrupted it.
    Interrupted,
    /// The tool failed, or a pattern's code did outside its operations.
    Panicked,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::AsExpected => 0,
            Exit::Differs => 1,
            Exit::WrongInput => 2,
            Exit::Unknown => 3,
            Exit::NotTested => 4,
            Exit::Environment => 5,
            Exit::Interrupted => 130,
            // What a panic ends a program with in any case.
            Exit::Panicked => 101,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}
