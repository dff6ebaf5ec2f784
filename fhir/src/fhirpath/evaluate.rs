//! The evaluator: walks the operations with bounded steps, sizes and depth.

use std::cell::Cell;

use super::arithmetic;
use super::ast::{BinaryOperator, Literal, TypeOperator};
use super::collection::Collection;
use super::compare::{Comparison, compare, operand};
use super::context::{Context, resource_node};
use super::equality;
use super::error::{EvalError, EvalErrorKind};
use super::functions::Call;
use super::item::{Item, Quantity, Unit};
use super::navigate;
use super::program::{CallOperation, Operation, OperationKind, truth};
use super::types::{TypeTarget, specialises};
use crate::definitions::Structure;
use std::borrow::Cow;
use std::cmp::Ordering;

/// The result of an operation.
pub(super) type Outcome<'a> = Result<Collection<'a>, EvalError>;

/// One evaluation: its surroundings and how many steps it has made.
pub(super) struct Machine<'c, 'a> {
    pub(super) context: &'c Context<'a>,
    pub(super) input: &'c Collection<'a>,
    steps: Cell<u64>,
}

/// What `$this`, `$index` and `$total` mean at a place.
#[derive(Clone, Copy)]
pub(super) struct Scope<'c, 'a> {
    pub(super) this: &'c Collection<'a>,
    pub(super) index: Option<usize>,
    pub(super) total: Option<&'c Collection<'a>>,
}

impl<'c, 'a> Machine<'c, 'a> {
    pub(super) fn new(context: &'c Context<'a>, input: &'c Collection<'a>) -> Self {
        Self { context, input, steps: Cell::new(0) }
    }

    pub(super) fn run(&self, operation: &'a Operation) -> Outcome<'a> {
        self.evaluate(operation, &Scope { this: self.input, index: None, total: None })
    }

    /// How many steps were made.
    pub(super) fn steps_made(&self) -> u64 {
        self.steps.get()
    }

    /// Counts steps; the bound holds for the evaluation as a whole.
    pub(super) fn step(&self, count: usize) -> Result<(), EvalErrorKind> {
        let steps = self.steps.get().saturating_add(count as u64);
        self.steps.set(steps);
        if steps > self.context.limits.steps_max { Err(EvalErrorKind::TooManySteps) } else { Ok(()) }
    }

    /// Checks the size of a collection that grows.
    pub(super) fn bounded(&self, length: usize) -> Result<(), EvalErrorKind> {
        if length > self.context.limits.items_max { Err(EvalErrorKind::TooLarge) } else { Ok(()) }
    }

    /// Checks the size of a text before it is made.
    pub(super) fn bounded_text(&self, bytes: usize) -> Result<(), EvalErrorKind> {
        if bytes > self.context.limits.text_bytes_max { Err(EvalErrorKind::TooLarge) } else { Ok(()) }
    }

    /// Evaluates an operation. Each kind has a function of its own: this one recurs, and its frame must stay small.
    pub(super) fn evaluate(&self, operation: &'a Operation, scope: &Scope<'_, 'a>) -> Outcome<'a> {
        let offset = operation.offset;
        self.step(1).map_err(|kind| EvalError { offset, kind })?;
        match &operation.kind {
            OperationKind::Empty => Ok(Collection::empty()),
            OperationKind::Literal(value) => Ok(literal(value).into()),
            OperationKind::This => Ok(scope.this.clone()),
            OperationKind::Index => Ok(index(scope)),
            OperationKind::Total => Ok(scope.total.cloned().unwrap_or_default()),
            OperationKind::Variable(name) => self.variable(name).map_err(|kind| EvalError { offset, kind }),
            OperationKind::Member { base, name, root } => {
                self.path(base.as_deref(), name, *root, scope, offset)
            }
            OperationKind::Call(call) => self.call(call, scope, offset),
            OperationKind::Item { base, index } => self.item(base, index, scope, offset),
            OperationKind::Sign { negative, operand } => self.sign(*negative, operand, scope, offset),
            OperationKind::Binary { operator, left, right } => {
                self.binary(*operator, left, right, scope, offset)
            }
            OperationKind::Type { operator, operand, target } => {
                let input = self.evaluate(operand, scope)?;
                self.type_operator(*operator, input, *target).map_err(|kind| EvalError { offset, kind })
            }
        }
    }

    fn path(
        &self,
        base: Option<&'a Operation>,
        name: &str,
        root: Option<&Structure>,
        scope: &Scope<'_, 'a>,
        offset: usize,
    ) -> Outcome<'a> {
        let found = match base {
            Some(base) => self.member(&self.evaluate(base, scope)?, name),
            None => match root.and_then(|root| root_of(scope.this, root)) {
                Some(found) => Ok(found),
                None => self.member(scope.this, name),
            },
        };
        found.map_err(|kind| EvalError { offset, kind })
    }

    fn call(&self, call: &'a CallOperation, scope: &Scope<'_, 'a>, offset: usize) -> Outcome<'a> {
        let input = match &call.base {
            Some(base) => self.evaluate(base, scope)?,
            None => scope.this.clone(),
        };
        (call.function.body)(&Call { machine: self, scope, operation: call, offset }, input)
    }

    fn item(
        &self,
        base: &'a Operation,
        index: &'a Operation,
        scope: &Scope<'_, 'a>,
        offset: usize,
    ) -> Outcome<'a> {
        let items = self.evaluate(base, scope)?;
        let index = self.evaluate(index, scope)?;
        item_at(&items, &index).map_err(|kind| EvalError { offset, kind })
    }

    fn sign(
        &self,
        negative: bool,
        operand: &'a Operation,
        scope: &Scope<'_, 'a>,
        offset: usize,
    ) -> Outcome<'a> {
        let input = self.evaluate(operand, scope)?;
        arithmetic::sign(negative, input).map_err(|kind| EvalError { offset, kind })
    }

    fn member(&self, input: &Collection<'a>, name: &str) -> Result<Collection<'a>, EvalErrorKind> {
        let mut found = Collection::empty();
        for item in input {
            navigate::member(item, name, &mut found);
            self.bounded(found.len())?;
        }
        self.step(found.len())?;
        Ok(found)
    }

    /// `is` and `as`, operators and functions alike.
    pub(super) fn type_operator(
        &self,
        operator: TypeOperator,
        input: Collection<'a>,
        target: TypeTarget,
    ) -> Result<Collection<'a>, EvalErrorKind> {
        if operator == TypeOperator::As && self.context.as_filters {
            return Ok(input.into_iter().filter(|item| target.selects(item)).collect());
        }
        let Some(item) = single(&input)? else { return Ok(Collection::empty()) };
        match operator {
            TypeOperator::Is => Ok(Collection::boolean(target.contains(item))),
            TypeOperator::As if target.selects(item) => Ok(input),
            TypeOperator::As => Ok(Collection::empty()),
        }
    }

    fn variable(&self, name: &'a str) -> Result<Collection<'a>, EvalErrorKind> {
        if let Some((_, value)) = self.context.variables.iter().rev().find(|(known, _)| *known == name) {
            return Ok(value.clone());
        }
        let text = |text: &'static str| Ok(Collection::single(Item::text(text)));
        match name {
            "context" => Ok(self.input.clone()),
            "resource" => Ok(self.resource(self.context.resource)),
            "rootResource" => Ok(self.resource(self.context.root_resource.or(self.context.resource))),
            "ucum" => text(super::quantity::UCUM),
            "sct" => text("http://snomed.info/sct"),
            "loinc" => text("http://loinc.org"),
            _ => match (name.strip_prefix("vs-"), name.strip_prefix("ext-")) {
                (Some(set), _) => Ok(Item::text(format!("http://hl7.org/fhir/ValueSet/{set}")).into()),
                (_, Some(extension)) => {
                    Ok(Item::text(format!("http://hl7.org/fhir/StructureDefinition/{extension}")).into())
                }
                _ => Err(EvalErrorKind::UnknownVariable { name: name.to_owned() }),
            },
        }
    }

    pub(super) fn resource(&self, resource: Option<crate::json::Value<'a>>) -> Collection<'a> {
        resource.map_or_else(|| self.input.clone(), |value| Item::Node(resource_node(value)).into())
    }

    fn binary(
        &self,
        operator: BinaryOperator,
        left: &'a Operation,
        right: &'a Operation,
        scope: &Scope<'_, 'a>,
        offset: usize,
    ) -> Outcome<'a> {
        use BinaryOperator as B;
        let left = self.evaluate(left, scope)?;
        if matches!(operator, B::And | B::Or | B::Xor | B::Implies) {
            return self.logic(operator, &left, right, scope, offset);
        }
        let right = self.evaluate(right, scope)?;
        self.combine(operator, left, right).map_err(|kind| EvalError { offset, kind })
    }

    /// All operators but those of logic.
    fn combine(
        &self,
        operator: BinaryOperator,
        left: Collection<'a>,
        right: Collection<'a>,
    ) -> Result<Collection<'a>, EvalErrorKind> {
        use BinaryOperator as B;
        let not = |truth: Option<bool>| Collection::boolean(truth.map(|truth| !truth));
        match operator {
            B::Equal => equality::equal(self, &left, &right).map(Collection::boolean),
            B::NotEqual => equality::equal(self, &left, &right).map(not),
            B::Equivalent => equality::equivalent(self, &left, &right).map(Collection::boolean),
            B::NotEquivalent => equality::equivalent(self, &left, &right).map(|same| not(Some(same))),
            B::Less | B::LessOrEqual | B::Greater | B::GreaterOrEqual => ordering(operator, &left, &right),
            B::Union => equality::union(self, left, right),
            B::In => contains(self, &right, &left),
            B::Contains => contains(self, &left, &right),
            _ => arithmetic::binary(self, operator, &left, &right),
        }
    }

    /// Three-valued logic; the right side is left out where the left one decides.
    fn logic(
        &self,
        operator: BinaryOperator,
        left: &Collection<'a>,
        right: &'a Operation,
        scope: &Scope<'_, 'a>,
        offset: usize,
    ) -> Outcome<'a> {
        let at = |kind| EvalError { offset, kind };
        let left = truth(left).map_err(at)?;
        match (operator, left) {
            (BinaryOperator::And, Some(false)) => return Ok(Collection::boolean(false)),
            (BinaryOperator::Or, Some(true)) | (BinaryOperator::Implies, Some(false)) => {
                return Ok(Collection::boolean(true));
            }
            _ => {}
        }
        let right = truth(&self.evaluate(right, scope)?).map_err(at)?;
        Ok(Collection::boolean(match (operator, left, right) {
            (BinaryOperator::And, _, Some(false)) => Some(false),
            (BinaryOperator::And, Some(true), right) => right,
            (BinaryOperator::Or | BinaryOperator::Implies, _, Some(true)) => Some(true),
            (BinaryOperator::Or, Some(false), right) | (BinaryOperator::Implies, Some(true), right) => right,
            (BinaryOperator::Xor, Some(left), Some(right)) => Some(left != right),
            _ => None,
        }))
    }
}

/// The input itself, where its items are of the type that a path starts with: `Patient.name`, `Resource.id`.
fn root_of<'a>(this: &Collection<'a>, root: &Structure) -> Option<Collection<'a>> {
    let is_root = |item: &Item<'_>| item.structure().is_some_and(|structure| specialises(structure, root));
    (!this.is_empty() && this.iter().all(is_root)).then(|| this.clone())
}

fn index<'a>(scope: &Scope<'_, 'a>) -> Collection<'a> {
    scope.index.and_then(|index| i32::try_from(index).ok()).map(Item::Integer).into()
}

fn literal(value: &Literal) -> Item<'_> {
    match value {
        Literal::Boolean(truth) => Item::Boolean(*truth),
        Literal::String(text) => Item::text(&**text),
        Literal::Integer(number) => Item::Integer(*number),
        Literal::Decimal(number) => Item::Decimal(*number),
        Literal::Date(date) => Item::Date(*date),
        Literal::DateTime(date_time) => Item::DateTime(*date_time),
        Literal::Time(time) => Item::Time(*time),
        Literal::Quantity(value, unit) => {
            Item::Quantity(Quantity::new(*value, Unit::Ucum(Cow::Borrowed(unit))))
        }
        Literal::Duration(value, unit) => Item::Quantity(Quantity::new(*value, Unit::Calendar(*unit))),
    }
}

fn item_at<'a>(items: &Collection<'a>, index: &Collection<'a>) -> Result<Collection<'a>, EvalErrorKind> {
    let index = match single(index)?.map(Item::to_system) {
        None => return Ok(Collection::empty()),
        Some(Item::Integer(index)) => index,
        Some(_) => return Err(EvalErrorKind::WrongType { expected: "Integer" }),
    };
    Ok(usize::try_from(index).ok().and_then(|index| items.get(index)).cloned().into())
}

/// The only item, or nothing.
pub(super) fn single<'c, 'a>(collection: &'c Collection<'a>) -> Result<Option<&'c Item<'a>>, EvalErrorKind> {
    if collection.len() > 1 { Err(EvalErrorKind::NotSingle) } else { Ok(collection.first()) }
}

fn ordering<'a>(
    operator: BinaryOperator,
    left: &Collection<'a>,
    right: &Collection<'a>,
) -> Result<Collection<'a>, EvalErrorKind> {
    let (Some(left), Some(right)) = (single(left)?, single(right)?) else { return Ok(Collection::empty()) };
    let (left, right) = (operand(left), operand(right));
    let order = match compare(&left, &right) {
        Comparison::Known(_) if matches!(left, Item::Boolean(_)) => return Err(EvalErrorKind::Operands),
        Comparison::Known(order) => order,
        Comparison::Unknown | Comparison::Imprecise => return Ok(Collection::empty()),
        Comparison::Mismatch => return Err(EvalErrorKind::Operands),
    };
    Ok(Collection::boolean(match operator {
        BinaryOperator::Less => order == Ordering::Less,
        BinaryOperator::LessOrEqual => order != Ordering::Greater,
        BinaryOperator::Greater => order == Ordering::Greater,
        _ => order != Ordering::Less,
    }))
}

fn contains<'a>(
    machine: &Machine<'_, 'a>,
    items: &Collection<'a>,
    wanted: &Collection<'a>,
) -> Result<Collection<'a>, EvalErrorKind> {
    let Some(wanted) = single(wanted)? else { return Ok(Collection::empty()) };
    Ok(Collection::boolean(equality::has(machine, items, wanted)?))
}
