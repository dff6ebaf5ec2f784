//! Stamping: sets `id`, `meta.versionId` and `meta.lastUpdated` in the client's bytes and leaves the rest alone.

use std::ops::Range;

use anamnesis_events::{STAMP_PLACEHOLDER, Version};
use anamnesis_fhir::json::{Document, Value, quote};

/// A stamped resource.
pub(super) struct Stamped {
    /// The bytes to record.
    pub(super) payload: Vec<u8>,
    /// Where in them the log writes the time of recording.
    pub(super) stamp_at: usize,
}

/// One replacement; `stamp` is where in `with` the placeholder starts.
struct Edit {
    span: Range<usize>,
    with: Vec<u8>,
    stamp: Option<usize>,
}

/// Sets id and version and leaves [`STAMP_PLACEHOLDER`] for the time. What the client wrote in these three places
/// is ignored (R4 http.html section 3.1.0.5: the server sets them).
pub(super) fn stamp(document: &Document, id: &str, version: Version) -> Stamped {
    let root = document.root();
    let meta = root.get("meta").filter(|meta| !meta.is_empty());
    let mut edits = Vec::with_capacity(3);
    let new_meta = || {
        let mut member = format!(r#","meta":{{"versionId":"{version}","lastUpdated":""#).into_bytes();
        let stamp = member.len();
        member.extend_from_slice(STAMP_PLACEHOLDER.as_bytes());
        member.extend_from_slice(b"\"}");
        (member, stamp)
    };
    // The id and, where there is none yet, the meta stand behind resourceType, as most writers put them.
    let mut inserted = Vec::new();
    match root.get("id") {
        Some(old) => edits.push(Edit { span: old.span(), with: quote(id), stamp: None }),
        None => {
            inserted.extend_from_slice(b",\"id\":");
            inserted.extend_from_slice(&quote(id));
        }
    }
    let mut stamp = None;
    match meta {
        Some(meta) => stamp_meta(meta, version, &mut edits),
        None => {
            let (member, at) = new_meta();
            match root.get("meta") {
                Some(empty) => {
                    // An empty meta is not valid R4; replace its value only.
                    let name_length = br#","meta":"#.len();
                    let with = member.get(name_length..).unwrap_or_default().to_vec();
                    edits.push(Edit { span: empty.span(), with, stamp: Some(at - name_length) });
                }
                None => {
                    stamp = Some(inserted.len() + at);
                    inserted.extend_from_slice(&member);
                }
            }
        }
    }
    if !inserted.is_empty() {
        let at = root.get("resourceType").map_or(root.span().start + 1, |member| member.span().end);
        edits.push(Edit { span: at..at, with: inserted, stamp });
    }
    apply(document.text().as_bytes(), edits)
}

fn stamp_meta(meta: Value<'_>, version: Version, edits: &mut Vec<Edit>) {
    let mut inserted = Vec::new();
    let mut stamp = None;
    match meta.get("versionId") {
        Some(old) => {
            edits.push(Edit { span: old.span(), with: quote(&version.to_string()), stamp: None });
        }
        None => inserted.extend_from_slice(format!(r#""versionId":"{version}","#).as_bytes()),
    }
    let quoted = quote(STAMP_PLACEHOLDER);
    match meta.get("lastUpdated") {
        Some(old) => edits.push(Edit { span: old.span(), with: quoted, stamp: Some(1) }),
        None => {
            inserted.extend_from_slice(br#""lastUpdated":"#);
            stamp = Some(inserted.len() + 1);
            inserted.extend_from_slice(&quoted);
            inserted.push(b',');
        }
    }
    if !inserted.is_empty() {
        let at = meta.span().start + 1;
        edits.push(Edit { span: at..at, with: inserted, stamp });
    }
}

/// Makes the edits, which do not overlap, and notes where the placeholder comes to stand.
fn apply(text: &[u8], mut edits: Vec<Edit>) -> Stamped {
    edits.sort_by_key(|edit| (edit.span.start, edit.span.end));
    let added: usize = edits.iter().map(|edit| edit.with.len()).sum();
    let mut payload = Vec::with_capacity(text.len() + added);
    let mut stamp_at = 0;
    let mut done = 0;
    for edit in &edits {
        payload.extend_from_slice(text.get(done..edit.span.start).unwrap_or_default());
        if let Some(offset) = edit.stamp {
            stamp_at = payload.len() + offset;
        }
        payload.extend_from_slice(&edit.with);
        done = edit.span.end;
    }
    payload.extend_from_slice(text.get(done..).unwrap_or_default());
    Stamped { payload, stamp_at }
}
