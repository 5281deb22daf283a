//! The list of patterns: the built-in ones and a user's own.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use super::cache_aside::cache_aside;
use super::no_cache::no_cache;
use super::read_through::read_through;
use super::write_behind::WriteBehind;
use super::write_through::write_through;
use super::{AnyPattern, Pattern};
use crate::entity::{Entity, Product};

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
}

impl Traits {
    /// A pattern that reads the cache and has nothing else of note.
    pub const CACHING: Traits = Traits { caches: true, background: false, transactions: false };
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

    /// The patterns and entities that come with staleproof.
    pub fn built_in() -> Registry {
        let background = Traits { background: true, ..Traits::CACHING };
        Registry::empty()
            .entity(Product)
            .pattern_with(
                "no-cache",
                "the control: every read asks the database",
                Traits::default(),
                |_| Ok(no_cache),
            )
            .pattern(
                "read-through",
                "get, on a miss select and set; writers only update the \
                      database",
                read_through,
            )
            .pattern(
                "write-through",
                "read-through; writers update the database, then set the \
                      cache",
                write_through,
            )
            .pattern(
                "cache-aside",
                "read-through; writers update the database, then delete from \
                      the cache",
                cache_aside,
            )
            .pattern_with(
                "write-behind",
                "writers set the cache and queue the key; a flusher updates the database later",
                background,
                |_| Ok(WriteBehind::default()),
            )
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
