//! Create: a new resource under an id of the server's (R4 http.html section 3.1.0.8).

use std::sync::Arc;

use anamnesis_events::ResourceKey;

use super::answer::Answer;
use super::call::{Body, Call};
use super::{resource, write};
use crate::clock;
use crate::decide::Command;
use crate::error::Failure;

/// `POST /Patient`
pub(crate) async fn create(call: &Call, resource_type: &Arc<str>, body: Body) -> Result<Answer, Failure> {
    let document = resource::receive(call, body, resource_type).await?;
    let key = ResourceKey::new(resource_type.clone(), clock::new_resource_id());
    let candidate = resource::candidate(call, key.clone(), document, true);
    let command = Command::Create { candidate, unless_held: Vec::new() };
    let written = call.submit(command).await?;
    write::answer(call, &key, written)
}
