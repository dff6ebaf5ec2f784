//! Faults of compiling and of evaluating. They say where, and never carry resource content.

use super::parser::ParseError;

/// Why an expression could not be compiled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CompileError {
    /// The text is no expression.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// There is no such function.
    #[error("unknown function {name} at offset {offset}")]
    UnknownFunction {
        /// Byte offset in the text.
        offset: usize,
        /// The name as written.
        name: String,
    },
    /// The function takes another number of arguments.
    #[error("function {name} at offset {offset} takes {minimum} to {maximum} arguments, not {found}")]
    ArgumentCount {
        /// Byte offset in the text.
        offset: usize,
        /// The function.
        name: &'static str,
        /// Fewest arguments.
        minimum: usize,
        /// Most arguments.
        maximum: usize,
        /// How many were given.
        found: usize,
    },
    /// There is no such type.
    #[error("unknown type {name} at offset {offset}")]
    UnknownType {
        /// Byte offset in the text.
        offset: usize,
        /// The name as written.
        name: String,
    },
    /// The type at this place has no such member.
    #[error("{type_name} has no member {name}, at offset {offset}")]
    UnknownMember {
        /// Byte offset in the text.
        offset: usize,
        /// The member as written.
        name: String,
        /// The type that was asked.
        type_name: String,
    },
    /// A function that needs an order stands behind one that gives none (strict checking only).
    #[error("function {name} at offset {offset} needs an ordered collection")]
    Unordered {
        /// Byte offset in the text.
        offset: usize,
        /// The function.
        name: String,
    },
    /// The pattern of `matches()` and its kin is no regular expression, or too large.
    #[error("bad regular expression at offset {offset}")]
    BadPattern {
        /// Byte offset in the text.
        offset: usize,
    },
}

/// Why an evaluation ended without a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{kind} at offset {offset}")]
pub struct EvalError {
    /// Byte offset in the text of the expression: the function or operator that failed.
    pub offset: usize,
    /// What failed.
    pub kind: EvalErrorKind,
}

/// What failed in an evaluation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EvalErrorKind {
    /// More than one item where one is allowed (FHIRPath 2.0.0 section 4.5).
    #[error("more than one item where one is expected")]
    NotSingle,
    /// An item of another type than the one that is needed.
    #[error("expected {expected}")]
    WrongType {
        /// What is needed.
        expected: &'static str,
    },
    /// The two sides of an operator cannot be taken together.
    #[error("the operands cannot be combined")]
    Operands,
    /// An argument is outside of what the function takes.
    #[error("argument out of range: expected {expected}")]
    Argument {
        /// What is taken.
        expected: &'static str,
    },
    /// There is no such variable in the context.
    #[error("unknown variable %{name}")]
    UnknownVariable {
        /// Its name.
        name: String,
    },
    /// `now()` and its kin without a clock in the context.
    #[error("the context has no clock")]
    NoClock,
    /// A modifier extension that the caller did not name (`checkModifiers`).
    #[error("unknown modifier extension")]
    UnknownModifier,
    /// A profile that nobody in the context knows (`conformsTo`).
    #[error("unknown profile")]
    UnknownProfile,
    /// The pattern is no regular expression, or too large.
    #[error("bad regular expression")]
    BadPattern,
    /// More evaluation steps than the limit of the context.
    #[error("too many evaluation steps")]
    TooManySteps,
    /// More items or longer text than the limit of the context.
    #[error("result is too large")]
    TooLarge,
}
