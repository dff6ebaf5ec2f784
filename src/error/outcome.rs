//! OperationOutcome (R4 operationoutcome.html): issues and how they are written as JSON.

use std::borrow::Cow;

use anamnesis_fhir::json::escape_into;

/// R4 value set `issue-severity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The action could not be done.
    Error,
    /// The action was done; something may be wrong.
    Warning,
    /// Nothing is wrong.
    Information,
}

impl Severity {
    fn code(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Information => "information",
        }
    }
}

/// The codes of R4's value set `issue-type` that this server uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IssueCode {
    /// Content does not follow the specification.
    Invalid,
    /// The structure is wrong: wrong JSON, unknown element.
    Structure,
    /// A required element is missing.
    Required,
    /// An element's value is wrong.
    Value,
    /// A rule of the content is broken.
    Invariant,
    /// A business rule is broken.
    BusinessRule,
    /// A code does not come from its value set.
    CodeInvalid,
    /// It cannot be processed.
    Processing,
    /// It is not offered.
    NotSupported,
    /// The same again.
    Duplicate,
    /// More than one resource matches.
    MultipleMatches,
    /// Who asks has to say who they are.
    Login,
    /// Who asks has to say so again.
    Expired,
    /// It may not be done by whoever asks.
    Forbidden,
    /// There is no such thing.
    NotFound,
    /// It was deleted.
    Deleted,
    /// Too long or too large.
    TooLong,
    /// Somebody else was quicker.
    Conflict,
    /// It took too long.
    Timeout,
    /// It may succeed when tried again.
    Transient,
    /// Too much at once.
    Throttled,
    /// Only a part was done.
    Incomplete,
    /// It would take too long or give too much.
    TooCostly,
    /// A mistake of the server.
    Exception,
    /// Nothing is wrong.
    Informational,
}

impl IssueCode {
    /// The code as OperationOutcome carries it.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Structure => "structure",
            Self::Required => "required",
            Self::Value => "value",
            Self::Invariant => "invariant",
            Self::BusinessRule => "business-rule",
            Self::CodeInvalid => "code-invalid",
            Self::Processing => "processing",
            Self::NotSupported => "not-supported",
            Self::Duplicate => "duplicate",
            Self::MultipleMatches => "multiple-matches",
            Self::Login => "login",
            Self::Expired => "expired",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::Deleted => "deleted",
            Self::TooLong => "too-long",
            Self::Conflict => "conflict",
            Self::Timeout => "timeout",
            Self::Transient => "transient",
            Self::Throttled => "throttled",
            Self::Incomplete => "incomplete",
            Self::TooCostly => "too-costly",
            Self::Exception => "exception",
            Self::Informational => "informational",
        }
    }
}

/// One thing to tell a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What kind of problem it is.
    pub code: IssueCode,
    /// For people; never holds resource content.
    pub diagnostics: Cow<'static, str>,
    /// FHIRPath of the elements concerned.
    pub expression: Vec<String>,
    /// The key of the constraint that is broken, such as `us-core-8`.
    pub key: Option<String>,
}

impl Issue {
    /// An issue of severity error.
    #[must_use]
    pub fn error(code: IssueCode, diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Severity::Error, code, diagnostics)
    }

    /// An issue of severity warning.
    #[must_use]
    pub fn warning(code: IssueCode, diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Severity::Warning, code, diagnostics)
    }

    /// An issue of severity information.
    #[must_use]
    pub fn information(diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Severity::Information, IssueCode::Informational, diagnostics)
    }

    /// The same about an element, by its FHIRPath.
    #[must_use]
    pub fn at(mut self, expression: impl Into<String>) -> Self {
        self.expression.push(expression.into());
        self
    }

    fn new(severity: Severity, code: IssueCode, diagnostics: impl Into<Cow<'static, str>>) -> Self {
        Self { severity, code, diagnostics: diagnostics.into(), expression: Vec::new(), key: None }
    }
}

/// An OperationOutcome with these issues; `id` is the correlation id of the request, or empty for none.
#[must_use]
pub fn outcome(id: &str, issues: &[Issue]) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + issues.len() * 160);
    out.extend_from_slice(br#"{"resourceType":"OperationOutcome""#);
    if !id.is_empty() {
        member(&mut out, "id", id);
    }
    out.extend_from_slice(br#","issue":["#);
    for (index, issue) in issues.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(br#"{"severity":""#);
        out.extend_from_slice(issue.severity.code().as_bytes());
        out.push(b'"');
        member(&mut out, "code", issue.code.code());
        if let Some(key) = &issue.key {
            out.extend_from_slice(br#","details":{"coding":[{"code":""#);
            escape_into(&mut out, key);
            out.extend_from_slice(br#""}]}"#);
        }
        member(&mut out, "diagnostics", &issue.diagnostics);
        if !issue.expression.is_empty() {
            out.extend_from_slice(br#","expression":["#);
            for (index, expression) in issue.expression.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.push(b'"');
                escape_into(&mut out, expression);
                out.push(b'"');
            }
            out.push(b']');
        }
        out.push(b'}');
    }
    out.extend_from_slice(b"]}");
    out
}

fn member(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":\"");
    escape_into(out, value);
    out.push(b'"');
}
