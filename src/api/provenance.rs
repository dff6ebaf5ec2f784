//! `X-Provenance`: the Provenance of a write comes with it and is recorded together with it (R4 provenance.html#header;
//! as Azure Health Data Services has it, the server fills in the target).
//!
//! Such a write is a group of two events: the resource, and the Provenance whose target is that version. Either both
//! are in the log or neither is. Where nothing is written, nothing has a Provenance.

use std::sync::Arc;

use anamnesis_events::{AppendError, ConflictKind, Group, Operation, ResourceKey, Version};
use anamnesis_fhir::json::{Document, Limits, Splice};

use super::call::Call;
use super::interaction::Interaction;
use super::resource;
use super::turns::Held;
use crate::actors::{Kept, Outcome, WriteError};
use crate::clock;
use crate::decide::{self, Candidate, Command, Decision, Refusal};
use crate::error::{Failure, FailureKind, IssueCode};

const TYPE: &str = "Provenance";

/// How often a write with a Provenance is decided and appended. Writes with one wait for each other within a server, and for
/// patches, so each time another server, an update or a bundle was quicker.
const TRIES_MAX: usize = 20;

/// A Provenance without a target, as it came in the header: valid, but for that.
#[derive(Debug, Clone)]
pub(crate) struct Sent(Arc<Document>);

/// Reads the header of a write.
///
/// # Errors
/// 400 as [`Sent::read`], and for writes of many resources, of which nobody could say whose Provenance it is.
pub(super) fn sent(interaction: Interaction, header: &str) -> Result<Sent, Failure> {
    match interaction {
        Interaction::Batch | Interaction::Transaction | Interaction::Operation(_) => {
            let text =
                "X-Provenance goes with the write of one resource; a bundle holds the Provenance itself.";
            Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text).at("X-Provenance"))
        }
        _ => Sent::read(header),
    }
}

impl Sent {
    /// Reads the header.
    ///
    /// # Errors
    /// 400 for what is no Provenance, has a target, or is not valid with one.
    pub(crate) fn read(header: &str) -> Result<Self, Failure> {
        let refuse =
            |code, text: &'static str| Failure::new(FailureKind::Invalid, code, text).at("X-Provenance");
        let document = Document::parse(header.as_bytes(), &Limits::default())
            .map_err(|_bad| refuse(IssueCode::Structure, "X-Provenance is no JSON."))?;
        if document.root().get("target").is_some() || document.root().get("_target").is_some() {
            let text = "The Provenance in X-Provenance has no target: the server fills it in.";
            return Err(refuse(IssueCode::Invalid, text));
        }
        let sent = Self(Arc::new(document));
        // Every rule but that of the target, with one that stands for whatever will be written.
        resource::check(&sent.about("Basic/a/_history/1")?, TYPE)?;
        Ok(sent)
    }

    /// The Provenance of a version.
    fn about(&self, reference: &str) -> Result<Document, Failure> {
        let target = format!(r#"[{{"reference":"{reference}"}}]"#);
        let mut splice = Splice::new();
        let root = self.0.root();
        match root.get("resourceType") {
            Some(after) => splice.insert_after(after, "target", target.as_bytes()),
            None => {
                let text = "X-Provenance is no Provenance resource.";
                return Err(Failure::new(FailureKind::Invalid, IssueCode::Required, text).at("X-Provenance"));
            }
        }
        let bytes = splice.apply_to(&self.0).map_err(|_never| Failure::internal())?;
        Document::parse(bytes, &Limits::default()).map_err(|_never| Failure::internal())
    }

    /// What is recorded about a version, under a new id.
    fn candidate(
        &self,
        call: &Call,
        key: &ResourceKey,
        version: Version,
    ) -> Result<Arc<Candidate>, WriteError> {
        let document = self.about(&format!("{key}/_history/{version}"));
        // It was made once already, when the header was read.
        let document = document.map_err(|_never| WriteError::Interrupted)?;
        let own = ResourceKey::new(
            super::route::resource_type(TYPE).unwrap_or_else(|_| TYPE.into()),
            clock::new_resource_id(),
        );
        Ok(resource::candidate(call, own, document, true))
    }
}

/// Decides a command and records it together with its Provenance, in the turn of its resource.
///
/// # Errors
/// [`WriteError`]; nothing is recorded then, unless it says that this is not known.
pub(super) async fn submit(
    call: &Call,
    sent: &Sent,
    command: &Command,
    turn: Option<&Arc<Held>>,
) -> Result<Outcome, WriteError> {
    let compartments = &call.service.compartments;
    let own = turn_of(call, command, turn).await?;
    for _ in 0..TRIES_MAX {
        let current = match command.needs_current() {
            true => compartments.current(std::slice::from_ref(command.key())).await?.pop().flatten(),
            false => None,
        };
        let rules = compartments.rules();
        let draft = match decide::decide(command, current.as_deref(), rules, &call.provenance())? {
            Decision::Append(draft) => *draft,
            Decision::Absent => return Ok(Outcome::Absent(current)),
            Decision::Hidden => return Ok(Outcome::Absent(None)),
            Decision::Unchanged => {
                return current.map(Outcome::Unchanged).ok_or(WriteError::Refused(Refusal::Unreadable));
            }
        };
        let about = sent.candidate(call, &draft.key, draft.version)?;
        let about = Command::Create { candidate: about, unless_held: Vec::new() };
        let Decision::Append(about) = decide::decide(&about, None, rules, &call.provenance())? else {
            return Err(WriteError::Interrupted);
        };
        let (key, operation, home) = (draft.key.clone(), draft.operation, draft.home.clone());
        let touches = draft.touches.clone();
        let group = Group {
            drafts: vec![draft, *about],
            transaction: Some(clock::new_transaction_id()),
            idempotency: call.once.as_ref().map(|once| once.noting(Vec::new())),
        };
        let kept: Kept = Arc::new((own.clone(), call.kept(turn)));
        match compartments.commit(&home, group, Some(kept)).await {
            Ok(recorded) => {
                let recorded = recorded.into_iter().next().ok_or(WriteError::Interrupted)?;
                if recorded.replayed {
                    return Err(WriteError::AlreadyRecorded);
                }
                return Ok(Outcome::Written { key, operation, recorded, touches });
            }
            Err(WriteError::Log(AppendError::Conflict {
                index: 0,
                kind: ConflictKind::IdentifierTaken { id },
            })) => return Ok(Outcome::Held { id }),
            Err(WriteError::Log(AppendError::Conflict { .. })) if command.needs_current() => {}
            Err(WriteError::Log(AppendError::Conflict { .. })) => {
                return Err(WriteError::Refused(Refusal::IdInUse));
            }
            Err(error) => return Err(error),
        }
    }
    Err(WriteError::Contended { tries: u32::try_from(TRIES_MAX).unwrap_or(u32::MAX) })
}

/// The turn of the resource, where the command is decided on what is there and whoever asks for it has not taken it already.
async fn turn_of(
    call: &Call,
    command: &Command,
    turn: Option<&Arc<Held>>,
) -> Result<Option<Arc<Held>>, WriteError> {
    if !command.needs_current() || turn.is_some_and(|turn| turn.is_of_resources()) {
        return Ok(None);
    }
    let own = call.service.turns.wait_for([command.key()]).await;
    own.map(|own| Some(Arc::new(own))).map_err(|_late| WriteError::TurnLate)
}

/// Whether events are those of one write with its Provenance.
pub(super) fn is_of_one_write(events: &[anamnesis_events::Event]) -> bool {
    let is_about = |event: &anamnesis_events::Event| {
        &*event.key.resource_type == TYPE && event.operation == Operation::Create
    };
    matches!(events, [_, about] if is_about(about))
}
