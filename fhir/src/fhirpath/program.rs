//! The compiled form: the syntax tree with functions, types and patterns looked up, ready to evaluate.

use regex::Regex;

use super::ast::{BinaryOperator, Expression, ExpressionKind, Literal, TypeName, TypeOperator};
use super::check;
use super::collection::Collection;
use super::context::{Context, resource_node};
use super::error::{CompileError, EvalError, EvalErrorKind};
use super::evaluate::Machine;
use super::functions::{self, Arguments, Function, pattern};
use super::item::{Item, Node};
use super::types::TypeTarget;
use crate::definitions::{Structure, r4};
use crate::json::Value;

/// An operation with everything below it. All offsets point into the text.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) offset: usize,
    pub(super) kind: OperationKind,
}

#[derive(Debug)]
pub(super) enum OperationKind {
    Empty,
    Literal(Literal),
    This,
    Index,
    Total,
    Variable(Box<str>),
    Member {
        base: Option<Box<Operation>>,
        name: Box<str>,
        /// The type that the name could mean at the start of a path, as in `Patient.name`.
        root: Option<&'static Structure>,
    },
    Call(CallOperation),
    Item {
        base: Box<Operation>,
        index: Box<Operation>,
    },
    Sign {
        negative: bool,
        operand: Box<Operation>,
    },
    Binary {
        operator: BinaryOperator,
        left: Box<Operation>,
        right: Box<Operation>,
    },
    Type {
        operator: TypeOperator,
        operand: Box<Operation>,
        target: TypeTarget,
    },
}

/// A function call.
#[derive(Debug)]
pub(super) struct CallOperation {
    pub(super) base: Option<Box<Operation>>,
    pub(super) function: &'static Function,
    pub(super) arguments: Vec<Operation>,
    /// The type that is named where the function takes one.
    pub(super) target: Option<TypeTarget>,
    /// The pattern where it is a literal.
    pub(super) pattern: Option<Regex>,
}

/// How much is checked when an expression is compiled for a known root type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Checking {
    /// Syntax, functions and type names.
    Lenient,
    /// Also that every member exists where its type is known.
    #[default]
    Members,
    /// Also that `first()`, `skip()` and their kin are not asked of collections without an order.
    Strict,
}

/// A compiled expression. Made once, used by any number of threads.
///
/// ```
/// use anamnesis_fhir::fhirpath::{Compiled, Context};
/// use anamnesis_fhir::json::{Document, Limits};
/// let text = r#"{"resourceType":"Observation","valueQuantity":{"value":6.3}}"#;
/// let document = Document::parse(text, &Limits::default())?;
/// let expression = Compiled::new("Observation.value.value = 6.3", Some("Observation"))?;
/// assert_eq!(expression.evaluate_bool(document.root(), &Context::new())?, Some(true));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Compiled {
    root: Operation,
    root_structure: Option<&'static Structure>,
}

impl Compiled {
    /// Parses and compiles an expression; with a root type, members that no R4 type at their place has are refused.
    ///
    /// `root_type` is the name of a resource, a data type or a backbone element (`Patient.contact`).
    ///
    /// # Errors
    /// [`CompileError`] for bad syntax, an unknown function, type, member or root type.
    pub fn new(text: &str, root_type: Option<&str>) -> Result<Self, CompileError> {
        Self::with_checking(text, root_type, Checking::default())
    }

    /// Like [`Self::new`], with the choice of how much is checked.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn with_checking(
        text: &str,
        root_type: Option<&str>,
        checking: Checking,
    ) -> Result<Self, CompileError> {
        Self::from_expression(&Expression::parse(text)?, root_type, checking)
    }

    /// Compiles a parsed expression.
    ///
    /// # Errors
    /// As [`Self::new`], without syntax errors.
    pub fn from_expression(
        expression: &Expression,
        root_type: Option<&str>,
        checking: Checking,
    ) -> Result<Self, CompileError> {
        let root_structure = match root_type {
            Some(name) => Some(
                r4().structure(name)
                    .ok_or_else(|| CompileError::UnknownType { offset: 0, name: name.to_owned() })?,
            ),
            None => None,
        };
        let root = lower(expression)?;
        if let (Some(structure), true) = (root_structure, checking != Checking::Lenient) {
            check::check(&root, structure, checking == Checking::Strict)?;
        }
        Ok(Self { root, root_structure })
    }

    /// Evaluates on a resource or element. Nothing of it is copied; the result borrows from it.
    ///
    /// A value with a `resourceType` has that type; any other has the root type of the expression.
    ///
    /// # Errors
    /// [`EvalError`] where the specification demands one, or a limit of the context is reached.
    pub fn evaluate<'a>(
        &'a self,
        value: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Collection<'a>, EvalError> {
        let mut node = resource_node(value);
        if node.structure.is_none() || self.root_structure.is_some_and(|structure| !structure.is_resource()) {
            node = Node::new(value, self.root_structure.or(node.structure));
        }
        self.evaluate_on(Collection::single(Item::Node(node)), context)
    }

    /// Evaluates on any collection: typed elements, computed values, or nothing.
    ///
    /// # Errors
    /// As [`Self::evaluate`].
    pub fn evaluate_on<'a>(
        &'a self,
        input: Collection<'a>,
        context: &Context<'a>,
    ) -> Result<Collection<'a>, EvalError> {
        Machine::new(context, &input).run(&self.root)
    }

    /// As [`Self::evaluate_on`], and says how many steps it took (see [`super::Limits::steps_max`]).
    pub(crate) fn evaluate_counting<'a>(
        &'a self,
        input: Collection<'a>,
        context: &Context<'a>,
    ) -> (Result<Collection<'a>, EvalError>, u64) {
        let machine = Machine::new(context, &input);
        let found = machine.run(&self.root);
        let steps = machine.steps_made();
        (found, steps)
    }

    /// Evaluates to a truth value: `None` for an empty result; one item that is no Boolean is true
    /// (FHIRPath 2.0.0 section 4.5, Singleton Evaluation of Collections).
    ///
    /// # Errors
    /// As [`Self::evaluate`], and for more than one item.
    pub fn evaluate_bool<'a>(
        &'a self,
        value: Value<'a>,
        context: &Context<'a>,
    ) -> Result<Option<bool>, EvalError> {
        truth(&self.evaluate(value, context)?).map_err(|kind| EvalError { offset: 0, kind })
    }
}

/// Singleton evaluation to a truth value.
pub(super) fn truth(collection: &Collection<'_>) -> Result<Option<bool>, EvalErrorKind> {
    match (collection.len(), collection.first()) {
        (1, Some(item)) => Ok(Some(item.as_boolean().unwrap_or(true))),
        (0, _) => Ok(None),
        _ => Err(EvalErrorKind::NotSingle),
    }
}

/// Lowers a syntax tree. Its depth was bounded by the parser, or by whoever built it.
///
/// Each kind has a function of its own: this one recurs, and its frame must stay small.
fn lower(expression: &Expression) -> Result<Operation, CompileError> {
    let offset = expression.offset;
    let kind = match &expression.kind {
        ExpressionKind::Empty => OperationKind::Empty,
        ExpressionKind::Literal(literal) => OperationKind::Literal(literal.clone()),
        ExpressionKind::This => OperationKind::This,
        ExpressionKind::Index => OperationKind::Index,
        ExpressionKind::Total => OperationKind::Total,
        ExpressionKind::Variable(name) => OperationKind::Variable(name.clone()),
        ExpressionKind::Member { base, name } => return lower_member(offset, base.as_deref(), name),
        ExpressionKind::Call { base, function, arguments } => {
            return lower_call(offset, base.as_deref(), function, arguments);
        }
        ExpressionKind::Item { base, index } => return lower_item(offset, base, index),
        ExpressionKind::Sign { negative, operand } => {
            OperationKind::Sign { negative: *negative, operand: lower_boxed(operand)? }
        }
        ExpressionKind::Binary { operator, left, right } => {
            return lower_binary(offset, *operator, left, right);
        }
        ExpressionKind::Type { operator, operand, type_name } => {
            return lower_type(offset, *operator, operand, type_name);
        }
    };
    Ok(Operation { offset, kind })
}

fn lower_boxed(expression: &Expression) -> Result<Box<Operation>, CompileError> {
    lower(expression).map(Box::new)
}

fn lower_member(offset: usize, base: Option<&Expression>, name: &str) -> Result<Operation, CompileError> {
    let is_type = base.is_none() && name.starts_with(|first: char| first.is_ascii_uppercase());
    let root = if is_type { r4().structure(name) } else { None };
    let kind = OperationKind::Member { base: lower_base(base)?, name: name.into(), root };
    Ok(Operation { offset, kind })
}

fn lower_item(offset: usize, base: &Expression, index: &Expression) -> Result<Operation, CompileError> {
    let kind = OperationKind::Item { base: lower_boxed(base)?, index: lower_boxed(index)? };
    Ok(Operation { offset, kind })
}

fn lower_binary(
    offset: usize,
    operator: BinaryOperator,
    left: &Expression,
    right: &Expression,
) -> Result<Operation, CompileError> {
    let kind = OperationKind::Binary { operator, left: lower_boxed(left)?, right: lower_boxed(right)? };
    Ok(Operation { offset, kind })
}

fn lower_type(
    offset: usize,
    operator: TypeOperator,
    operand: &Expression,
    type_name: &TypeName,
) -> Result<Operation, CompileError> {
    let target = TypeTarget::find(type_name)
        .ok_or_else(|| CompileError::UnknownType { offset, name: type_name.to_string() })?;
    Ok(Operation { offset, kind: OperationKind::Type { operator, operand: lower_boxed(operand)?, target } })
}

fn lower_base(base: Option<&Expression>) -> Result<Option<Box<Operation>>, CompileError> {
    base.map(lower_boxed).transpose()
}

fn lower_call(
    offset: usize,
    base: Option<&Expression>,
    name: &str,
    arguments: &[Expression],
) -> Result<Operation, CompileError> {
    let function = functions::find(name)
        .ok_or_else(|| CompileError::UnknownFunction { offset, name: name.to_owned() })?;
    if !(function.minimum..=function.maximum).contains(&arguments.len()) {
        return Err(CompileError::ArgumentCount {
            offset,
            name: function.name,
            minimum: function.minimum,
            maximum: function.maximum,
            found: arguments.len(),
        });
    }
    let base = lower_base(base)?;
    let target = type_argument(function, arguments)?;
    let pattern = literal_pattern(function, arguments)?;
    let mut lowered = Vec::with_capacity(arguments.len());
    if target.is_none() {
        for argument in arguments {
            lowered.push(lower(argument)?);
        }
    }
    let call = CallOperation { base, function, arguments: lowered, target, pattern };
    Ok(Operation { offset, kind: OperationKind::Call(call) })
}

/// The type that the first argument names, for functions that take one.
fn type_argument(function: &Function, arguments: &[Expression]) -> Result<Option<TypeTarget>, CompileError> {
    let (Arguments::Type, Some(first)) = (function.arguments, arguments.first()) else { return Ok(None) };
    let found = first.as_type_name().and_then(|name| TypeTarget::find(&name));
    let unknown = || CompileError::UnknownType { offset: first.offset, name: first.to_string() };
    found.map(Some).ok_or_else(unknown)
}

/// The compiled pattern, where pattern and flags are literals.
fn literal_pattern(function: &Function, arguments: &[Expression]) -> Result<Option<Regex>, CompileError> {
    let text = |index: usize| match arguments.get(index).map(|argument| &argument.kind) {
        Some(ExpressionKind::Literal(Literal::String(text))) => Some(Some(&**text)),
        Some(_) => None,
        None => Some(None),
    };
    if function.arguments != Arguments::Pattern {
        return Ok(None);
    }
    let (Some(Some(pattern_text)), Some(flags)) = (text(0), text(function.pattern_flags)) else {
        return Ok(None);
    };
    let offset = arguments.first().map_or(0, |first| first.offset);
    match pattern(pattern_text, flags.unwrap_or(""), function.pattern_is_full) {
        Some(compiled) => Ok(Some(compiled)),
        None => Err(CompileError::BadPattern { offset }),
    }
}
