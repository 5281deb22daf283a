//! The list of patterns: the built-in ones and a user's own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::about::About;
use super::{AnyPattern, Pattern, SettingSpec};
use crate::entity::Entity;

/// Settings of a pattern as a scenario gives them: names and numbers or texts.
pub type Settings = BTreeMap<String, toml::Value>;

type Factory = dyn Fn(&Settings) -> Result<Rc<dyn AnyPattern>, String> + Send + Sync;

/// What the harness has to know of a pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// It reads the cache, so a run without hits has not tested it.
    pub caches: bool,
    /// It has background work: `tick` is to be called.
    pub background: bool,
    /// It opens transactions, so clients need connections of their own.
    pub transactions: bool,
    /// It reads the log of commits.
    pub reads_log: bool,
    /// It writes to the outbox, a table beside the application's.
    pub outbox: bool,
    /// Its readers compare every entry with its row: an old entry is as good as none.
    pub validates: bool,
    /// Its instances keep state that matters elsewhere than in `cx.local`, whose accesses are
    /// steps: exploration then cannot tell two states apart, and runs every schedule.
    pub hidden_state: bool,
}

impl Traits {
    /// A pattern that reads the cache and has nothing else of note.
    pub const CACHING: Traits = Traits {
        caches: true,
        background: false,
        transactions: false,
        reads_log: false,
        outbox: false,
        validates: false,
        hidden_state: false,
    };
}

/// One pattern by name.
#[derive(Clone)]
pub struct Entry {
    /// The name in scenario files.
    pub name: String,
    /// One line for users.
    pub summary: String,
    /// What the harness has to know.
    pub traits: Traits,
    /// What it promises and what it does not, for the built-in ones.
    pub text: String,
    /// It is wrong on purpose, to show a hazard.
    pub flawed: bool,
    /// The settings of the built-in ones.
    pub settings: &'static [SettingSpec],
    factory: Arc<Factory>,
}

impl Entry {
    /// A fresh instance, as a starting process makes it.
    pub(crate) fn start(&self, settings: &Settings) -> Result<Rc<dyn AnyPattern>, String> {
        (self.factory)(settings)
    }
}

/// Patterns and entities by name.
#[derive(Clone)]
pub struct Registry {
    patterns: Vec<Entry>,
    entities: Vec<Arc<dyn Entity>>,
}

impl Registry {
    /// A registry with nothing in it.
    pub fn empty() -> Registry {
        Registry { patterns: Vec::new(), entities: Vec::new() }
    }

    /// Adds a built-in pattern with what it says about itself.
    pub(super) fn strategy<P: Pattern>(
        self,
        about: &About,
        make: impl Fn(&Settings) -> Result<P, String> + Send + Sync + 'static,
    ) -> Registry {
        let mut registry = self.pattern_with(about.name, about.summary, about.traits, make);
        if let Some(entry) = registry.patterns.last_mut() {
            entry.text = about.text();
            entry.settings = about.settings;
        }
        registry
    }

    /// Marks the patterns from this place on as wrong on purpose.
    pub(super) fn flawed_from(mut self, place: usize) -> Registry {
        self.patterns.iter_mut().skip(place).for_each(|entry| entry.flawed = true);
        self
    }

    /// Adds a pattern that is a plain function of no settings, and that caches.
    pub fn pattern<P: Pattern + Clone + Send + Sync>(
        self,
        name: &str,
        summary: &str,
        pattern: P,
    ) -> Registry {
        self.pattern_with(name, summary, Traits::CACHING, move |_| Ok(pattern.clone()))
    }

    /// Adds a pattern that is made anew at each start of a process, from the scenario's
    /// settings; a name that exists already is replaced.
    pub fn pattern_with<P: Pattern>(
        mut self,
        name: &str,
        summary: &str,
        traits: Traits,
        make: impl Fn(&Settings) -> Result<P, String> + Send + Sync + 'static,
    ) -> Registry {
        let factory: Arc<Factory> =
            Arc::new(move |settings| Ok(Rc::new(make(settings)?) as Rc<dyn AnyPattern>));
        self.patterns.retain(|entry| entry.name != name);
        self.patterns.push(Entry {
            name: name.to_owned(),
            summary: summary.to_owned(),
            traits,
            text: String::new(),
            flawed: false,
            settings: &[],
            factory,
        });
        self
    }

    /// Adds rows of another kind.
    pub fn entity(mut self, entity: impl Entity + 'static) -> Registry {
        self.entities.push(Arc::new(entity));
        self
    }

    /// All patterns, in the order in which they were added.
    pub fn patterns(&self) -> &[Entry] {
        &self.patterns
    }

    /// The pattern of this name.
    pub fn find(&self, name: &str) -> Option<&Entry> {
        self.patterns.iter().find(|entry| entry.name == name)
    }

    /// All entities.
    pub fn entities(&self) -> &[Arc<dyn Entity>] {
        &self.entities
    }

    /// The entity of this name.
    pub fn find_entity(&self, name: &str) -> Option<&Arc<dyn Entity>> {
        self.entities.iter().find(|entity| entity.name() == name)
    }
}
