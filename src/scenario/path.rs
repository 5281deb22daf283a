//! Paths into a document: what is wrong, by the name of the place.
//!
//! Checks say *what* by a [`Path`]; [`locate`] finds the bytes in the parsed text. So the
//! data types need not carry places in the file.

use std::fmt;
use std::ops::Range;

use toml::de::{DeArray, DeTable, DeValue};

/// One step of a path into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Segment {
    /// A key of a table.
    Key(String),
    /// A place in a list, from 0.
    Index(usize),
}

/// A path into a document, such as `fault[1].probability`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(pub Vec<Segment>);

impl Path {
    /// The path that a text such as `fault[1].probability` names.
    pub fn parse(text: &str) -> Path {
        let mut path = Path::default();
        for part in text.split('.') {
            let mut names = part.split('[');
            path = path.key(names.next().unwrap_or_default());
            for index in names.filter_map(|index| index.trim_end_matches(']').parse().ok()) {
                path = path.index(index);
            }
        }
        path
    }

    /// The path of a key in the table that this path names.
    pub fn key(&self, key: &str) -> Path {
        self.with(Segment::Key(key.to_owned()))
    }

    /// The path of an element of the list that this path names.
    pub fn index(&self, index: usize) -> Path {
        self.with(Segment::Index(index))
    }

    /// Whether this is the other path or a part of what that names.
    pub fn is_within(&self, other: &Path) -> bool {
        self.0.starts_with(&other.0)
    }

    /// Whether a problem here may only be there because the other path's value was left out:
    /// it is a part of this one, or in the same element of a list, as `fault[1]`.
    pub fn may_follow_from(&self, other: &Path) -> bool {
        let element = self.0.iter().rposition(|segment| matches!(segment, Segment::Index(_)));
        let same_element = element.is_some_and(|place| other.0.starts_with(&self.0[..=place]));
        same_element || other.is_within(self)
    }

    fn with(&self, segment: Segment) -> Path {
        let mut segments = self.0.clone();
        segments.push(segment);
        Path(segments)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, segment) in self.0.iter().enumerate() {
            match segment {
                Segment::Key(key) if place == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Something wrong at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub path: Path,
    /// Whether the key itself is wrong rather than its value.
    pub at_key: bool,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

impl Wrong {
    /// A problem with the value at a path.
    pub fn new(path: Path, message: impl Into<String>) -> Wrong {
        Wrong { path, at_key: false, message: message.into(), help: None }
    }

    /// With what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Wrong {
        self.help = Some(help.into());
        self
    }

    /// It is the key that is wrong.
    pub fn at_key(mut self) -> Wrong {
        self.at_key = true;
        self
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "; {help}"),
            None => Ok(()),
        }
    }
}

/// The bytes of what the path names, or of the nearest thing around it that is there.
pub(crate) fn locate(document: &DeTable<'_>, path: &Path, at_key: bool) -> Range<usize> {
    let mut span = 0..0;
    let mut table = Some(document);
    let mut list: &[toml::Spanned<DeValue<'_>>] = &[];
    for (place, segment) in path.0.iter().enumerate() {
        let found = match segment {
            Segment::Key(key) => table.and_then(|table| table.get_key_value(key.as_str())),
            Segment::Index(_) => None,
        };
        let value = match (segment, found) {
            (Segment::Key(_), Some((key, value))) => {
                let wants_key = at_key && place + 1 == path.0.len();
                span = if wants_key { key.span() } else { value.span() };
                value
            }
            (Segment::Index(index), _) => match list.get(*index) {
                Some(value) => {
                    span = value.span();
                    value
                }
                None => return span,
            },
            _ => return span,
        };
        table = value.get_ref().as_table();
        list = value.get_ref().as_array().map_or(&[], |array| array);
    }
    span
}

/// The path of the innermost value that holds these bytes.
pub(crate) fn find(table: &DeTable<'_>, span: &Range<usize>) -> Option<Path> {
    let mut inner = None;
    search(table, &Path::default(), &mut |path, place| {
        let holds = place.start <= span.start && span.end <= place.end;
        let length = place.len();
        if holds && inner.as_ref().is_none_or(|(least, _)| length <= *least) {
            inner = Some((length, path.clone()));
        }
    });
    inner.map(|(_, path)| path)
}

fn search(table: &DeTable<'_>, path: &Path, visit: &mut impl FnMut(&Path, Range<usize>)) {
    for (key, value) in table.iter() {
        let path = path.key(key.get_ref());
        visit(&path, key.span());
        search_value(value, &path, visit);
    }
}

fn search_value(
    value: &toml::Spanned<DeValue<'_>>,
    path: &Path,
    visit: &mut impl FnMut(&Path, Range<usize>),
) {
    visit(path, value.span());
    match value.get_ref() {
        DeValue::Table(table) => search(table, path, visit),
        DeValue::Array(array) => {
            for (index, value) in array.iter().enumerate() {
                search_value(value, &path.index(index), visit);
            }
        }
        _ => {}
    }
}

/// Removes the entry that holds the path's value; elements of lists go with their list,
/// unless the path goes on into them. Says whether there was something to remove.
pub(crate) fn remove(table: &mut DeTable<'_>, path: &Path) -> bool {
    let Some(key) = path.0.iter().rposition(|segment| matches!(segment, Segment::Key(_))) else {
        return false;
    };
    let mut table = Some(table);
    let mut list: Option<&mut DeArray<'_>> = None;
    for segment in &path.0[..key] {
        let value = match segment {
            Segment::Key(key) => table.and_then(|table| table.get_mut(key.as_str())),
            Segment::Index(index) => list.and_then(|list| list.get_mut(*index)),
        };
        (table, list) = match value.map(toml::Spanned::get_mut) {
            Some(DeValue::Table(inner)) => (Some(inner), None),
            Some(DeValue::Array(inner)) => (None, Some(inner)),
            _ => return false,
        };
    }
    match (&path.0[key], table) {
        (Segment::Key(key), Some(table)) => table.remove(key.as_str()).is_some(),
        _ => false,
    }
}
