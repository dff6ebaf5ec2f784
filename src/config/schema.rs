//! The JSON Schema of the configuration file (draft 2020-12), for editors and for checks before a roll-out.
//!
//! It comes from the settings themselves. What is said by the reading of the file and not by them is put in: sections that may
//! stand above what they are for, Azure's names, and the names that workspaces may have.

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::inherit::{sections_of_service, sections_of_workspace};
use super::names::{OF_CORS, TYPE_OVERRIDES, VERSION_POLICY};
use super::settings::Settings;
use super::workspace::{NAME_PATTERN, RESERVED_NAMES};

/// One setting that has a value.
#[derive(Clone, Debug)]
pub(super) struct Leaf {
    /// Its path, as in `http.workers`. What is named by the user is `NAME`.
    pub(super) path: String,
    /// What it is when it is not set.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation is checked against it"))]
    pub(super) default: Option<Value>,
    /// What it means.
    #[cfg_attr(not(test), expect(dead_code, reason = "the documentation is checked against it"))]
    pub(super) description: String,
    /// Whether a variable of the environment can hold it.
    pub(super) is_plain: bool,
}

/// The schema.
#[must_use]
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut root = generator.into_root_schema_for::<Settings>().to_value();
    // It is another one on each machine.
    if let Some(workers) = root.pointer_mut("/$defs/HttpSettings/properties/workers") {
        workers.as_object_mut().map(|workers| workers.remove("default"));
    }
    put_title(&mut root);
    put_names(&mut root);
    put_inherited(&mut root);
    let levels = ["", "/$defs/WorkspaceSettings", "/$defs/ServiceSettings"];
    for level in levels {
        put_version_policy(&mut root, level);
    }
    put_cors(&mut root);
    allow_nothing(&mut root);
    root
}

fn put_title(root: &mut Value) {
    if let Some(root) = root.as_object_mut() {
        root.insert("title".to_owned(), json!("The configuration of Anamnesis"));
        // The defaults of a whole server are those of its parts.
        if let Some(workspaces) = root.get_mut("properties").and_then(|all| all.get_mut("workspaces")) {
            workspaces.as_object_mut().map(|workspaces| workspaces.remove("default"));
        }
    }
}

/// The names that workspaces and services may have.
fn put_names(root: &mut Value) {
    let places = [
        ("/properties/workspaces", json!({ "pattern": NAME_PATTERN, "not": { "enum": RESERVED_NAMES } })),
        ("/$defs/WorkspaceSettings/properties/services", json!({ "pattern": NAME_PATTERN })),
    ];
    for (place, names) in places {
        if let Some(Value::Object(named)) = root.pointer_mut(place) {
            named.insert("propertyNames".to_owned(), names);
            named.insert("minProperties".to_owned(), json!(1));
        }
    }
}

/// What belongs to workspaces and services, at the top and in workspaces, where it is the default of what is below.
fn put_inherited(root: &mut Value) {
    let section =
        |root: &Value, of: &str, name: &str| root.pointer(&format!("/$defs/{of}/properties/{name}")).cloned();
    let mut found: Vec<(&str, &str, Value)> = Vec::new();
    for name in sections_of_service() {
        if let Some(schema) = section(root, "ServiceSettings", name) {
            found.push(("", name, schema.clone()));
            found.push(("/$defs/WorkspaceSettings", name, schema));
        }
    }
    for name in sections_of_workspace() {
        if let Some(schema) = section(root, "WorkspaceSettings", name) {
            found.push(("", name, schema));
        }
    }
    for (level, name, schema) in found {
        if let Some(properties) = properties_mut(root, level) {
            properties.entry(name).or_insert(schema);
        }
    }
}

fn properties_mut<'r>(root: &'r mut Value, level: &str) -> Option<&'r mut Map<String, Value>> {
    root.pointer_mut(&format!("{level}/properties")).and_then(Value::as_object_mut)
}

fn put_version_policy(root: &mut Value, level: &str) {
    let ours = root.pointer("/$defs/VersioningSettings/properties");
    let (Some(default), Some(types)) = (
        ours.and_then(|ours| ours.get("default")).cloned(),
        ours.and_then(|ours| ours.get("types")).cloned(),
    ) else {
        return;
    };
    let azure = json!({
        "description": "How versions are treated: Azure's name for fhir.versioning.",
        "type": "object",
        "properties": { "default": default, TYPE_OVERRIDES: types.clone(), "types": types },
        "additionalProperties": false
    });
    if let Some(properties) = properties_mut(root, level) {
        properties.insert(VERSION_POLICY.to_owned(), azure);
    }
}

fn put_cors(root: &mut Value) {
    let Some(properties) = properties_mut(root, "/$defs/CorsSettings") else { return };
    for (azure, ours) in OF_CORS {
        if let Some(schema) = properties.get(ours).cloned() {
            properties.insert(azure.to_owned(), schema);
        }
    }
}

/// In YAML a section may be there without anything in it.
fn allow_nothing(value: &mut Value) {
    match value {
        Value::Object(object) => {
            let is_section = object.contains_key("properties") || object.contains_key("additionalProperties");
            if is_section && !object.contains_key("required") && object.get("type") == Some(&json!("object"))
            {
                object.insert("type".to_owned(), json!(["object", "null"]));
            }
            object.values_mut().for_each(allow_nothing);
        }
        Value::Array(values) => values.iter_mut().for_each(allow_nothing),
        _ => {}
    }
}

/// Every setting that has a value, in the order of their paths; each at the highest place where it may stand.
pub(super) fn leaves() -> Vec<Leaf> {
    let root = schema();
    let mut leaves = Vec::new();
    walk(&root, &root, "", None, &mut leaves);
    // What stands in workspaces and services only because it may stand there too is told once.
    let above: Vec<String> = leaves.iter().map(|leaf| leaf.path.clone()).collect();
    leaves.retain(|leaf: &Leaf| {
        let inner = leaf.path.strip_prefix("workspaces.NAME.services.NAME.");
        let inner = inner.or_else(|| leaf.path.strip_prefix("workspaces.NAME."));
        inner.is_none_or(|inner| !above.iter().any(|path| path == inner))
    });
    leaves.sort_by(|one, other| one.path.cmp(&other.path));
    leaves
}

fn walk(root: &Value, schema: &Value, path: &str, default: Option<&Value>, leaves: &mut Vec<Leaf>) {
    let description = schema.get("description").and_then(Value::as_str).unwrap_or_default();
    let default = schema.get("default").or(default);
    let schema = resolved(root, schema);
    let inside = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    if let Some(properties) = schema.get("properties").and_then(Value::as_object) {
        let skipped = |name: &str| {
            name == VERSION_POLICY
                || (path.ends_with("corsConfiguration") && OF_CORS.iter().any(|(azure, _)| *azure == name))
        };
        for (name, inner) in properties.iter().filter(|(name, _)| !skipped(name)) {
            walk(root, inner, &inside(name), default.and_then(|default| default.get(name)), leaves);
        }
        return;
    }
    let named = schema.get("additionalProperties").filter(|named| named.is_object());
    if let Some(named) = named.filter(|named| resolved(root, named).get("properties").is_some()) {
        walk(root, named, &inside("NAME"), None, leaves);
        return;
    }
    let is_list = |kind: &Value| kind == "array" || kind == "object";
    let is_plain = match schema.get("type") {
        Some(Value::Array(kinds)) => !kinds.iter().any(is_list),
        Some(kind) => !is_list(kind),
        None => true,
    };
    leaves.push(Leaf {
        path: path.to_owned(),
        default: default.filter(|default| !default.is_null()).cloned(),
        description: description.to_owned(),
        is_plain: is_plain && !path.contains("NAME"),
    });
}

/// What a schema refers to, past `null`.
fn resolved<'r>(root: &'r Value, schema: &'r Value) -> &'r Value {
    let alternatives = schema.get("anyOf").and_then(Value::as_array);
    let only = alternatives.and_then(|all| {
        let mut others = all.iter().filter(|one| one.get("type") != Some(&json!("null")));
        others.next().filter(|_| others.next().is_none())
    });
    if let Some(only) = only {
        return resolved(root, only);
    }
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    target.and_then(|target| root.pointer(target)).map_or(schema, |target| resolved(root, target))
}
