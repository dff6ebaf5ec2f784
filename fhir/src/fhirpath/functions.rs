//! The functions: a table of names, and what a function may ask of its call.

mod aggregates;
mod boundaries;
mod collections;
mod conversions;
mod existence;
mod fhir;
mod iteration;
mod mathematics;
mod moments;
mod references;
mod strings;
mod table;
mod text_formats;
mod utilities;

use std::borrow::Cow;

use regex::{Regex, RegexBuilder};
use rust_decimal::Decimal;

use super::collection::Collection;
use super::compare::{as_quantity, number, operand};
use super::error::{EvalError, EvalErrorKind};
use super::evaluate::{Machine, Outcome, Scope, single};
use super::item::{Item, Quantity};
use super::program::{CallOperation, truth};
pub(super) use table::{Shape, find};

/// What a function's arguments are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arguments {
    /// Expressions.
    Plain,
    /// The name of a type.
    Type,
    /// First a regular expression, which is compiled at once where it is a literal.
    Pattern,
}

/// The body of a function: takes the input collection, evaluates its arguments as it needs them.
pub(super) type Body = for<'c, 'a> fn(&Call<'c, 'a>, Collection<'a>) -> Outcome<'a>;

/// A function as the table lists it.
pub(super) struct Function {
    pub(super) name: &'static str,
    pub(super) minimum: usize,
    pub(super) maximum: usize,
    pub(super) arguments: Arguments,
    /// The argument that holds the flags of a pattern.
    pub(super) pattern_flags: usize,
    /// Whether the pattern must match the whole text.
    pub(super) pattern_is_full: bool,
    /// What is known of the result's type.
    pub(super) shape: Shape,
    pub(super) body: Body,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// Largest compiled regular expression in bytes: `regex` needs no more than linear time, but memory.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Compiles a pattern in "single line" mode, where a dot also matches a line's end.
pub(super) fn pattern(text: &str, flags: &str, full: bool) -> Option<Regex> {
    if !flags.chars().all(|flag| matches!(flag, 'i' | 'm')) {
        return None;
    }
    let anchored;
    let text = if full {
        anchored = format!("^(?:{text})$");
        &anchored
    } else {
        text
    };
    RegexBuilder::new(text)
        .dot_matches_new_line(true)
        .case_insensitive(flags.contains('i'))
        .multi_line(flags.contains('m'))
        .size_limit(PATTERN_BYTES_MAX)
        .dfa_size_limit(PATTERN_BYTES_MAX)
        .build()
        .ok()
}

/// One call of a function.
pub(super) struct Call<'c, 'a> {
    pub(super) machine: &'c Machine<'c, 'a>,
    pub(super) scope: &'c Scope<'c, 'a>,
    pub(super) operation: &'a CallOperation,
    pub(super) offset: usize,
}

impl<'a> Call<'_, 'a> {
    pub(super) fn error<T>(&self, kind: EvalErrorKind) -> Result<T, EvalError> {
        Err(self.at(kind))
    }

    pub(super) fn at(&self, kind: EvalErrorKind) -> EvalError {
        EvalError { offset: self.offset, kind }
    }

    fn wrong<T>(&self, expected: &'static str) -> Result<T, EvalError> {
        self.error(EvalErrorKind::WrongType { expected })
    }

    /// Whether an argument was given.
    fn has(&self, index: usize) -> bool {
        self.operation.arguments.get(index).is_some()
    }

    /// An argument, evaluated where the function is called; empty where it was not given.
    fn argument(&self, index: usize) -> Outcome<'a> {
        match self.operation.arguments.get(index) {
            Some(argument) => self.machine.evaluate(argument, self.scope),
            None => Ok(Collection::empty()),
        }
    }

    /// An argument evaluated for one item of the input, with `$this` and `$index` set.
    fn for_item(&self, index: usize, item: &Item<'a>, place: usize) -> Outcome<'a> {
        let this = Collection::single(item.clone());
        self.with_scope(index, &Scope { this: &this, index: Some(place), total: self.scope.total })
    }

    fn with_scope(&self, index: usize, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        match self.operation.arguments.get(index) {
            Some(argument) => self.machine.evaluate(argument, scope),
            None => Ok(Collection::empty()),
        }
    }

    /// A criterion for one item of the input.
    fn criterion(&self, index: usize, item: &Item<'a>, place: usize) -> Result<Option<bool>, EvalError> {
        truth(&self.for_item(index, item, place)?).map_err(|kind| self.at(kind))
    }

    /// The only item of a collection as a System value or element, or nothing.
    fn one(&self, collection: &Collection<'a>) -> Result<Option<Item<'a>>, EvalError> {
        Ok(single(collection).map_err(|kind| self.at(kind))?.map(operand))
    }

    /// The only text of a collection.
    fn text(&self, collection: &Collection<'a>) -> Result<Option<Cow<'a, str>>, EvalError> {
        match self.one(collection)? {
            None => Ok(None),
            Some(Item::String(text)) => Ok(Some(text)),
            Some(_) => self.wrong("String"),
        }
    }

    /// The only number of a collection.
    fn number(&self, collection: &Collection<'a>) -> Result<Option<Decimal>, EvalError> {
        match self.one(collection)? {
            None => Ok(None),
            Some(item) => match number(&item) {
                Some(number) => Ok(Some(number)),
                None => self.wrong("a number"),
            },
        }
    }

    /// The only quantity of a collection; a number counts as one.
    fn quantity(&self, collection: &Collection<'a>) -> Result<Option<Quantity<'a>>, EvalError> {
        match self.one(collection)? {
            None => Ok(None),
            Some(item) => match as_quantity(&item) {
                Some(quantity) => Ok(Some(quantity)),
                None => self.wrong("Quantity"),
            },
        }
    }

    fn text_argument(&self, index: usize) -> Result<Option<Cow<'a, str>>, EvalError> {
        self.text(&self.argument(index)?)
    }

    fn number_argument(&self, index: usize) -> Result<Option<Decimal>, EvalError> {
        self.number(&self.argument(index)?)
    }

    fn integer_argument(&self, index: usize) -> Result<Option<i32>, EvalError> {
        match self.one(&self.argument(index)?)? {
            None => Ok(None),
            Some(Item::Integer(number)) => Ok(Some(number)),
            Some(_) => self.wrong("Integer"),
        }
    }

    /// A computed text, within the bound.
    fn computed(&self, text: impl Into<Cow<'a, str>>) -> Outcome<'a> {
        let text = text.into();
        self.machine.bounded_text(text.len()).map_err(|kind| self.at(kind))?;
        Ok(Item::String(text).into())
    }

    fn step(&self, count: usize) -> Result<(), EvalError> {
        self.machine.step(count).map_err(|kind| self.at(kind))
    }

    fn bounded(&self, length: usize) -> Result<(), EvalError> {
        self.machine.bounded(length).map_err(|kind| self.at(kind))
    }
}
