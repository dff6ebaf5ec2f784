//! What an entry of a transaction is in the audit log. Those of batches, and reads, are noted as the requests that they are.

use std::collections::HashMap;
use std::sync::Arc;

use actix_web::http::StatusCode;
use anamnesis_audit::Action;
use anamnesis_events::{Operation, Recorded, ResourceKey};

use super::entry::{Entry, Method};
use super::plan::Step;
use crate::api::Call;
use crate::decide::Current;

/// Notes what was written: by each entry, and by all of them together.
pub(super) fn wrote(
    call: &Call,
    of_entry: &[(usize, ResourceKey, Operation)],
    recorded: &[Recorded],
    touched: &[Vec<String>],
) {
    for (((index, key, _), one), touches) in of_entry.iter().zip(recorded).zip(touched) {
        for access in [&call.access.entry(*index), &call.access] {
            access.writes(key, one.version, one.position, touches);
        }
    }
}

/// Notes what became of an entry. What it has written is noted already; what stands as it was is among `current`.
pub(super) fn note(
    call: &Call,
    entry: &Entry<'_>,
    step: &Step,
    status: StatusCode,
    current: Option<&HashMap<ResourceKey, Arc<Current>>>,
) {
    let access = call.access.entry(entry.index);
    access.comes_to(status.as_u16());
    let (subtype, action) = match entry.method {
        Method::Delete => ("delete", Action::D),
        Method::Post => ("create", Action::C),
        Method::Put => ("update", Action::U),
        Method::Patch => ("patch", Action::U),
        Method::Get | Method::Head => ("read", Action::R),
    };
    let key = match step {
        // Noted where it was done.
        Step::Read(..) => return,
        Step::Nothing => None,
        Step::Write(command) => Some(command.key()),
        Step::Found(key) => Some(key),
        Step::Patch(patching) => Some(&patching.key),
    };
    access.asks(subtype, action, key);
    if let Some((key, current)) = key.and_then(|key| Some((key, current?.get(key)?))) {
        access.finds_in(key, current.version, &current.home);
    }
}
