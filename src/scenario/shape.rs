//! The shape of a document: keys, types and ranges, checked against the JSON Schema.
//!
//! serde stops at the first mistake and knows no neighbouring names. The schema that is
//! generated from the same types knows all keys of a table, so all mistakes are found in
//! one go, each with a suggestion, and editors that use the schema agree with us.

use serde_json::Value as Json;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::path::{Path, Wrong};
use super::suggest::{list, unknown};

/// Everything in the document that the schema does not allow.
pub(crate) fn check(document: &DeTable<'_>, schema: &Json) -> Vec<Wrong> {
    let mut check = Check { root: schema, wrong: Vec::new() };
    check.table(document, &[schema], &Path::default());
    check.wrong
}

struct Check<'a> {
    root: &'a Json,
    wrong: Vec<Wrong>,
}

impl<'a> Check<'a> {
    fn value(&mut self, value: &DeValue<'_>, schema: &'a Json, path: &Path) {
        let mut alternatives = Vec::new();
        self.alternatives(schema, &mut alternatives);
        let kind = kind_of(value);
        let fitting: Vec<&Json> =
            alternatives.iter().copied().filter(|schema| allows(schema, kind)).collect();
        if fitting.is_empty() {
            self.wrong.push(wrong_kind(kind, &alternatives, path));
            return;
        }
        match value {
            DeValue::String(text) => self.text(text, &fitting, path),
            DeValue::Table(table) => self.table(table, &fitting, path),
            DeValue::Array(array) => self.array(array, fitting[0], path),
            DeValue::Integer(_) | DeValue::Float(_) => self.number(value, fitting[0], path),
            DeValue::Boolean(_) | DeValue::Datetime(_) => {}
        }
    }

    /// The schemas of which one has to fit: references and `anyOf` resolved.
    fn alternatives(&self, schema: &'a Json, into: &mut Vec<&'a Json>) {
        if let Some(reference) = schema.get("$ref").and_then(Json::as_str) {
            let pointer = reference.strip_prefix('#').unwrap_or(reference);
            if let Some(target) = self.root.pointer(pointer) {
                self.alternatives(target, into);
            }
            return;
        }
        for union in ["anyOf", "oneOf"] {
            if let Some(members) = schema.get(union).and_then(Json::as_array) {
                members.iter().for_each(|member| self.alternatives(member, into));
                return;
            }
        }
        into.push(schema);
    }

    fn text(&mut self, text: &str, schemas: &[&'a Json], path: &Path) {
        let mut names = Vec::new();
        for schema in schemas {
            match (schema.get("enum").and_then(Json::as_array), schema.get("const")) {
                (Some(values), _) => names.extend(values.iter().filter_map(Json::as_str)),
                (None, Some(value)) => names.extend(value.as_str()),
                // Any text is allowed; what it means is for the type to say.
                (None, None) => return,
            }
        }
        if !names.contains(&text) {
            let (message, help) = unknown("value", text, &names);
            self.wrong.push(Wrong::new(path.clone(), message).help(help));
        }
    }

    fn table(&mut self, table: &DeTable<'_>, schemas: &[&'a Json], path: &Path) {
        let mut known: Vec<&str> = Vec::new();
        for schema in schemas {
            let keys = schema.get("properties").and_then(Json::as_object);
            known.extend(keys.into_iter().flat_map(|keys| keys.keys().map(String::as_str)));
        }
        for (key, value) in in_order(table) {
            let key: &str = key.get_ref();
            let path = path.key(key);
            let named = schemas.iter().find_map(|schema| schema.get("properties")?.get(key));
            match named.or_else(|| schemas.iter().find_map(|schema| additional(schema))) {
                Some(schema) => self.value(value.get_ref(), schema, &path),
                None => {
                    let (message, help) = unknown("key", key, &known);
                    self.wrong.push(Wrong::new(path, message).help(help).at_key());
                }
            }
        }
        if let [schema] = schemas {
            self.required(table, schema, path);
        }
    }

    fn required(&mut self, table: &DeTable<'_>, schema: &'a Json, path: &Path) {
        let required = schema.get("required").and_then(Json::as_array);
        for key in required.into_iter().flatten().filter_map(Json::as_str) {
            if !table.contains_key(key) {
                let about = schema["properties"][key]["description"].as_str().unwrap_or_default();
                let problem = Wrong::new(path.clone(), format!("`{key}` is missing"));
                self.wrong.push(problem.help(first_sentence(about)));
            }
        }
    }

    fn array(&mut self, array: &[Spanned<DeValue<'_>>], schema: &'a Json, path: &Path) {
        let fixed = schema.get("prefixItems").and_then(Json::as_array);
        if let Some(fixed) = fixed
            && fixed.len() != array.len()
        {
            let message = format!("must have {} elements, not {}", fixed.len(), array.len());
            self.wrong.push(Wrong::new(path.clone(), message));
            return;
        }
        for (index, value) in array.iter().enumerate() {
            let items = fixed.and_then(|fixed| fixed.get(index)).or_else(|| schema.get("items"));
            if let Some(items) = items {
                self.value(value.get_ref(), items, &path.index(index));
            }
        }
    }

    /// Whether a number fits its type. Narrower ranges are checked with the scenario, where
    /// the message can say what they mean.
    fn number(&mut self, value: &DeValue<'_>, schema: &'a Json, path: &Path) {
        let (DeValue::Integer(integer), Some(format)) =
            (value, schema.get("format").and_then(Json::as_str))
        else {
            return;
        };
        // TOML's integers have 64 bits with a sign; what has more fits nowhere.
        let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
        let (least, most) = match format {
            "uint8" => (0, u8::MAX.into()),
            "uint16" => (0, u16::MAX.into()),
            "uint32" => (0, u32::MAX.into()),
            "uint64" | "uint" => (0, i64::MAX),
            _ => (i64::MIN, i64::MAX),
        };
        if !number.is_some_and(|number| (least..=most).contains(&number)) {
            let size = match integer.as_str().starts_with('-') {
                true if least == 0 => "must not be negative".to_owned(),
                true => format!("is too small; the least is {least}"),
                false => format!("is too large; the most is {most}"),
            };
            self.wrong.push(Wrong::new(path.clone(), size));
        }
    }
}

/// The entries of a table in the order of the file, so that wrong come in that order.
fn in_order<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<toml::de::DeString<'i>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

/// The schema of keys that are not named, when such are allowed.
fn additional(schema: &Json) -> Option<&Json> {
    match schema.get("additionalProperties") {
        Some(Json::Bool(false)) => None,
        Some(schema) => Some(schema),
        None => schema.get("properties").is_none().then_some(&Json::Bool(true)),
    }
}

fn kind_of(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "string",
        DeValue::Integer(_) => "integer",
        DeValue::Float(_) => "number",
        DeValue::Boolean(_) => "boolean",
        DeValue::Datetime(_) => "date",
        DeValue::Array(_) => "array",
        DeValue::Table(_) => "object",
    }
}

/// Whether a schema without alternatives allows values of a kind.
fn allows(schema: &Json, kind: &str) -> bool {
    let fits = |name: &str| name == kind || (name == "number" && kind == "integer");
    match schema.get("type") {
        Some(Json::String(name)) => fits(name),
        Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).any(fits),
        _ if schema.get("const").is_some_and(Json::is_string) => kind == "string",
        _ => true,
    }
}

fn wrong_kind(kind: &str, alternatives: &[&Json], path: &Path) -> Wrong {
    let mut names: Vec<&str> = Vec::new();
    for schema in alternatives {
        let of_schema = match schema.get("type") {
            Some(Json::String(name)) => vec![name.as_str()],
            Some(Json::Array(names)) => names.iter().filter_map(Json::as_str).collect(),
            _ => vec!["string"],
        };
        for name in of_schema.into_iter().filter(|name| *name != "null").map(for_people) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    let message = format!("must be {}, not {}", names.join(" or "), for_people(kind));
    let problem = Wrong::new(path.clone(), message);
    let values: Vec<&str> =
        alternatives.iter().filter_map(|schema| schema.get("const")?.as_str()).collect();
    if values.is_empty() { problem } else { problem.help(format!("such as {}", list(&values))) }
}

/// TOML's word for a type of the schema, with its article.
fn for_people(kind: &str) -> &str {
    match kind {
        "string" => "a string",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a table",
        "date" => "a date",
        other => other,
    }
}

fn first_sentence(text: &str) -> String {
    let sentence = text.split_once(". ").map_or(text, |(first, _)| first);
    let mut letters = sentence.trim_end_matches('.').replace('\n', " ").chars().collect::<Vec<_>>();
    if let Some(first) = letters.first_mut() {
        *first = first.to_ascii_lowercase();
    }
    letters.into_iter().collect()
}
