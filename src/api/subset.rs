//! Parts of resources: `_summary` and `_elements` (R4 search.html sections 3.1.1.5.8 and 3.1.1.5.9).
//!
//! Members are cut out of the recorded bytes; what stays is as it was sent. Such a resource is marked with the tag
//! SUBSETTED, so that nobody writes it back.

use anamnesis_fhir::definitions::{Structure, StructureKind, r4};
use anamnesis_fhir::json::{Document, Kind, Limits, Splice, Value};
use bytes::Bytes;

use super::call::Call;
use super::query::{Query, encode};
use crate::error::{Failure, FailureKind, Issue, IssueCode};

/// Marks an incomplete resource (R4 resource.html section 2.26.3.1).
const TAG: &[u8] =
    br#"{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationValue","code":"SUBSETTED"}"#;

/// Which part of a resource a client wants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Subset {
    /// All of it: `_summary=false`.
    #[default]
    All,
    /// `_summary=true`: the elements that R4 marks.
    Summary,
    /// `_summary=text`: the narrative and what must be there.
    Text,
    /// `_summary=data`: all but the narrative.
    Data,
    /// `_summary=count`: no resources at all.
    Count,
    /// `_elements`: these, and what must be there.
    Elements(Vec<String>),
}

impl Subset {
    /// Reads `_summary` and `_elements`.
    ///
    /// # Errors
    /// 400 for both at once, and for an unknown kind of summary.
    pub(crate) fn parse(query: &Query) -> Result<Self, Failure> {
        let elements = query.get("_elements").filter(|elements| !elements.trim().is_empty());
        let summary = query.get("_summary");
        if elements.is_some() && summary.is_some_and(|summary| summary != "false") {
            return Err(Failure::invalid("_summary and _elements cannot be combined."));
        }
        if let Some(elements) = elements {
            let names = elements.split(',').map(|name| name.trim().to_owned());
            return Ok(Self::Elements(names.filter(|name| !name.is_empty()).collect()));
        }
        match summary {
            None | Some("false") => Ok(Self::All),
            Some("true") => Ok(Self::Summary),
            Some("text") => Ok(Self::Text),
            Some("data") => Ok(Self::Data),
            Some("count") => Ok(Self::Count),
            Some(_) => Err(Failure::invalid("_summary is true, false, text, data or count.")),
        }
    }

    /// What there is to say of names in `_elements` that are those of no element of any of these types: what they stand for
    /// is missing in the answer.
    ///
    /// # Errors
    /// 400 where the client or the configuration wants what is not known to be refused.
    pub(crate) fn without_element(&self, call: &Call, types: &[&str]) -> Result<Option<Issue>, Failure> {
        let Self::Elements(names) = self else { return Ok(None) };
        let is_of = |name: &str, of_type: &&str| {
            name == "resourceType"
                || r4().resource(of_type).is_some_and(|structure| {
                    structure.element_by_path_name(name).is_some() || structure.element(name).is_some()
                })
        };
        let unknown = names.iter().filter(|name| !types.iter().any(|of_type| is_of(name, of_type)));
        let unknown: Vec<String> = unknown.map(|name| encode(name).to_string()).collect();
        if unknown.is_empty() {
            return Ok(None);
        }
        let text = format!("_elements names what is no element here: {}", unknown.join(", "));
        if call.refuses_unknown() {
            let text = format!("{text}.");
            return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
        }
        Ok(Some(Issue::warning(IssueCode::NotSupported, format!("{text}; it was left out."))))
    }

    /// The part of a recorded resource. What cannot be taken apart is given whole.
    pub(crate) fn of(&self, resource: &Bytes) -> Bytes {
        if matches!(self, Self::All | Self::Count) {
            return resource.clone();
        }
        let cut = || {
            let document = Document::parse(resource.to_vec(), &Limits::default()).ok()?;
            let root = document.root();
            let name = root.get("resourceType")?.as_str()?;
            let mut splice = Splice::new();
            self.cut(root, r4().resource(&name)?, &mut splice);
            mark(root, &mut splice);
            splice.apply_to(&document).ok()
        };
        cut().map_or_else(|| resource.clone(), Bytes::from)
    }

    fn cut(&self, root: Value<'_>, structure: &Structure, splice: &mut Splice) {
        let names: Vec<_> =
            root.members().map(|(name, _)| name).filter(|name| !self.keeps(name, structure)).collect();
        splice.remove_members(root, &names.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        if *self == Self::Summary {
            for (name, value) in root.members().filter(|(name, _)| self.keeps(name, structure)) {
                cut_backbone(&name, value, structure, splice);
            }
        }
    }

    fn keeps(&self, name: &str, structure: &Structure) -> bool {
        // What a resource is and which version of it; the tag goes into meta.
        if matches!(name, "resourceType" | "id" | "meta") {
            return true;
        }
        let Some(found) = structure.element(name) else { return true };
        let element = found.element;
        match self {
            Self::All | Self::Count => true,
            Self::Summary => element.is_summary || element.min > 0,
            Self::Text => element.name == "text" || element.min > 0,
            Self::Data => element.name != "text",
            Self::Elements(names) => {
                element.min > 0
                    || element.is_modifier
                    || names
                        .iter()
                        .any(|wanted| wanted == element.name || wanted == found.element_type.json_name)
            }
        }
    }
}

/// Cuts what is no summary out of a backbone element, unless nothing would be left of it.
fn cut_backbone(name: &str, value: Value<'_>, structure: &Structure, splice: &mut Splice) {
    let Some(found) = structure.element(name).filter(|found| !found.is_companion) else { return };
    let inner = r4().structure_of(found.element_type);
    if inner.kind != StructureKind::Backbone {
        return;
    }
    let mut cut = |object: Value<'_>| {
        let keeps = |name: &str| {
            inner.element(name).is_none_or(|found| found.element.is_summary || found.element.min > 0)
        };
        let names: Vec<_> = object.members().map(|(name, _)| name).filter(|name| !keeps(name)).collect();
        if names.len() < object.len() {
            splice.remove_members(object, &names.iter().map(AsRef::as_ref).collect::<Vec<_>>());
        }
        for (name, value) in object.members().filter(|(name, _)| keeps(name)) {
            // The depth is bounded by R4's definitions, and by the parser.
            cut_backbone(&name, value, inner, splice);
        }
    };
    match value.kind() {
        Kind::Array => value.items().filter(|item| item.kind() == Kind::Object).for_each(cut),
        Kind::Object => cut(value),
        _ => {}
    }
}

/// Adds the tag. A recorded resource has a meta; one that it contains may have none.
fn mark(root: Value<'_>, splice: &mut Splice) {
    let tags = [b"[", TAG, b"]"].concat();
    match (root.get("meta"), root.get("id")) {
        (Some(meta), _) if meta.kind() == Kind::Object => {
            match meta.get("tag").filter(|tags| tags.kind() == Kind::Array && !tags.is_empty()) {
                Some(tags) => {
                    let end = tags.span().end.saturating_sub(1);
                    splice.replace(end..end, [b",", TAG].concat());
                }
                None => splice.insert_first(meta, "tag", &tags),
            }
        }
        (None, Some(id)) => splice.insert_after(id, "meta", &[br#"{"tag":"#, tags.as_slice(), b"}"].concat()),
        // No resource has such a meta.
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESOURCE: &str = r#"{"resourceType":"Observation","id":"1","meta":{"versionId":"1"},"text":{"status":"empty"},"status":"final","code":{"text":"x"},"valueQuantity":{"value":1.10},"note":[{"text":"n"}],"component":[{"code":{"text":"c"},"interpretation":[{"text":"i"}]}],"_issued":{"id":"y"}}"#;

    fn part(query: &str) -> String {
        let subset = Subset::parse(&Query::parse(query).unwrap()).unwrap();
        String::from_utf8(subset.of(&Bytes::from_static(RESOURCE.as_bytes())).to_vec()).unwrap()
    }

    fn members(query: &str) -> Vec<String> {
        let json: serde_json::Value = serde_json::from_str(&part(query)).unwrap();
        json.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn parts_have_what_the_definitions_say_and_the_tag() {
        assert_eq!(
            members("_summary=true"),
            ["resourceType", "id", "meta", "status", "code", "valueQuantity", "component", "_issued"]
        );
        assert_eq!(members("_summary=text"), ["resourceType", "id", "meta", "text", "status", "code"]);
        assert!(!members("_summary=data").contains(&"text".to_owned()));
        let elements = ["resourceType", "id", "meta", "status", "code", "valueQuantity"];
        assert_eq!(members("_elements=value"), elements);
        assert_eq!(members("_elements=valueQuantity,nonsense"), elements);
        assert_eq!(part("_summary=false"), RESOURCE);
        assert!(part("_summary=true").contains(r#""component":[{"code":{"text":"c"}}]"#));
        assert!(part("_elements=value").contains(r#""meta":{"tag":[{"system":"#));
        assert!(part("_elements=value").contains("1.10"));
    }

    #[test]
    fn a_second_tag_joins_the_first() {
        let resource = br#"{"resourceType":"Patient","meta":{"tag":[{"code":"a"}]},"active":true}"#;
        let part = Subset::Data.of(&Bytes::from_static(resource));
        let json: serde_json::Value = serde_json::from_slice(&part).unwrap();
        assert_eq!(json["meta"]["tag"][0]["code"], "a");
        assert_eq!(json["meta"]["tag"][1]["code"], "SUBSETTED");
    }

    #[test]
    fn what_has_no_meta_gets_one_with_the_tag() {
        let resource = br#"{"id":"m1","code":{"text":"a"},"resourceType":"Medication","status":"active"}"#;
        for (subset, rest) in [
            (
                Subset::Elements(vec!["status".to_owned()]),
                r#""resourceType":"Medication","status":"active"}"#,
            ),
            (Subset::Text, r#""resourceType":"Medication"}"#),
        ] {
            let part = subset.of(&Bytes::from_static(resource));
            let tag = std::str::from_utf8(TAG).unwrap();
            let expected = format!(r#"{{"id":"m1","meta":{{"tag":[{tag}]}},{rest}"#);
            assert_eq!(std::str::from_utf8(&part).unwrap(), expected);
        }
    }

    #[test]
    fn contradictions_are_refused() {
        for query in ["_summary=true&_elements=id", "_summary=maybe"] {
            assert!(Subset::parse(&Query::parse(query).unwrap()).is_err(), "{query}");
        }
    }
}
