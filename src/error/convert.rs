//! How refusals and faults of the layers below become failures of a request.

use anamnesis_events::{AppendError, ClaimError, ConflictKind, LogError};
use anamnesis_fhir::json::{ParseError, ParseErrorKind};
use anamnesis_fhir::patch::PatchErrorKind;
use anamnesis_fhir::search::custom::{Fault, FaultKind};
use anamnesis_fhir::validate;
use anamnesis_fhir::xml::{Unwritable, XmlError, XmlErrorKind};
use anamnesis_projections::{ProjectionError, search};

use super::{Failure, FailureKind, Issue, IssueCode, Severity, purge};
use crate::actors::WriteError;
use crate::decide::Refusal;
use crate::decide::conditional::ConditionalRefusal;
use crate::decide::patch::PatchRefusal;
use crate::exports::{ExportError, StoreError};
use crate::profiles::CheckError;
use crate::reads::ReadError;
use crate::search_parameters::KeeperError;

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let text = sentence(&refusal);
        match refusal {
            Refusal::VersionMismatch { .. } | Refusal::Exists { .. } => Self::precondition(text),
            Refusal::NotFound => Self::not_found(text),
            Refusal::CreateNotAllowed => Self::new(FailureKind::NotAllowed, IssueCode::NotSupported, text)
                .allowing("GET, HEAD, DELETE"),
            Refusal::VersionRequired => Self::new(FailureKind::Invalid, IssueCode::Required, text),
            Refusal::IdInUse | Refusal::Unmatched { .. } => {
                Self::new(FailureKind::Conflict, IssueCode::Conflict, text)
            }
            Refusal::NotServed { element, .. } => {
                Self::new(FailureKind::Unprocessable, IssueCode::NotSupported, text).at(element)
            }
            Refusal::Faulty(faults) => {
                let is_taken = faults.iter().all(|fault| fault.kind == FaultKind::Taken);
                let kind = if is_taken { FailureKind::Conflict } else { FailureKind::Invalid };
                Self::with_issues(kind, faults.into_iter().map(Issue::from).collect())
            }
            Refusal::OfR4 => {
                Self::new(FailureKind::NotAllowed, IssueCode::NotSupported, text).allowing("GET, HEAD, PUT")
            }
            Refusal::OutOfBounds(_) => Self::forbidden(text),
            Refusal::OutOfReach => Self::not_found(text),
            Refusal::Unreadable => Self::internal(),
        }
    }
}

impl From<ConditionalRefusal> for Failure {
    fn from(refusal: ConditionalRefusal) -> Self {
        let text = sentence(&refusal);
        match refusal {
            ConditionalRefusal::Many => {
                Self::new(FailureKind::PreconditionFailed, IssueCode::MultipleMatches, text)
            }
            ConditionalRefusal::OtherId => Self::invalid(text),
            ConditionalRefusal::None => Self::not_found(text),
        }
    }
}

impl From<PatchRefusal> for Failure {
    fn from(refusal: PatchRefusal) -> Self {
        let text = sentence(&refusal);
        match refusal {
            PatchRefusal::Refused(refusal) => refusal.into(),
            PatchRefusal::NotFound => Self::not_found(text),
            PatchRefusal::Gone { current } => Self::gone(current),
            PatchRefusal::ServerSet { element } => {
                Self::new(FailureKind::Invalid, IssueCode::Invalid, text).at(element)
            }
            PatchRefusal::Patch(error) => match error.kind {
                PatchErrorKind::TooLarge => Self::new(FailureKind::TooLarge, IssueCode::TooLong, text),
                PatchErrorKind::TooCostly => Self::new(FailureKind::Invalid, IssueCode::TooCostly, text),
                PatchErrorKind::Broken => Self::internal(),
                _ if error.is_malformed() => Self::new(FailureKind::Invalid, IssueCode::Structure, text),
                _ => Self::new(FailureKind::Invalid, IssueCode::Processing, text),
            },
        }
    }
}

impl From<WriteError> for Failure {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Refused(refusal) => refusal.into(),
            WriteError::Busy => Self::too_many("Too much is under way in this compartment; try again later."),
            WriteError::Crowded => Self::unavailable(
                "The server has more writes under way than it has memory for; try again later.",
            ),
            WriteError::Contended { .. } => {
                Self::new(FailureKind::Conflict, IssueCode::Conflict, sentence(&error)).retry_after(1)
            }
            // Only where the key was forgotten before it could be looked up.
            WriteError::AlreadyRecorded => {
                Self::new(FailureKind::Conflict, IssueCode::Duplicate, sentence(&error))
            }
            WriteError::TurnLost => Self::unavailable(
                "The database has ended the turn of these criteria; nothing was written, try again.",
            ),
            WriteError::TurnLate => {
                Self::unavailable("Too many clients change the same resource; try again later.")
            }
            WriteError::Log(error) => error.into(),
            WriteError::Read(error) => error.into(),
            WriteError::ReadOne(error) => error.into(),
            WriteError::Panicked => Self::internal(),
            WriteError::Interrupted => Self::unavailable(
                "The server was interrupted; whether the write was recorded is not known. Read before trying again, unless the request has an Idempotency-Key.",
            ),
        }
    }
}

impl From<ClaimError> for Failure {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::Busy => {
                Self::unavailable("Too many clients wait for their criteria; try again later.")
            }
            _ => {
                tracing::error!(%error, "Criteria cannot be claimed.");
                Self::unavailable(
                    "The server cannot keep clients with the same criteria apart now; try again later.",
                )
            }
        }
    }
}

impl From<AppendError> for Failure {
    fn from(error: AppendError) -> Self {
        match &error {
            AppendError::Conflict { kind: ConflictKind::HeadMoved { .. }, .. } => Self::new(
                FailureKind::Conflict,
                IssueCode::Conflict,
                "Others changed the resource at the same time.",
            ),
            AppendError::Conflict { kind: ConflictKind::IdentifierTaken { .. }, .. } => Self::precondition(
                "Another resource of this type has come to hold the identifier of the criteria.",
            ),
            AppendError::Held { since, .. } => purge::held(*since),
            AppendError::Purging { .. } => purge::purging(),
            AppendError::KeyReused => Self::new(
                FailureKind::Unprocessable,
                IssueCode::BusinessRule,
                "The Idempotency-Key was used for another request: another method, path, query, condition or body.",
            ),
            AppendError::Overloaded => {
                Self::unavailable("The server has more writes than it can take; try again later.")
            }
            AppendError::OutcomeUnknown => Self::unavailable(
                "The database was lost while writing; whether the write was recorded is not known. Read before trying again, unless the request has an Idempotency-Key.",
            ),
            AppendError::TooLarge { .. } => {
                Self::new(FailureKind::TooLarge, IssueCode::TooLong, sentence(&error))
            }
            AppendError::TooMany { what, limit, .. } => {
                let text = format!("A resource may have at most {limit} {what}.");
                Self::new(FailureKind::TooLarge, IssueCode::TooLong, text)
            }
            AppendError::Invalid { .. } => {
                tracing::error!(%error, "The log refused a draft as not valid.");
                Self::internal()
            }
            AppendError::Unavailable(_) | AppendError::Broken { .. } | AppendError::Closed => {
                tracing::error!(%error, "The log takes no writes.");
                Self::unavailable("The server cannot write now; try again later.")
            }
            _ => {
                tracing::error!(%error, "An append failed.");
                Self::internal()
            }
        }
    }
}

impl From<ReadError> for Failure {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Overloaded => {
                Self::unavailable("The server has more reads than it can take; try again later.")
            }
            ReadError::Log(error) => Self::from(&*error),
            ReadError::Stopped => Self::unavailable("The server is stopping."),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        Self::from(&error)
    }
}

impl From<&LogError> for Failure {
    fn from(error: &LogError) -> Self {
        match error {
            LogError::TooManyBytes { .. } => {
                let text = "The resources are too large for one answer; ask for fewer with _count.";
                Self::new(FailureKind::Invalid, IssueCode::TooCostly, text)
            }
            LogError::Broken { .. } | LogError::UnknownKind { .. } => {
                tracing::error!(%error, "The log cannot be read.");
                Self::internal()
            }
            _ => {
                tracing::error!(%error, "The log cannot be read now.");
                Self::unavailable("The server cannot read now; try again later.")
            }
        }
    }
}

impl From<ParseError> for Failure {
    fn from(error: ParseError) -> Self {
        let code = match error.kind {
            ParseErrorKind::TooLong => IssueCode::TooLong,
            ParseErrorKind::DuplicateName => IssueCode::Duplicate,
            _ => IssueCode::Structure,
        };
        let kind = match error.kind {
            ParseErrorKind::TooLong => FailureKind::TooLarge,
            _ => FailureKind::Invalid,
        };
        let issue = Issue::error(code, format!("The body is not acceptable JSON: {error}."));
        Self::with_issues(kind, vec![issue])
    }
}

impl From<XmlError> for Failure {
    fn from(error: XmlError) -> Self {
        let (kind, code) = match error.kind {
            XmlErrorKind::TooLong => (FailureKind::TooLarge, IssueCode::TooLong),
            XmlErrorKind::TooDeep | XmlErrorKind::TooManyAttributes => {
                (FailureKind::Invalid, IssueCode::TooLong)
            }
            XmlErrorKind::Value(_) => (FailureKind::Invalid, IssueCode::Value),
            _ => (FailureKind::Invalid, IssueCode::Structure),
        };
        let failure = Self::new(kind, code, format!("The body is not acceptable XML: {error}."));
        if error.path.is_empty() { failure } else { failure.at(error.path) }
    }
}

impl From<Unwritable> for Failure {
    fn from(reason: Unwritable) -> Self {
        let text = format!("The answer cannot be written as XML: {reason}. Ask for JSON.");
        Self::new(FailureKind::NotAcceptable, IssueCode::NotSupported, text)
    }
}

impl From<CheckError> for Failure {
    fn from(error: CheckError) -> Self {
        match error {
            CheckError::Log(error) => error.into(),
            CheckError::Terminology(error) => error.into(),
        }
    }
}

impl From<KeeperError> for Failure {
    fn from(error: KeeperError) -> Self {
        match error {
            KeeperError::Log(error) => error.into(),
            KeeperError::Projection(error @ ProjectionError::OtherSchema { .. }) => {
                Self::new(FailureKind::Conflict, IssueCode::Conflict, sentence(&error))
            }
            KeeperError::Projection(error) => error.into(),
            KeeperError::Parameters(error) => {
                Self::new(FailureKind::Unprocessable, IssueCode::BusinessRule, sentence(&error))
            }
            KeeperError::Store(error) => {
                tracing::error!(%error, "What is recorded of search parameters cannot be reached.");
                Self::unavailable("What is recorded of search parameters cannot be reached now.")
            }
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            // They go by themselves after their time.
            StoreError::TooMany(_) => {
                let text = format!(
                    "{}: they go after their time, or by a DELETE.",
                    sentence(&error).trim_end_matches('.')
                );
                Self::too_many(text).retry_after(60)
            }
            error => {
                tracing::error!(%error, "What is noted of exports cannot be reached.");
                Self::unavailable("What is noted of exports cannot be reached now.")
            }
        }
    }
}

impl From<ExportError> for Failure {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::Store(error) => error.into(),
            ExportError::Log(error) => error.into(),
        }
    }
}

impl From<Fault> for Issue {
    fn from(fault: Fault) -> Self {
        let code = match fault.kind {
            FaultKind::Missing => IssueCode::Required,
            FaultKind::Invalid => IssueCode::Invalid,
            FaultKind::Unsupported => IssueCode::NotSupported,
            FaultKind::Taken => IssueCode::Duplicate,
        };
        Self::error(code, fault.text).at(fault.expression)
    }
}

impl From<validate::Issue> for Issue {
    fn from(issue: validate::Issue) -> Self {
        let severity = match issue.severity {
            validate::Severity::Error => Severity::Error,
            validate::Severity::Warning => Severity::Warning,
            validate::Severity::Information => Severity::Information,
        };
        let code = match issue.code {
            validate::IssueCode::Structure => IssueCode::Structure,
            validate::IssueCode::Required => IssueCode::Required,
            validate::IssueCode::Value => IssueCode::Value,
            validate::IssueCode::CodeInvalid => IssueCode::CodeInvalid,
            validate::IssueCode::Invariant => IssueCode::Invariant,
            validate::IssueCode::NotFound => IssueCode::NotFound,
            validate::IssueCode::Processing => IssueCode::Processing,
            validate::IssueCode::TooLong => IssueCode::TooLong,
            validate::IssueCode::NotSupported => IssueCode::NotSupported,
            validate::IssueCode::TooCostly => IssueCode::TooCostly,
            validate::IssueCode::Informational => IssueCode::Informational,
        };
        let key = issue.key().map(str::to_owned);
        let place = format!(" (line {}, column {})", issue.line, issue.column);
        let mut diagnostics = issue.diagnostics;
        // The number of issues beyond the bound has no place.
        if issue.line > 0 {
            diagnostics.push_str(&place);
        }
        Self { severity, code, diagnostics: diagnostics.into(), expression: vec![issue.expression], key }
    }
}

impl From<search::Issue> for Issue {
    fn from(issue: search::Issue) -> Self {
        let severity = match issue.severity {
            search::Severity::Error => Severity::Error,
            search::Severity::Warning => Severity::Warning,
            search::Severity::Information => Severity::Information,
        };
        let code = match issue.kind {
            search::IssueKind::Invalid => IssueCode::Invalid,
            search::IssueKind::NotSupported => IssueCode::NotSupported,
            search::IssueKind::Incomplete => IssueCode::Incomplete,
            search::IssueKind::TooCostly => IssueCode::TooCostly,
        };
        Self { severity, code, diagnostics: sentence(&issue.text).into(), expression: Vec::new(), key: None }
    }
}

impl From<ProjectionError> for Failure {
    fn from(error: ProjectionError) -> Self {
        match &error {
            ProjectionError::TooCostly => {
                Self::new(FailureKind::Timeout, IssueCode::TooCostly, sentence(&error))
            }
            ProjectionError::TooMuchWork => {
                Self::new(FailureKind::Unprocessable, IssueCode::TooCostly, sentence(&error))
            }
            ProjectionError::Late { .. }
            | ProjectionError::NotReadable { .. }
            | ProjectionError::Crowded
            | ProjectionError::ParametersChanged => Self::unavailable(sentence(&error)),
            _ => {
                tracing::error!(%error, "The search index cannot be used now.");
                Self::unavailable("The server cannot search now; try again later.")
            }
        }
    }
}

/// An error's text as a sentence.
pub(super) fn sentence(error: &dyn std::fmt::Display) -> String {
    let text = error.to_string();
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => text,
    }
}
