//! FHIRPath: our own engine over JSON with spans (FHIRPath 2.0.0, and what FHIR R4 adds).
//!
//! An expression is parsed once to a public syntax tree ([`Expression`]), which other compilers may lower.

mod arithmetic;
mod ast;
mod calendar;
mod check;
mod collection;
mod compare;
mod context;
mod equality;
mod error;
mod evaluate;
mod functions;
mod item;
mod lexer;
mod navigate;
mod parser;
mod print;
mod program;
mod quantity;
mod temporal;
mod types;
mod unit;

pub use ast::{
    BinaryOperator, EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, EXPRESSION_NESTING_MAX, Expression,
    ExpressionKind, Literal, TypeName, TypeOperator,
};
pub use collection::{Collection, IntoIter};
pub(crate) use context::resource_node;
pub use context::{Context, Limits, Profiles, Resolver, Terminology};
pub use error::{CompileError, EvalError, EvalErrorKind};
pub use item::{Item, Node, Quantity, TypeInfo, Unit, Unresolved};
pub(crate) use navigate::elements;
pub use parser::{ParseError, ParseErrorKind};
pub use program::{Checking, Compiled};
pub use temporal::{Date, DateTime, Precision, Time};
pub use unit::CalendarUnit;

#[cfg(test)]
mod tests;
