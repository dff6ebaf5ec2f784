//! Update: a new version of a resource, or its first under an id that the client chose.

use anamnesis_events::{Erases, Identifier, Operation, Version};
use anamnesis_fhir::json::{Document, Limits};

use super::precondition::Expected;
use super::{Candidate, Current, Decision, Provenance, Refusal, Rules, Versioning, create, placement, same};

pub(super) struct Update<'a> {
    pub(super) candidate: &'a Candidate,
    pub(super) expected: &'a Expected,
    pub(super) unless_held: &'a [Identifier],
}

pub(super) fn decide(
    update: &Update<'_>,
    current: Option<&Current>,
    rules: &Rules,
    provenance: &Provenance,
) -> Result<Decision, Refusal> {
    let Update { candidate, expected, unless_held } = update;
    expected.check(current)?;
    let current = match current {
        None if !rules.update_creates => return Err(Refusal::CreateNotAllowed),
        None => {
            let draft = create::draft(candidate, Version::NONE.next(), unless_held, provenance);
            return Ok(Decision::Append(Box::new(draft)));
        }
        Some(current) if current.deleted => {
            let draft = create::draft(candidate, current.version.next(), unless_held, provenance);
            return Ok(Decision::Append(Box::new(draft)));
        }
        Some(current) => current,
    };
    let versioning = rules.versioning_of(&candidate.key.resource_type);
    if versioning == Versioning::VersionedUpdate && !expected.names_versions() {
        return Err(Refusal::VersionRequired);
    }
    let recorded = Document::parse(current.payload.to_vec(), &Limits::default())
        .map_err(|_broken| Refusal::Unreadable)?;
    if same::same_but_for_version(recorded.root(), candidate.document.root()) {
        return Ok(Decision::Unchanged);
    }
    let mut draft = create::draft(candidate, current.version.next(), unless_held, provenance);
    draft.operation = Operation::Update;
    let only_meta =
        || !candidate.meta_history && same::same_but_for_meta(recorded.root(), candidate.document.root());
    if versioning == Versioning::NoVersion || only_meta() {
        draft.erases = Erases::Previous;
    }
    let before = placement::place(&candidate.key, recorded.root(), &rules.bases);
    placement::join(&mut draft.touches, before.touches);
    placement::join(&mut draft.touches, vec![current.home.clone()]);
    Ok(Decision::Append(Box::new(draft)))
}
