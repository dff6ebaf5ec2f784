//! Reads the package: every resource of every file of a folder, by type, and small helpers over JSON.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// The resources of the package by type, each type sorted by address.
pub(crate) struct Package {
    by_type: BTreeMap<String, Vec<Value>>,
}

impl Package {
    /// Reads `.json`, `.ndjson` and `.ndjson.zst` files; a resource of another FHIR package is left out.
    pub(crate) fn read(folder: &Path) -> Result<Self, Box<dyn Error>> {
        let mut by_type: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        let mut paths: Vec<_> =
            fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_, std::io::Error>>()?;
        paths.sort();
        for path in paths {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            // US Core lies beside the core definitions in our own test corpus.
            if name.starts_with("us-core") || name == "package.json" || name.starts_with('.') {
                continue;
            }
            let text = match name.rsplit('.').next() {
                Some("zst") => zstd::decode_all(fs::File::open(&path)?)?,
                Some("json" | "ndjson") => fs::read(&path)?,
                _ => continue,
            };
            for resource in serde_json::Deserializer::from_slice(&text).into_iter::<Value>() {
                let resource = resource?;
                if let Some(kind) = resource.get("resourceType").and_then(Value::as_str) {
                    by_type.entry(kind.to_owned()).or_default().push(resource);
                }
            }
        }
        for resources in by_type.values_mut() {
            resources.sort_by(|left, right| text(left, "url").cmp(&text(right, "url")));
        }
        if by_type.is_empty() {
            return Err(format!("{} holds no resources", folder.display()).into());
        }
        Ok(Package { by_type })
    }

    /// The resources of a type, sorted by address.
    pub(crate) fn of_type(&self, resource_type: &str) -> &[Value] {
        self.by_type.get(resource_type).map(Vec::as_slice).unwrap_or_default()
    }
}

/// A member that is a string.
pub(crate) fn text<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    value.get(name).and_then(Value::as_str)
}

/// A member that is true.
pub(crate) fn flag(value: &Value, name: &str) -> bool {
    value.get(name).and_then(Value::as_bool).unwrap_or(false)
}

/// The items of a member that is an array.
pub(crate) fn items<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The strings of a member that is an array.
pub(crate) fn texts<'v>(value: &'v Value, name: &str) -> Vec<&'v str> {
    items(value, name).iter().filter_map(Value::as_str).collect()
}

/// The last part of an address.
pub(crate) fn tail(url: &str) -> &str {
    url.rsplit('/').next().unwrap_or(url)
}

/// The value of an extension by the tail of its address.
pub(crate) fn extension<'v>(value: &'v Value, name: &str) -> Option<&'v str> {
    let found =
        items(value, "extension").iter().find(|extension| text(extension, "url").map(tail) == Some(name))?;
    found.as_object()?.iter().find(|(key, _)| key.starts_with("value")).and_then(|(_, value)| value.as_str())
}
