//! What an operation was given: the parameters of the query and those of the body (R4 operations.html#request).

use std::borrow::Cow;

use anamnesis_fhir::json::{Document, Kind, Limits, Value};

use crate::api::Call;
use crate::api::call::Body;
use crate::api::query::Query;
use crate::error::{Failure, FailureKind, IssueCode};

/// Parameters in one body: more is no question any more.
const PARAMETERS_MAX: usize = 1000;

/// The parameters of one call. A parameter of the query goes before one of the body.
#[derive(Debug)]
pub(in crate::api) struct Input<'a> {
    query: &'a Query,
    body: Option<Document>,
}

impl<'a> Input<'a> {
    /// Reads the body, off the HTTP worker where it is large. The resources in it are not validated.
    ///
    /// # Errors
    /// 400 for a body that is no JSON object with a `resourceType`, or that holds too many parameters.
    pub(in crate::api) async fn read(call: &'a Call, body: Body) -> Result<Self, Failure> {
        Self::read_up_to(call, body, PARAMETERS_MAX).await
    }

    /// The same with another bound on the number of parameters.
    ///
    /// # Errors
    /// As [`Input::read`].
    pub(in crate::api) async fn read_up_to(
        call: &'a Call,
        body: Body,
        parameters_max: usize,
    ) -> Result<Self, Failure> {
        let body = match body {
            Body::None => None,
            Body::Bytes(bytes) if bytes.is_empty() => None,
            Body::Document(document) => Some(document),
            Body::Bytes(bytes) | Body::JsonPatch(bytes) => {
                let parse = |bytes: Vec<u8>| Document::parse(bytes, &Limits::default());
                let parsed = if bytes.len() <= call.service.options.inline_bytes_max {
                    parse(bytes)
                } else {
                    let work = actix_web::web::block(move || parse(bytes));
                    work.await.map_err(|_stopped| Failure::internal())?
                };
                Some(parsed?)
            }
        };
        let input = Self { query: &call.query, body };
        input.check(parameters_max)?;
        Ok(input)
    }

    fn check(&self, parameters_max: usize) -> Result<(), Failure> {
        let Some(document) = &self.body else { return Ok(()) };
        let root = document.root();
        if root.kind() != Kind::Object || root.get("resourceType").and_then(Value::as_str).is_none() {
            let text = "The body of an operation is a Parameters resource; this is no resource.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Structure, text).at("resourceType"));
        }
        let Some(parameters) =
            root.get("parameter").filter(|_| self.resource_type() == Some("Parameters".into()))
        else {
            return Ok(());
        };
        if parameters.kind() != Kind::Array || parameters.items().any(|each| each.kind() != Kind::Object) {
            let text = "The parameters stand in an array of objects.";
            return Err(
                Failure::new(FailureKind::Invalid, IssueCode::Structure, text).at("Parameters.parameter")
            );
        }
        let is_nameless =
            |each: &Value<'_>| each.get("name").and_then(Value::as_str).is_none_or(|name| name.is_empty());
        if let Some(index) = parameters.items().position(|each| is_nameless(&each)) {
            let place = format!("Parameters.parameter[{index}].name");
            let text = "Every parameter has a name.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text).at(place));
        }
        if parameters.len() > parameters_max {
            let text = format!("The operation takes {parameters_max} parameters at most.");
            return Err(
                Failure::new(FailureKind::Invalid, IssueCode::TooLong, text).at("Parameters.parameter")
            );
        }
        Ok(())
    }

    /// What came in the body, whatever it is.
    pub(in crate::api) fn document(&self) -> Option<&Document> {
        self.body.as_ref()
    }

    fn resource_type(&self) -> Option<Cow<'_, str>> {
        self.body.as_ref()?.root().get("resourceType")?.as_str()
    }

    /// Whether the body is a resource of its own, no Parameters.
    pub(in crate::api) fn is_resource(&self) -> bool {
        self.body.is_some() && self.resource_type().as_deref() != Some("Parameters")
    }

    /// The entries of the Parameters resource, in their order.
    pub(in crate::api) fn entries(&self) -> impl Iterator<Item = Value<'_>> {
        let root = self.body.as_ref().filter(|_| !self.is_resource()).map(Document::root);
        root.and_then(|root| root.get("parameter")).into_iter().flat_map(Value::items)
    }

    /// The names of the entries of the Parameters resource, in their order.
    pub(in crate::api) fn names(&self) -> Vec<String> {
        let name =
            |entry: Value<'_>| entry.get("name").and_then(Value::as_str).unwrap_or_default().into_owned();
        self.entries().map(name).collect()
    }

    /// The entries of the Parameters resource with this name.
    pub(in crate::api) fn named<'b>(&'b self, name: &'b str) -> impl Iterator<Item = Value<'b>> {
        let is_named = move |entry: &Value<'_>| {
            entry.get("name").and_then(Value::as_str).is_some_and(|known| known == name)
        };
        self.entries().filter(is_named)
    }

    /// The `value[x]` of the first entry of the body with this name, whatever its type.
    pub(in crate::api) fn value<'b>(&'b self, name: &'b str) -> Option<Value<'b>> {
        self.named(name).find_map(value_of)
    }

    /// The first value with this name, as text: strings, codes, uris, dates, numbers and booleans.
    pub(in crate::api) fn text<'b>(&'b self, name: &'b str) -> Option<Cow<'b, str>> {
        let given = self.query.get(name).map(Cow::Borrowed);
        given.or_else(|| self.named(name).filter_map(value_of).find_map(plain))
    }

    /// All values with this name, as text; those of the query first.
    pub(in crate::api) fn texts<'b>(&'b self, name: &'b str) -> Vec<Cow<'b, str>> {
        let given = self.query.0.iter().filter(|(known, _)| known == name);
        let given = given.map(|(_, value)| Cow::Borrowed(value.as_str()));
        given.chain(self.named(name).filter_map(value_of).filter_map(plain)).collect()
    }

    /// The resource with this name; a body that is no Parameters is itself the only resource that it brings (R4
    /// operations.html#request: "exactly one input parameter of type Resource").
    pub(in crate::api) fn resource<'b>(&'b self, name: &'b str) -> Option<Value<'b>> {
        let bare = || {
            let document = self.body.as_ref()?;
            (self.resource_type()? != "Parameters").then(|| document.root())
        };
        self.named(name).find_map(|entry| entry.get("resource")).or_else(bare)
    }
}

/// The `value[x]` of an entry or of a part of it.
pub(in crate::api) fn value_of(entry: Value<'_>) -> Option<Value<'_>> {
    entry.members().find(|(name, _)| name.starts_with("value")).map(|(_, value)| value)
}

fn plain(value: Value<'_>) -> Option<Cow<'_, str>> {
    match value.kind() {
        Kind::String => value.as_str(),
        Kind::Number | Kind::Bool => Some(Cow::Borrowed(value.raw())),
        Kind::Null | Kind::Array | Kind::Object => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input<'a>(query: &'a Query, body: &str) -> Input<'a> {
        Input { query, body: Some(Document::parse(body, &Limits::default()).unwrap()) }
    }

    #[test]
    fn the_query_goes_before_the_body() {
        let body = r#"{"resourceType":"Parameters","parameter":[
            {"name":"url","valueUri":"http://b"},{"name":"count","valueInteger":7},
            {"name":"resource","resource":{"resourceType":"Patient"}},{"name":"url","valueUri":"http://c"}]}"#;
        let query = Query(vec![("url".into(), "http://a".into())]);
        let input = input(&query, body);
        assert_eq!(input.text("url").as_deref(), Some("http://a"));
        assert_eq!(input.texts("url"), ["http://a", "http://b", "http://c"]);
        assert_eq!(input.text("count").as_deref(), Some("7"));
        assert_eq!(input.text("resource"), None);
        assert_eq!(input.resource("resource").unwrap().raw(), r#"{"resourceType":"Patient"}"#);
        assert_eq!(input.resource("other").map(Value::raw), None);
    }

    #[test]
    fn a_body_that_is_no_parameters_is_the_resource() {
        let query = Query::default();
        let input =
            input(&query, r#"{"resourceType":"Patient","parameter":[{"name":"url","valueUri":"x"}]}"#);
        assert!(input.check(10).is_ok());
        assert_eq!(
            input.resource("resource").map(|found| found.same_place(input.document().unwrap().root())),
            Some(true)
        );
        assert_eq!(input.text("url"), None);
    }

    #[test]
    fn bodies_of_another_form_are_refused() {
        let query = Query::default();
        for body in [
            "[]",
            "{}",
            r#"{"resourceType":"Parameters","parameter":{}}"#,
            r#"{"resourceType":"Parameters","parameter":[1]}"#,
            r#"{"resourceType":"Parameters","parameter":[{"valueString":"x"}]}"#,
        ] {
            assert!(input(&query, body).check(10).is_err(), "{body}");
        }
    }
}
