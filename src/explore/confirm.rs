//! Which counterexamples were confirmed on which servers: kept beside the matrix, from one
//! run to the next.

use std::collections::BTreeMap;
use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// By counterexample, by servers: what came out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Confirmed(BTreeMap<String, BTreeMap<String, Confirmation>>);

/// What a replay on real servers came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confirmation {
    /// The same finding after the same schedule.
    Confirmed,
    /// It came out otherwise, and how.
    Differs(String),
    /// It could not be tried, and why.
    NotTested(String),
}

impl Confirmed {
    /// What a file holds; nothing when there is none.
    pub fn load(path: &Path) -> Result<Confirmed, String> {
        match std::fs::read_to_string(path) {
            Ok(text) => serde_json::from_str(&text)
                .map_err(|error| format!("{}: {error}; remove it to begin anew", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Confirmed::default()),
            Err(error) => Err(format!("{}: {error}", path.display())),
        }
    }

    /// Notes what came out for a counterexample on these servers.
    pub fn note(&mut self, counterexample: &str, servers: &str, what: Confirmation) {
        let of_one = self.0.entry(counterexample.to_owned()).or_default();
        of_one.insert(servers.to_owned(), what);
    }

    /// What came out for a counterexample, by servers.
    pub fn of<'a>(
        &'a self,
        counterexample: &str,
    ) -> impl Iterator<Item = (&'a str, &'a Confirmation)> + use<'a> {
        let of_one = self.0.get(counterexample).into_iter().flatten();
        of_one.map(|(servers, what)| (servers.as_str(), what))
    }

    /// As a file has it.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("plain data can be written");
        text.push('\n');
        text
    }

    /// How many were confirmed, of how many, by servers.
    pub fn counts(&self) -> BTreeMap<&str, (usize, usize)> {
        let mut counts: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
        for (servers, what) in self.0.values().flatten() {
            let (confirmed, all) = counts.entry(servers).or_default();
            *all += 1;
            *confirmed += usize::from(*what == Confirmation::Confirmed);
        }
        counts
    }
}
