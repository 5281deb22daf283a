//! Faults: what goes wrong, where and when, as data.
//!
//! One list of [`Fault`]s serves every scheduler and every backend, the embedded server
//! included. A fault either strikes *steps* (`on = "cache.set"`) or the *world*
//! (`at = "2s"`), and a fault of the world may also be triggered by a step. [`Fault::check`]
//! says what is wrong with one; who carries it out is the scheduler's business.

pub(crate) mod draws;
mod remedy;
mod steps;
mod what;

pub use steps::{CACHE_STEPS, DATABASE_STEPS, Server, StepPattern, StepView};
pub use what::What;

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::{ClientId, OpKind};
use crate::seed::Chance;
use crate::step::{Key, NodeId, RowId};
use crate::time::Time;

/// One fault.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Fault {
    /// What happens.
    #[serde(rename = "do")]
    pub what: What,
    /// The steps that trigger it: `cache.set`, `cache.write`, `db.commit`, `db.*`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<StepPattern>,
    /// Only steps whose operation has executed such a step before: with `on = "cache.set"`,
    /// `after = "db.commit"` means the set that follows a commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<StepPattern>,
    /// Only steps of operations of this kind.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<OpKindName>,
    /// Whether a crash, a cancellation or a fault of the world comes before the triggering
    /// step is sent (the default) or after it took effect, before its reply is seen.
    #[serde(default, skip_serializing_if = "Moment::is_default")]
    pub moment: Moment,
    /// When a fault of the world happens.
    #[serde(default, with = "crate::time::optional_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub at: Option<Duration>,
    /// The period at which a fault of the world happens again.
    #[serde(default, with = "crate::time::optional_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub every: Option<Duration>,
    /// The window of time in which the fault may strike begins here.
    #[serde(default, with = "crate::time::optional_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub from: Option<Duration>,
    /// The window of time in which the fault may strike ends here.
    #[serde(default, with = "crate::time::optional_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Duration>,
    /// The probability with which each match is struck; 1 when not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub probability: Option<f64>,
    /// Only the n-th match, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub nth: Option<u64>,
    /// The most often that it strikes in one run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub budget: Option<u64>,
    /// Only these clients, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clients: Option<Vec<u32>>,
    /// Only these cache nodes, counted from 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<Vec<u16>>,
    /// `deliver-late`: how long after the caller gave up the command takes effect. `delay`: how
    /// much later it does.
    #[serde(default, with = "crate::time::optional_text", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub delay: Option<Duration>,
    /// `jump-clock`: by how many seconds, possibly negative.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_seconds: Option<i64>,
    /// `evict` and the bypass writes: which row; by default the row of the triggering
    /// operation, or a random one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u64>,
    /// `evict`: the item under this key, in which `{key}` stands for the key of the row; by
    /// default the row's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Stands for the row's own key in the key of an eviction.
const ROW_KEY: &str = "{key}";
/// Longer keys are refused by memcached.
const KEY_BYTES_MAX: usize = 250;

/// Before the step is sent, or after it took effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Before the step is sent.
    #[default]
    Before,
    /// After it took effect, before its reply is seen.
    After,
}

impl Moment {
    fn is_default(&self) -> bool {
        *self == Moment::default()
    }
}

/// The kind of an operation in a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum OpKindName {
    Read,
    Update,
    Modify,
    Insert,
    Delete,
}

impl OpKindName {
    fn is(self, kind: OpKind) -> bool {
        matches!(
            (self, kind),
            (OpKindName::Read, OpKind::Read)
                | (OpKindName::Update, OpKind::Update)
                | (OpKindName::Modify, OpKind::Modify)
                | (OpKindName::Insert, OpKind::Insert)
                | (OpKindName::Delete, OpKind::Delete)
        )
    }
}

/// What is wrong with a fault: the field, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultProblem {
    /// The field's name in a scenario file.
    pub field: &'static str,
    /// What is wrong and what to write instead.
    pub problem: String,
}

impl Fault {
    /// A fault that strikes every step of a set.
    pub fn on(what: What, steps: &str) -> Result<Fault, String> {
        Ok(Fault { on: Some(steps.parse()?), ..Fault::new(what) })
    }

    /// A fault without any condition.
    pub fn new(what: What) -> Fault {
        Fault {
            what,
            on: None,
            after: None,
            op: None,
            moment: Moment::Before,
            at: None,
            every: None,
            from: None,
            until: None,
            probability: None,
            nth: None,
            budget: None,
            clients: None,
            nodes: None,
            delay: None,
            by_seconds: None,
            row: None,
            key: None,
        }
    }

    /// Says what is contradictory or impossible about the fault.
    pub fn check(&self) -> Result<(), FaultProblem> {
        let what = self.what.name();
        let wrong = |field, problem| Err(FaultProblem { field, problem });
        if self.what.strikes_steps() && self.on.is_none() {
            return wrong(
                "do",
                format!("`{what}` strikes steps: say which, as in `on = \"cache.set\"`"),
            );
        }
        if self.what.strikes_steps() && (self.at.is_some() || self.every.is_some()) {
            let field = if self.at.is_some() { "at" } else { "every" };
            return wrong(
                field,
                format!("`{what}` strikes steps; use `from` and `until` for a window of time"),
            );
        }
        if self.what.lasts() && self.on.is_some() {
            return wrong(
                "on",
                format!("`{what}` lasts for a window of time; give `from` and `until`"),
            );
        }
        let untriggered = !self.what.strikes_steps() && !self.what.lasts() && self.on.is_none();
        if untriggered && self.at.is_none() && self.every.is_none() {
            return wrong("do", format!("say when `{what}` happens, with `at`, `every` or `on`"));
        }
        if self.on.is_none() && (self.after.is_some() || self.op.is_some()) {
            let field = if self.after.is_some() { "after" } else { "op" };
            return wrong(field, "this narrows the steps of `on`, which is missing".to_owned());
        }
        self.check_numbers()?;
        self.check_parameters()
    }

    fn check_numbers(&self) -> Result<(), FaultProblem> {
        let wrong = |field, problem: &str| Err(FaultProblem { field, problem: problem.to_owned() });
        if self.probability.is_some_and(|p| Chance::new(p).is_none()) {
            return wrong("probability", "a probability lies between 0 and 1");
        }
        if self.nth == Some(0) {
            return wrong("nth", "matches are counted from 1");
        }
        if self.budget == Some(0) {
            return wrong("budget", "a budget of 0 never strikes; remove the fault instead");
        }
        if self.every == Some(Duration::ZERO) {
            return wrong("every", "the period must be longer than 0");
        }
        if let (Some(from), Some(until)) = (self.from, self.until)
            && from >= until
        {
            return wrong("until", "the window's end must come after its start (`from`)");
        }
        if self.clients.as_ref().is_some_and(Vec::is_empty) {
            return wrong("clients", "an empty list matches nobody; leave it out to match all");
        }
        if self.nodes.as_ref().is_some_and(Vec::is_empty) {
            return wrong("nodes", "an empty list matches nothing; leave it out to match all");
        }
        Ok(())
    }

    fn check_parameters(&self) -> Result<(), FaultProblem> {
        let what = self.what.name();
        let only = |field, on: &str| {
            Err(FaultProblem {
                field,
                problem: format!("`{field}` belongs to {on}, not to `{what}`"),
            })
        };
        let reads = self.on.as_ref().is_some_and(StepPattern::only_reads);
        if self.what == What::AnswerWithoutDoing && reads {
            let problem = format!("`{what}` strikes writes, as in `on = \"cache.write\"`");
            return Err(FaultProblem { field: "on", problem });
        }
        let takes_delay = matches!(self.what, What::DeliverLate | What::Delay);
        if self.delay.is_some() && !takes_delay {
            return only("delay", "`delay` and `deliver-late`");
        }
        if self.what == What::Delay && self.delay.is_none_or(|delay| delay.is_zero()) {
            let problem = "say how much later the step is executed, as in `delay = \"5ms\"`";
            return Err(FaultProblem { field: "do", problem: problem.to_owned() });
        }
        if self.by_seconds.is_some() && self.what != What::JumpClock {
            return only("by-seconds", "`jump-clock`");
        }
        if self.what == What::JumpClock && self.by_seconds.is_none() {
            let problem = "say by how much the clock jumps, as in `by-seconds = 3600`".to_owned();
            return Err(FaultProblem { field: "do", problem });
        }
        let takes_row = self.what == What::Evict || self.what.bypasses();
        if self.row.is_some() && !takes_row {
            return only("row", "`evict` and the bypass writes");
        }
        if let Some(key) = &self.key {
            self.check_key(key)?;
        }
        let timed = matches!(self.what, What::Cancel | What::Crash) || !self.what.strikes_steps();
        if self.moment == Moment::After && !timed {
            return only("moment", "`crash`, `cancel` and faults of the world");
        }
        Ok(())
    }

    fn check_key(&self, key: &str) -> Result<(), FaultProblem> {
        let wrong = |problem: String| Err(FaultProblem { field: "key", problem });
        if self.what != What::Evict {
            return wrong(format!("`key` belongs to `evict`, not to `{}`", self.what));
        }
        let rest = key.replace(ROW_KEY, "");
        if rest.contains(['{', '}']) {
            let example = "as in `key = \"{key}:current\"`";
            return wrong(format!("only `{ROW_KEY}`, the row's own key, is filled in, {example}"));
        }
        let odd = |letter: char| letter.is_whitespace() || letter.is_control();
        if key.is_empty() || key.len() > KEY_BYTES_MAX || key.contains(odd) {
            return wrong(format!(
                "a key has 1 to {KEY_BYTES_MAX} bytes and no blanks, as in \
                 `key = \"version:product:0\"`"
            ));
        }
        if self.row.is_some() && rest == key {
            return wrong(format!(
                "the key does not depend on the row: leave `row` out, or write `{ROW_KEY}` where \
                 the row's own key belongs"
            ));
        }
        Ok(())
    }

    /// Whether the conditions on time, client, node and operation allow a strike.
    pub fn admits(
        &self,
        now: Time,
        client: ClientId,
        node: Option<NodeId>,
        op: Option<OpKind>,
    ) -> bool {
        self.in_window(now)
            && self.clients.as_ref().is_none_or(|list| list.contains(&client.0))
            && self.nodes.as_ref().is_none_or(|list| node.is_some_and(|n| list.contains(&n.0)))
            && self.op.is_none_or(|name| op.is_some_and(|op| name.is(op)))
    }

    /// Whether this point in time lies in the window, whose end is excluded.
    pub fn in_window(&self, now: Time) -> bool {
        self.from.is_none_or(|from| now >= Time::ZERO + from)
            && self.until.is_none_or(|until| now < Time::ZERO + until)
    }

    /// The chance with which a match is struck.
    pub fn chance(&self) -> Chance {
        self.probability.and_then(Chance::new).unwrap_or(Chance::ALWAYS)
    }

    /// The row it is about, when it names one.
    pub fn row(&self) -> Option<RowId> {
        self.row.map(RowId)
    }

    /// Whether it happens to cache nodes as a whole.
    pub(crate) fn is_about_nodes(&self) -> bool {
        use What::{FlushNode, JumpClock, RestartNode, WarmRestart};
        matches!(self.what, RestartNode | FlushNode | WarmRestart | JumpClock)
    }

    /// Whether it is about a row, named or not.
    pub(crate) fn is_about_rows(&self) -> bool {
        let any_key = self.key.as_ref().is_none_or(|key| key.contains(ROW_KEY));
        self.what.bypasses() || (self.what == What::Evict && any_key)
    }

    /// The key that it evicts, where it is about a row the one with this key.
    pub(crate) fn evicted_key(&self, own: impl FnOnce() -> Key) -> Key {
        match &self.key {
            None => own(),
            Some(template) if template.contains(ROW_KEY) => {
                let own = own();
                let own = String::from_utf8_lossy(own.as_bytes());
                Key::from(template.replace(ROW_KEY, &own))
            }
            Some(key) => Key::from(key.as_str()),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        if let Some(on) = &self.on {
            write!(f, " on {on}")?;
        }
        if let Some(after) = &self.after {
            write!(f, " after {after}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contradictory_faults_name_the_field() {
        let step = Fault::on(What::LoseReply, "cache.set").unwrap();
        assert_eq!(step.check(), Ok(()));
        let field = |fault: Fault| fault.check().unwrap_err().field;
        assert_eq!(field(Fault::new(What::LoseReply)), "do");
        assert_eq!(field(Fault::new(What::RestartNode)), "do");
        assert_eq!(field(Fault { probability: Some(1.5), ..step.clone() }), "probability");
        assert_eq!(field(Fault { nth: Some(0), ..step.clone() }), "nth");
        assert_eq!(field(Fault { at: Some(Duration::ZERO), ..step.clone() }), "at");
        assert_eq!(field(Fault { moment: Moment::After, ..step.clone() }), "moment");
        let second = Some(Duration::from_secs(1));
        assert_eq!(field(Fault { from: second, until: second, ..step }), "until");
    }

    #[test]
    fn faults_survive_a_file() {
        let fault = Fault {
            probability: Some(0.01),
            until: Some(Duration::from_millis(1500)),
            ..Fault::on(What::DeliverLate, "cache.delete").unwrap()
        };
        let text = toml::to_string(&fault).unwrap();
        assert_eq!(toml::from_str::<Fault>(&text).unwrap(), fault);
    }
}
