//! Turns documents into requests: bundles go as they are, resources are gathered into batches.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{Failure, Place};
use super::reading::Message;
use crate::clock;

/// How many single resources go into one request: enough to make the round trip cheap, few enough to be repeated.
const GROUP_RESOURCES_MAX: usize = 100;
/// How many bytes of single resources go into one request.
const GROUP_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A bundle to be posted, and where its entries come from.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) body: Bytes,
    /// The origin of each entry.
    pub(super) places: Vec<Place>,
    /// Names a transaction, so that a server that knows `Idempotency-Key` carries it out once. A batch has none.
    pub(super) key: Option<String>,
}

/// Gathers the documents of one file into requests.
pub(super) struct Grouper {
    file: Arc<Path>,
    entries: Vec<u8>,
    places: Vec<Place>,
    /// What the group writes, as `Type/id`: nothing is written twice in one request.
    written: BTreeSet<String>,
}

/// What is looked at in a document; everything else goes through untouched.
#[derive(Deserialize)]
pub(super) struct Document<'a> {
    #[serde(rename = "resourceType", borrow)]
    resource_type: Cow<'a, str>,
    #[serde(borrow)]
    id: Option<Cow<'a, str>>,
    #[serde(rename = "type")]
    bundle_type: Option<&'a RawValue>,
    #[serde(borrow)]
    entry: Option<&'a RawValue>,
}

/// What is looked at in an entry of a bundle.
#[derive(Default, Deserialize)]
pub(super) struct Entry<'a> {
    #[serde(rename = "fullUrl", borrow)]
    pub(super) full_url: Option<Cow<'a, str>>,
    #[serde(borrow)]
    pub(super) resource: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) request: Option<EntryRequest<'a>>,
}

/// `Bundle.entry.request`.
#[derive(Deserialize)]
pub(super) struct EntryRequest<'a> {
    #[serde(borrow)]
    pub(super) method: Cow<'a, str>,
    #[serde(borrow)]
    pub(super) url: Cow<'a, str>,
}

/// A bundle with its entries untouched.
#[derive(Default, Deserialize)]
pub(super) struct RawBundle<'a> {
    #[serde(borrow, default)]
    pub(super) entry: Vec<&'a RawValue>,
}

impl Grouper {
    /// For the documents of `file`.
    pub(super) fn new(file: Arc<Path>) -> Self {
        Self { file, entries: Vec::new(), places: Vec::new(), written: BTreeSet::new() }
    }

    /// Takes one document; gives what is ready to be sent, and what cannot be.
    pub(super) fn take(&mut self, document: &[u8], line: Option<u64>) -> Vec<Message> {
        let text = document.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(document).trim_ascii();
        if text.is_empty() && line.is_some() {
            return Vec::new();
        }
        let mut messages = Vec::new();
        if let Err(error) = self.sort_out(text, line, &mut messages) {
            let failure = Failure::of_document(
                self.place(line, None),
                &format!("not a FHIR resource in JSON: {error}"),
            );
            messages.push(Message::Failed(failure));
        }
        messages
    }

    /// Gives what is left.
    pub(super) fn finish(mut self) -> Option<Message> {
        self.flush()
    }

    fn sort_out(
        &mut self,
        text: &[u8],
        line: Option<u64>,
        messages: &mut Vec<Message>,
    ) -> Result<(), serde_json::Error> {
        let document: Document<'_> = serde_json::from_slice(text)?;
        let bundle_type = document.bundle_type.map_or("", |raw| raw.get().trim_matches('"'));
        if document.resource_type != "Bundle" {
            messages.extend(self.add(text, &document, self.place(line, None)));
            return Ok(());
        }
        let entries: Vec<&RawValue> = match document.entry {
            Some(entries) => serde_json::from_str(entries.get())?,
            None => Vec::new(),
        };
        if matches!(bundle_type, "transaction" | "batch") {
            // What was gathered before is sent before.
            messages.extend(self.flush());
            let places = (0..entries.len()).map(|number| self.place(line, Some(number))).collect();
            let key = (bundle_type == "transaction").then(clock::new_request_id);
            let request = Request { body: Bytes::copy_from_slice(text), places, key };
            messages.push(Message::Request(Box::new(request)));
            return Ok(());
        }
        let newest_only = bundle_type == "history";
        let mut seen = BTreeSet::new();
        for (number, entry) in entries.into_iter().enumerate() {
            let entry: Entry<'_> = serde_json::from_str(entry.get())?;
            let Some(raw) = entry.resource else { continue };
            let resource: Document<'_> = serde_json::from_str(raw.get())?;
            // A history has the newest version of a resource first (FHIR R4 http.html#history).
            let old = newest_only && resource.id.is_some() && !seen.insert(resource.address());
            let place = self.place(line, Some(number));
            // An outcome in a search set tells of the search, and is no part of the record.
            if !old && resource.resource_type != "OperationOutcome" {
                messages.extend(self.add(raw.get().as_bytes(), &resource, place));
            }
        }
        Ok(())
    }

    /// Adds a single resource; gives the group that is full by that.
    fn add(&mut self, text: &[u8], resource: &Document<'_>, place: Place) -> Option<Message> {
        let address = resource.address();
        let again = resource.id.is_some() && self.written.contains(&address);
        let full =
            self.places.len() >= GROUP_RESOURCES_MAX || self.entries.len() + text.len() > GROUP_BYTES_MAX;
        let message = if again || full { self.flush() } else { None };
        if !self.entries.is_empty() {
            self.entries.push(b',');
        }
        self.entries.extend_from_slice(b"{\"resource\":");
        self.entries.extend_from_slice(text);
        let method = if resource.id.is_some() { "PUT" } else { "POST" };
        let request = serde_json::json!({"method": method, "url": address});
        self.entries.extend_from_slice(format!(",\"request\":{request}}}").as_bytes());
        self.places.push(place);
        if resource.id.is_some() {
            self.written.insert(address);
        }
        message
    }

    fn flush(&mut self) -> Option<Message> {
        if self.places.is_empty() {
            return None;
        }
        self.written.clear();
        let entries = std::mem::take(&mut self.entries);
        let places = std::mem::take(&mut self.places);
        let request = Request { body: batch(&entries), places, key: None };
        Some(Message::Request(Box::new(request)))
    }

    fn place(&self, line: Option<u64>, entry: Option<usize>) -> Place {
        Place { file: self.file.clone(), line, entry }
    }
}

impl Document<'_> {
    /// Where the resource is written: `Type/id`, or `Type` when the server gives the id.
    fn address(&self) -> String {
        match &self.id {
            Some(id) => format!("{}/{id}", self.resource_type),
            None => self.resource_type.clone().into_owned(),
        }
    }
}

impl Request {
    /// A request with only the entries of these numbers, as a batch.
    pub(super) fn part(&self, numbers: &BTreeSet<usize>) -> Option<Self> {
        let bundle: RawBundle<'_> = serde_json::from_slice(&self.body).ok()?;
        let chosen: Vec<&str> = bundle
            .entry
            .iter()
            .enumerate()
            .filter(|(number, _)| numbers.contains(number))
            .map(|(_, entry)| entry.get())
            .collect();
        let places = self.places.iter().enumerate().filter(|(number, _)| numbers.contains(number));
        Some(Self {
            body: batch(chosen.join(",").as_bytes()),
            places: places.map(|(_, place)| place.clone()).collect(),
            key: None,
        })
    }
}

fn batch(entries: &[u8]) -> Bytes {
    let mut body = Vec::with_capacity(entries.len() + 64);
    body.extend_from_slice(br#"{"resourceType":"Bundle","type":"batch","entry":["#);
    body.extend_from_slice(entries);
    body.extend_from_slice(b"]}");
    body.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn grouper() -> Grouper {
        Grouper::new(Arc::from(Path::new("a.ndjson")))
    }

    fn body(message: &Message) -> Value {
        match message {
            Message::Request(request) => {
                let value: Value = serde_json::from_slice(&request.body).unwrap();
                assert_eq!(value["entry"].as_array().unwrap().len(), request.places.len());
                value
            }
            _ => panic!("not a request"),
        }
    }

    #[test]
    fn transactions_go_as_they_are() {
        let text = br#"{"resourceType":"Bundle", "type":"transaction","entry":[{"x":1.10}]}"#;
        let mut grouper = grouper();
        let messages = grouper.take(text, None);
        assert_eq!(messages.len(), 1);
        let Message::Request(request) = &messages[0] else { panic!("not a request") };
        assert_eq!(&request.body[..], text);
        assert!(grouper.finish().is_none());
    }

    #[test]
    fn resources_are_gathered_put_by_id_or_posted_and_keep_their_bytes() {
        let mut grouper = grouper();
        assert!(grouper.take(br#"{"resourceType":"Patient","id":"1","x":1.10}"#, Some(1)).is_empty());
        assert!(grouper.take(b"\n", Some(2)).is_empty());
        assert!(grouper.take(br#"{"resourceType":"Observation"}"#, Some(3)).is_empty());
        let message = grouper.finish().unwrap();
        let Message::Request(request) = &message else { panic!("not a request") };
        assert!(String::from_utf8_lossy(&request.body).contains(r#""x":1.10}"#));
        assert_eq!(request.places[1].line, Some(3));
        let value = body(&message);
        assert_eq!(value["type"], "batch");
        assert_eq!(value["entry"][0]["request"], serde_json::json!({"method": "PUT", "url": "Patient/1"}));
        assert_eq!(value["entry"][1]["request"], serde_json::json!({"method": "POST", "url": "Observation"}));
    }

    #[test]
    fn a_group_is_full_at_a_hundred_or_when_a_resource_comes_again() {
        let mut full = grouper();
        let groups: Vec<Message> = (0..250)
            .flat_map(|number| {
                full.take(format!(r#"{{"resourceType":"Patient","id":"{number}"}}"#).as_bytes(), Some(1))
            })
            .collect();
        assert_eq!(groups.len(), 2);
        assert_eq!(body(&full.finish().unwrap())["entry"].as_array().unwrap().len(), 50);

        let mut again = grouper();
        let patient = br#"{"resourceType":"Patient","id":"1"}"#;
        assert!(again.take(patient, Some(1)).is_empty());
        assert_eq!(again.take(patient, Some(2)).len(), 1);
    }

    #[test]
    fn entries_of_other_bundles_are_taken_as_resources_the_newest_of_a_history() {
        let mut grouper = grouper();
        let history = br#"{"resourceType":"Bundle","type":"history","entry":[
            {"resource":{"resourceType":"Patient","id":"1","active":true}},
            {"request":{"method":"DELETE","url":"Patient/2"}},
            {"resource":{"resourceType":"Patient","id":"1","active":false}},
            {"resource":{"resourceType":"OperationOutcome"}}]}"#;
        assert!(grouper.take(history, None).is_empty());
        let value = body(&grouper.finish().unwrap());
        assert_eq!(value["entry"].as_array().unwrap().len(), 1);
        assert_eq!(value["entry"][0]["resource"]["active"], true);
    }

    #[test]
    fn what_is_no_resource_fails_with_its_place() {
        for text in ["{", "[]", "{\"id\":\"1\"}", "null"] {
            let messages = grouper().take(text.as_bytes(), Some(7));
            let [Message::Failed(failure)] = &messages[..] else { panic!("{text} was taken") };
            assert_eq!((failure.place.line, failure.status), (Some(7), None));
        }
    }

    #[test]
    fn a_part_of_a_request_holds_the_chosen_entries() {
        let mut grouper = grouper();
        for number in 0..4 {
            grouper.take(format!(r#"{{"resourceType":"Patient","id":"{number}"}}"#).as_bytes(), Some(number));
        }
        let Some(Message::Request(request)) = grouper.finish() else { panic!("not a request") };
        let part = request.part(&BTreeSet::from([1, 3])).unwrap();
        let value: Value = serde_json::from_slice(&part.body).unwrap();
        assert_eq!(value["entry"][1]["resource"]["id"], "3");
        assert_eq!(part.places.iter().map(|place| place.line).collect::<Vec<_>>(), [Some(1), Some(3)]);
    }
}
