//! FHIRPath: our own engine over JSON with spans (FHIRPath 2.0.0, and what FHIR R4 adds).
//!
//! An expression is parsed once to a public syntax tree ([`Expression`]), which other compilers may lower.

mod ast;
mod lexer;
mod parser;
mod print;
mod temporal;
mod unit;

pub use ast::{
    BinaryOperator, EXPRESSION_BYTES_MAX, EXPRESSION_DEPTH_MAX, Expression, ExpressionKind, Literal,
    TypeName, TypeOperator,
};
pub use parser::{ParseError, ParseErrorKind};
pub use temporal::{Date, DateTime, Precision, Time};
pub use unit::CalendarUnit;
