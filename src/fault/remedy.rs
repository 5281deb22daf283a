//! What is said of a fault that never took effect, and what to do about it.

use super::{Fault, What};

impl Fault {
    /// Why what it was meant to test is not tested, with the remedy.
    pub fn never_took_effect(&self) -> String {
        format!("fault `{self}` never took effect: {}, or remove it", self.remedy())
    }

    fn remedy(&self) -> &'static str {
        match self.what {
            What::Evict => "let it come while the entry is cached (`on`, `at`, `row`, `key`)",
            What::RestartNode | What::FlushNode | What::WarmRestart => {
                "let it come while the node holds something (`on`, `at`, `nodes`)"
            }
            What::Unreachable => {
                "let a client send a step to the node in its window (`from`, `until`, `nodes`, \
                 `clients`)"
            }
            What::JumpClock => "let the clock jump by at least a second (`by-seconds`)",
            What::BypassUpdate | What::BypassDelete => {
                "name a row that exists then, and that nobody has locked (`row`, `on`, `at`)"
            }
            What::BypassInsert => "name a row that does not exist then (`row`, `on`, `at`)",
            What::PurgeLog => {
                "let it come after a commit, under a pattern that reads the log of commits"
            }
            _ => {
                "let it match a step that the pattern sends (`on`, `after`, `op`, `clients`, \
                 `nodes`, `nth`, `probability`, `from`, `until`)"
            }
        }
    }
}
