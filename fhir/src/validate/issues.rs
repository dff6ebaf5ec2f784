//! Issues as OperationOutcome has them, and a bounded list of them.

use std::fmt;

use super::path::Path;
use crate::json::Value;

/// One fault or remark (OperationOutcome.issue).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issue {
    /// How bad it is.
    pub severity: Severity,
    /// What sort of fault it is.
    pub code: IssueCode,
    /// What is wrong, for people. Holds names of elements and codes of the standard, no values of the client.
    pub diagnostics: String,
    /// FHIRPath of the element, such as `Patient.name[0].given[1]`.
    pub expression: String,
    /// Byte offset of the element in the text, from 0.
    pub offset: usize,
    /// Line of the element in the text, from 1.
    pub line: usize,
    /// Column of the element in bytes, from 1.
    pub column: usize,
}

impl Issue {
    /// The key of the constraint that is broken, such as `obs-6`: it stands in brackets at the end of the message.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        if self.code != IssueCode::Invariant {
            return None;
        }
        let key = self.diagnostics.strip_suffix(')')?.rsplit_once('(')?.1;
        crate::references::is_id(key).then_some(key)
    }
}

/// IssueSeverity of R4; ordered from mild to bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// `information`
    Information,
    /// `warning`: acceptable, but most likely not meant.
    Warning,
    /// `error`: the resource is not acceptable.
    Error,
}

impl Severity {
    /// The code of IssueSeverity.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Severity::Information => "information",
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }

    /// Whether the resource must be refused.
    #[must_use]
    pub fn is_error(self) -> bool {
        self == Severity::Error
    }
}

/// The codes of IssueType that validation uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IssueCode {
    /// `structure`: an unknown element, a wrong kind of JSON, a wrong number of them.
    Structure,
    /// `required`: an element is missing.
    Required,
    /// `value`: a value does not have the form of its type.
    Value,
    /// `code-invalid`: a code is not in the value set.
    CodeInvalid,
    /// `invariant`: a rule over several elements is broken.
    Invariant,
    /// `not-found`: a reference within the resource leads nowhere.
    NotFound,
    /// `too-long`: a value or the nesting is over a bound.
    TooLong,
    /// `not-supported`: a profile or a binding that cannot be checked.
    NotSupported,
    /// `too-costly`: a check that was given up.
    TooCostly,
    /// `processing`: there are more issues than are listed.
    Processing,
    /// `informational`: not a fault.
    Informational,
}

impl IssueCode {
    /// The code of IssueType.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            IssueCode::Structure => "structure",
            IssueCode::Required => "required",
            IssueCode::Value => "value",
            IssueCode::CodeInvalid => "code-invalid",
            IssueCode::Invariant => "invariant",
            IssueCode::NotFound => "not-found",
            IssueCode::TooLong => "too-long",
            IssueCode::NotSupported => "not-supported",
            IssueCode::TooCostly => "too-costly",
            IssueCode::Processing => "processing",
            IssueCode::Informational => "informational",
        }
    }
}

/// Issues as they are found, up to a bound; those beyond it are counted.
#[derive(Debug)]
pub(super) struct Issues {
    list: Vec<Issue>,
    max: usize,
    beyond: usize,
    errors: usize,
    worst_beyond: Severity,
}

impl Issues {
    pub(super) fn new(max: usize) -> Self {
        Issues { list: Vec::new(), max, beyond: 0, errors: 0, worst_beyond: Severity::Information }
    }

    /// Whether what is added now is only counted, so that no work need go into its message.
    pub(super) fn is_full(&self) -> bool {
        self.list.len() >= self.max
    }

    /// How many were added.
    pub(super) fn count(&self) -> usize {
        self.list.len() + self.beyond
    }

    /// How many errors were added.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    /// Adds an issue about a place and the value that stands there.
    pub(super) fn add(
        &mut self,
        (severity, code): (Severity, IssueCode),
        path: &Path<'_>,
        value: Value<'_>,
        diagnostics: fmt::Arguments<'_>,
    ) {
        self.errors += usize::from(severity.is_error());
        if self.is_full() {
            self.beyond += 1;
            self.worst_beyond = self.worst_beyond.max(severity);
            return;
        }
        let offset = value.member_span().unwrap_or_else(|| value.span()).start;
        self.list.push(Issue {
            severity,
            code,
            diagnostics: diagnostics.to_string(),
            expression: path.to_string(),
            offset,
            line: 0,
            column: 0,
        });
    }

    /// Adds an error.
    pub(super) fn error(
        &mut self,
        code: IssueCode,
        path: &Path<'_>,
        value: Value<'_>,
        diagnostics: fmt::Arguments<'_>,
    ) {
        self.add((Severity::Error, code), path, value, diagnostics);
    }

    /// Adds a warning.
    pub(super) fn warning(
        &mut self,
        code: IssueCode,
        path: &Path<'_>,
        value: Value<'_>,
        diagnostics: fmt::Arguments<'_>,
    ) {
        self.add((Severity::Warning, code), path, value, diagnostics);
    }

    /// The list with lines and columns, and the remark about those beyond the bound, which is as severe as
    /// the worst of them: what is not listed must not make a bad resource look good.
    pub(super) fn finish(mut self, text: &str, root: &str) -> Vec<Issue> {
        locate(&mut self.list, text.as_bytes());
        if self.beyond > 0 {
            self.list.push(Issue {
                severity: self.worst_beyond,
                // As severe as the worst of them; `informational` is no word for errors.
                code: if self.worst_beyond.is_error() {
                    IssueCode::Processing
                } else {
                    IssueCode::Informational
                },
                diagnostics: format!("{} more issues are not listed", self.beyond),
                expression: root.to_owned(),
                offset: 0,
                line: 1,
                column: 1,
            });
        }
        self.list
    }
}

/// Fills in lines and columns in one pass over the text.
fn locate(issues: &mut [Issue], text: &[u8]) {
    let mut by_offset: Vec<&mut Issue> = issues.iter_mut().collect();
    by_offset.sort_by_key(|issue| issue.offset);
    let (mut line, mut line_start, mut searched) = (1, 0, 0);
    for issue in by_offset {
        for newline in memchr::memchr_iter(b'\n', text.get(searched..issue.offset).unwrap_or_default()) {
            line += 1;
            line_start = searched + newline + 1;
        }
        searched = issue.offset.max(searched);
        issue.line = line;
        issue.column = issue.offset.saturating_sub(line_start) + 1;
    }
}
