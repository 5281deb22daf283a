//! What users are told of a built-in pattern, and its settings, which are checked by name.

use std::time::Duration;

use super::{Settings, Traits};
use crate::step::Ttl;
use crate::time::parse_duration;

/// A built-in pattern in words; stands beside its code.
#[derive(Clone, Copy, Debug)]
pub(crate) struct About {
    /// The name in scenario files.
    pub name: &'static str,
    /// One line.
    pub summary: &'static str,
    /// Its source file, whose head says what it promises and what it does not.
    pub source: &'static str,
    /// What the harness has to know.
    pub traits: Traits,
    /// The settings it knows.
    pub settings: &'static [SettingSpec],
}

impl About {
    /// The head of the source file, without the comment signs.
    pub fn text(&self) -> String {
        let head = self.source.lines().take_while(|line| line.starts_with("//!"));
        let lines: Vec<&str> = head.map(|line| line.trim_start_matches("//!").trim()).collect();
        lines.join("\n")
    }
}

/// A setting of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettingSpec {
    /// Its name in scenario files.
    pub name: &'static str,
    /// What it is when a scenario says nothing.
    pub default: &'static str,
    /// One line.
    pub summary: &'static str,
}

/// A scenario's settings, read by name with the defaults of their pattern.
#[derive(Clone, Copy)]
pub(crate) struct Options<'a> {
    given: &'a Settings,
    specs: &'static [SettingSpec],
}

impl<'a> Options<'a> {
    /// Refuses names that the pattern does not know.
    pub fn new(given: &'a Settings, specs: &'static [SettingSpec]) -> Result<Options<'a>, String> {
        let unknown = given.keys().find(|name| specs.iter().all(|spec| spec.name != name.as_str()));
        match unknown {
            None => Ok(Options { given, specs }),
            Some(name) if specs.is_empty() => {
                Err(format!("`{name}` is unknown: this pattern has no settings"))
            }
            Some(name) => {
                let names: Vec<_> = specs.iter().map(|spec| format!("`{}`", spec.name)).collect();
                Err(format!("`{name}` is unknown; this pattern has {}", names.join(", ")))
            }
        }
    }

    fn default(&self, name: &str) -> &'static str {
        let spec = self.specs.iter().find(|spec| spec.name == name);
        spec.expect("a pattern reads the settings that it declares").default
    }

    /// A duration: `10ms`.
    pub fn duration(&self, name: &str) -> Result<Duration, String> {
        let text = match self.given.get(name) {
            None => self.default(name),
            Some(toml::Value::String(text)) => text,
            Some(other) => return Err(format!("`{name}` is `{other}`; write it as \"10ms\"")),
        };
        parse_duration(text).map_err(|problem| format!("`{name}`: {problem}"))
    }

    /// A whole number from 1 on.
    pub fn number(&self, name: &str) -> Result<u32, String> {
        let number = match self.given.get(name) {
            None => self.default(name).parse().ok(),
            Some(value) => value.as_integer(),
        };
        let number = number.and_then(|number| u32::try_from(number).ok()).filter(|n| *n > 0);
        number.ok_or_else(|| format!("`{name}` has to be a whole number from 1 on"))
    }

    /// An expiry in seconds, from 1 on.
    pub fn seconds(&self, name: &str) -> Result<Ttl, String> {
        self.number(name).map(Ttl::seconds)
    }

    /// Yes or no.
    pub fn flag(&self, name: &str) -> Result<bool, String> {
        match self.given.get(name) {
            None => Ok(self.default(name) == "true"),
            Some(toml::Value::Boolean(flag)) => Ok(*flag),
            Some(other) => Err(format!("`{name}` is `{other}`; write true or false")),
        }
    }

    /// One of several words, by its place in the list.
    pub fn choice(&self, name: &str, words: &[&str]) -> Result<usize, String> {
        let word = match self.given.get(name) {
            None => self.default(name),
            Some(toml::Value::String(text)) => text,
            Some(_) => "",
        };
        let place = words.iter().position(|known| *known == word);
        place.ok_or_else(|| format!("`{name}` has to be one of {}", words.join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPECS: &[SettingSpec] =
        &[SettingSpec { name: "delay", default: "5ms", summary: "a pause" }];

    fn settings(text: &str) -> Settings {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn defaults_stand_in_for_what_is_not_said() {
        let given = settings("");
        let options = Options::new(&given, SPECS).unwrap();
        assert_eq!(options.duration("delay"), Ok(Duration::from_millis(5)));
    }

    #[test]
    fn unknown_names_and_wrong_kinds_are_refused_with_a_remedy() {
        let unknown = settings("dealy = '1ms'");
        let problem = Options::new(&unknown, SPECS).err().unwrap();
        assert_eq!(problem, "`dealy` is unknown; this pattern has `delay`");
        let wrong = settings("delay = 3");
        let problem = Options::new(&wrong, SPECS).unwrap().duration("delay").unwrap_err();
        assert_eq!(problem, "`delay` is `3`; write it as \"10ms\"");
    }
}
