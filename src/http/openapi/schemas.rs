//! The schemas of the document, made from the types of `errand_protocol`.
//!
//! What a type takes and what it gives can differ (a default is left out of a request and stands in an answer), so
//! each is made by both of serde's contracts. Where they differ, what is taken is called `…Input`.

use std::collections::BTreeSet;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value};

use super::op::SchemaOf;

const GIVEN: &str = "#/components/schemas/";
const TAKEN: &str = "#/components/taken/";

/// Collects schemas while the document is made.
pub(super) struct Schemas {
    taken: SchemaGenerator,
    given: SchemaGenerator,
}

impl Schemas {
    pub(super) fn new() -> Self {
        let settings = |path: &'static str| {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = path.into();
                settings.meta_schema = None;
            })
        };
        Self {
            taken: settings("/components/taken").for_deserialize().into_generator(),
            given: settings("/components/schemas").for_serialize().into_generator(),
        }
    }

    /// The schema of what is sent to us.
    pub(super) fn taken(&mut self, of: SchemaOf) -> Value {
        of(&mut self.taken).to_value()
    }

    /// The schema of what we send.
    pub(super) fn given(&mut self, of: SchemaOf) -> Value {
        of(&mut self.given).to_value()
    }

    /// Puts all definitions into the document, and corrects the references to them.
    pub(super) fn finish(mut self, document: &mut Value) {
        let mut given = self.given.take_definitions(true);
        given.values_mut().for_each(without_null_where_absent);
        let taken = self.taken.take_definitions(true);
        let different = different(&taken, &given);
        let rename = |reference: &str| -> Option<String> {
            let name = reference.strip_prefix(TAKEN)?;
            let input = if different.contains(name) { "Input" } else { "" };
            Some(format!("{GIVEN}{name}{input}"))
        };
        for (name, mut schema) in taken {
            correct(&mut schema, &rename);
            if different.contains(&name) {
                given.insert(format!("{name}Input"), schema);
            } else {
                given.insert(name, schema);
            }
        }
        correct(document, &rename);
        let mut given = Value::Object(given);
        bounds(&mut given);
        texts(&mut given, "description", &|text| Some(plain(text)));
        document["components"]["schemas"] = given;
    }
}

/// Names of the types that take something else than they give, or hold such a type.
fn different(taken: &Map<String, Value>, given: &Map<String, Value>) -> BTreeSet<String> {
    let as_given = |reference: &str| Some(format!("{GIVEN}{}", reference.strip_prefix(TAKEN)?));
    let differs = |(name, schema): &(&String, &Value)| {
        let mut same = (*schema).clone();
        correct(&mut same, &as_given);
        given.get(*name).is_some_and(|other| *other != same)
    };
    let mut found: BTreeSet<String> = taken.iter().filter(differs).map(|(name, _)| name.clone()).collect();
    loop {
        let holds = |(name, schema): &(&String, &Value)| {
            let text = schema.to_string();
            let one = |inner: &String| text.contains(&format!("\"{TAKEN}{inner}\""));
            !found.contains(*name) && given.contains_key(*name) && found.iter().any(one)
        };
        let more: Vec<String> = taken.iter().filter(holds).map(|(name, _)| name.clone()).collect();
        if more.is_empty() {
            return found;
        }
        found.extend(more);
    }
}

/// Gives references other targets.
fn correct(value: &mut Value, rename: &impl Fn(&str) -> Option<String>) {
    texts(value, "$ref", rename);
}

/// Changes every text that stands under this key, at any depth.
fn texts(value: &mut Value, key: &str, change: &impl Fn(&str) -> Option<String>) {
    if let Value::Object(map) = value {
        for (name, inner) in map {
            let changed = inner.as_str().filter(|_| name == key).and_then(change);
            match changed {
                Some(text) => *inner = text.into(),
                None => texts(inner, key, change),
            }
        }
    } else if let Value::Array(values) = value {
        for inner in values {
            texts(inner, key, change);
        }
    }
}

/// Says how large whole numbers can be where the generator says only of which kind they are.
fn bounds(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let most = match map.get("format").and_then(Value::as_str) {
                Some("uint32") => Some(u64::from(u32::MAX)),
                Some("uint64") => Some(u64::MAX),
                Some(_) | None => None,
            };
            if let Some(most) = most {
                map.entry("maximum").or_insert(most.into());
            }
            map.values_mut().for_each(bounds);
        }
        Value::Array(values) => values.iter_mut().for_each(bounds),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// What is not there is left out of answers: a field that need not be there is never `null`.
fn without_null_where_absent(schema: &mut Value) {
    let Value::Object(map) = schema else {
        if let Value::Array(values) = schema {
            values.iter_mut().for_each(without_null_where_absent);
        }
        return;
    };
    let required: BTreeSet<String> = match map.get("required") {
        Some(Value::Array(names)) => names
            .iter()
            .filter_map(|name| name.as_str().map(str::to_owned))
            .collect(),
        _ => BTreeSet::new(),
    };
    if let Some(Value::Object(properties)) = map.get_mut("properties") {
        for (name, property) in properties {
            if !required.contains(name) {
                without_null(property);
            }
        }
    }
    map.values_mut().for_each(without_null_where_absent);
}

fn without_null(property: &mut Value) {
    let Value::Object(map) = property else { return };
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            map.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(forms)) = map.get_mut("anyOf") {
        forms.retain(|form| form["type"] != "null");
        if let [Value::Object(only)] = forms.as_slice() {
            let only = only.clone();
            map.remove("anyOf");
            map.extend(only);
        }
    }
}

/// Links of Rust's documentation mean nothing here.
fn plain(text: &str) -> String {
    let text = text.replace("[`", "`").replace("`]", "`").replace('\n', " ");
    let word = |word: &str| match word.split_once("`crate::") {
        Some((before, path)) => format!("{before}`{}", path.rsplit("::").next().unwrap_or_default()),
        None => word.to_owned(),
    };
    text.split(' ').map(word).collect::<Vec<_>>().join(" ")
}
