//! Faults of patches: which operation, where, and what. They never carry resource content.

/// Why a patch could not be read or applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{kind}{}", self.whose(), self.at_path())]
pub struct PatchError {
    /// The operation, from 0; `None` where the patch as a whole is at fault.
    pub operation: Option<usize>,
    /// Its path as far as that can hold no data: a JSON pointer, or a FHIRPath up to its first literal; may be empty.
    pub path: String,
    /// What is wrong.
    pub kind: PatchErrorKind,
}

/// What is wrong with a patch or an operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatchErrorKind {
    /// The patch has another form.
    #[error("expected {0}")]
    Malformed(&'static str),
    /// A member or part that the operation needs is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// More operations than [`super::OPERATIONS_MAX`].
    #[error("a patch may have {} operations", super::OPERATIONS_MAX)]
    TooMany,
    /// The expression cannot be used: its syntax, a function, or an element that R4 does not define.
    #[error("the path is no FHIRPath that can be used here: {0}")]
    Expression(String),
    /// Nothing is at the path, or at the path's parent.
    #[error("nothing is there")]
    NotFound,
    /// The path leads through, or into, what is neither object nor array.
    #[error("the path leads into a value that has no members")]
    NotAContainer,
    /// The index is none, or beyond the end.
    #[error("the index is no place of the list")]
    BadIndex,
    /// `test` found another value.
    #[error("the value is not the one that was expected")]
    TestFailed,
    /// A value cannot be moved into itself.
    #[error("a value cannot be moved into itself")]
    IntoItself,
    /// The whole document cannot be removed.
    #[error("the whole resource cannot be removed or replaced by this operation")]
    WholeDocument,
    /// More than one element where one is needed.
    #[error("the path names {0} elements, and must name one")]
    Several(usize),
    /// The path must name all items of one list, and does not.
    #[error("the path names no whole list")]
    NotAList,
    /// The result of the expression is a computed value, or of another resource.
    #[error("the path names no element of this resource")]
    NoElement,
    /// `add` to an element that can be there once and is.
    #[error("the element is there already and does not repeat")]
    Exists,
    /// There is no such element in the type at the path.
    #[error("R4 defines no element of this name there")]
    UnknownElement,
    /// The value is of a type that the element cannot have.
    #[error("the value is of a type that the element cannot have")]
    WrongType,
    /// The document would become larger than [`super::RESULT_BYTES_MAX`].
    #[error("the result would be larger than {} bytes", super::RESULT_BYTES_MAX)]
    TooLarge,
    /// The document would be nested more deeply than is read.
    #[error("the result would be nested too deeply")]
    TooDeep,
    /// All operations together read more than [`super::WORK_BYTES_MAX`], or an expression needs too many steps.
    #[error("the patch is too much work for this resource")]
    TooCostly,
    /// The result is no JSON: a mistake of this program.
    #[error("the result is no JSON")]
    Broken,
}

impl PatchError {
    pub(super) fn whole(kind: PatchErrorKind) -> Self {
        Self { operation: None, path: String::new(), kind }
    }

    /// Whether the patch itself is at fault, whatever it is applied to.
    #[must_use]
    pub fn is_malformed(&self) -> bool {
        matches!(
            self.kind,
            PatchErrorKind::Malformed(_) | PatchErrorKind::Missing(_) | PatchErrorKind::TooMany
        )
    }

    fn whose(&self) -> String {
        self.operation.map(|index| format!("operation {index}: ")).unwrap_or_default()
    }

    fn at_path(&self) -> String {
        if self.path.is_empty() { String::new() } else { format!(" ({})", self.path) }
    }
}
