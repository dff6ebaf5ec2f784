//! Update: a new version of a resource, or its first under the client's id (R4 http.html section 3.1.0.4).

use anamnesis_events::ResourceKey;

use super::answer::Answer;
use super::call::{Body, Call};
use super::{parameters, resource, write};
use crate::decide::Command;
use crate::error::{Failure, FailureKind, IssueCode};

/// `PUT /Patient/1`
pub(crate) async fn update(call: &Call, key: ResourceKey, body: Body) -> Result<Answer, Failure> {
    let expected = call.expected()?;
    let document = resource::receive(call, body, &key.resource_type).await?;
    let named = document.root().get("id").and_then(|id| id.as_str());
    match named.as_deref() {
        Some(id) if id == key.id => {}
        Some(_) => {
            return Err(Failure::invalid("The id in the body is another one than in the path.").at("id"));
        }
        None => {
            let text = "An update names the resource's id in the body as well as in the path.";
            return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text).at("id"));
        }
    }
    drop(named);
    let candidate = resource::candidate(call, key.clone(), document, parameters::meta_history(&call.query)?);
    let command = Command::Update { candidate, expected, unless_held: Vec::new() };
    let written = call.submit(command).await?;
    write::answer(call, &key, written)
}
