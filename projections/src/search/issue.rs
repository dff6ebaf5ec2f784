//! What a search has to say about its own parameters and results.

use crate::{NAMED_MAX, ParkedMarks};

/// How much an issue matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Severity {
    /// The search is not done.
    Error,
    /// Something that was asked for is not done.
    Warning,
    /// The search is done a little differently.
    Information,
}

/// What kind of issue it is; the words of R4 valueset-issue-type.html.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IssueKind {
    /// `invalid`: a value cannot be understood.
    Invalid,
    /// `not-supported`: a parameter is unknown or not implemented.
    NotSupported,
    /// `incomplete`: results may be missing.
    Incomplete,
    /// `too-costly`: less is given than was asked for.
    TooCostly,
}

impl IssueKind {
    /// The code in `OperationOutcome.issue.code`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::NotSupported => "not-supported",
            Self::Incomplete => "incomplete",
            Self::TooCostly => "too-costly",
        }
    }
}

/// Something that the caller must or should know: an entry of an OperationOutcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Issue {
    /// How much it matters.
    pub severity: Severity,
    /// What kind of issue it is.
    pub kind: IssueKind,
    /// The parameter's name with its modifier, where the issue is about one.
    pub parameter: Option<String>,
    /// What is wrong, for a person to read. Holds no value of the query.
    pub text: String,
}

impl Issue {
    /// Of what is parked, to somebody who may not see all of it: that there is something, and nothing of what.
    pub(crate) fn without_names(self) -> Self {
        let text = "some of the newest changes could not be taken into the index, so resources may be missing, or be found as \
                    they were before";
        Self { text: text.to_owned(), ..self }
    }

    pub(crate) fn new(severity: Severity, kind: IssueKind, parameter: &str, text: impl Into<String>) -> Self {
        Self { severity, kind, parameter: Some(parameter.to_owned()), text: text.into() }
    }
}

/// A warning where resources of these types are parked.
pub(crate) fn parked(marks: &ParkedMarks, types: &[String]) -> Option<Issue> {
    if marks.is_empty() {
        return None;
    }
    let (mut resources, mut named) = (0, Vec::new());
    for (name, of_type) in marks.types().filter(|(name, _)| types.iter().any(|wanted| wanted == name)) {
        resources += of_type.resources;
        named.extend(of_type.named.iter().map(|id| format!("{name}/{id}")));
    }
    if resources == 0 {
        return None;
    }
    named.truncate(NAMED_MAX);
    let others = resources.saturating_sub(u64::try_from(named.len()).unwrap_or(u64::MAX));
    let others = if others > 0 { format!(" and {others} more") } else { String::new() };
    let text = format!(
        "the newest changes of {resources} resource(s) could not be taken into the index, so they may be missing, or be \
         found as they were before: {}{others}",
        named.join(", ")
    );
    Some(Issue { severity: Severity::Warning, kind: IssueKind::Incomplete, parameter: None, text })
}
