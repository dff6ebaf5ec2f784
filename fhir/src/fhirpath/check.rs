//! The check at compile time: members must exist where the type at their place is known.
//!
//! It only refuses what no resource could answer. Where a type is not known (variables, resolved references,
//! children, resources inside resources) nothing is checked.

use super::ast::BinaryOperator;
use super::error::CompileError;
use super::functions::Shape;
use super::program::{CallOperation, Operation, OperationKind};
use super::types::{TypeTarget, specialises};
use crate::definitions::{Structure, r4};

/// What is known of a collection.
#[derive(Debug, Clone)]
struct Known {
    /// The FHIR types that its items can have; `None` where any are possible.
    types: Option<Vec<&'static Structure>>,
    /// Whether its order has a meaning.
    ordered: bool,
}

const ANYTHING: Known = Known { types: None, ordered: true };

impl Known {
    fn of(structure: &'static Structure) -> Self {
        Self { types: Some(vec![structure]), ordered: true }
    }

    fn or(self, other: Self) -> Self {
        let types = self.types.zip(other.types).map(|(mut types, more)| {
            for structure in more {
                if !types.iter().any(|known| known.id == structure.id) {
                    types.push(structure);
                }
            }
            types
        });
        Self { types, ordered: self.ordered && other.ordered }
    }
}

type Checked = Result<Known, CompileError>;

/// Checks a whole expression for a root type.
pub(super) fn check(
    operation: &Operation,
    root: &'static Structure,
    strict: bool,
) -> Result<(), CompileError> {
    Checker { strict }.check(operation, &Known::of(root)).map(drop)
}

struct Checker {
    strict: bool,
}

impl Checker {
    fn check(&self, operation: &Operation, this: &Known) -> Checked {
        match &operation.kind {
            OperationKind::Empty
            | OperationKind::Literal(_)
            | OperationKind::Index
            | OperationKind::Total
            | OperationKind::Variable(_) => Ok(ANYTHING),
            OperationKind::This => Ok(this.clone()),
            OperationKind::Member { base, name, root } => {
                let input = match base {
                    Some(base) => self.check(base, this)?,
                    None => this.clone(),
                };
                if let (Some(root), Some(types)) = (root, &input.types)
                    && types.iter().any(|found| specialises(found, root) || specialises(root, found))
                {
                    return Ok(input);
                }
                member(operation.offset, &input, name)
            }
            OperationKind::Call(call) => self.call(operation.offset, call, this),
            OperationKind::Item { base, index } => {
                let input = self.check(base, this)?;
                self.check(index, this)?;
                self.needs_order(operation.offset, "[]", &input)?;
                Ok(input)
            }
            OperationKind::Sign { operand, .. } => self.check(operand, this).map(|_| ANYTHING),
            OperationKind::Binary { operator, left, right } => {
                let (left, right) = (self.check(left, this)?, self.check(right, this)?);
                Ok(if *operator == BinaryOperator::Union { left.or(right) } else { ANYTHING })
            }
            OperationKind::Type { operator, operand, target } => {
                self.check(operand, this)?;
                Ok(if *operator == super::ast::TypeOperator::As { named(*target) } else { ANYTHING })
            }
        }
    }

    fn needs_order(&self, offset: usize, name: &str, input: &Known) -> Result<(), CompileError> {
        if self.strict && !input.ordered {
            return Err(CompileError::Unordered { offset, name: name.to_owned() });
        }
        Ok(())
    }

    fn call(&self, offset: usize, call: &CallOperation, this: &Known) -> Checked {
        let input = match &call.base {
            Some(base) => self.check(base, this)?,
            None => this.clone(),
        };
        // `$this` in an argument is each item for the functions that iterate, else what it is outside.
        let argument_scope = match call.function.shape {
            Shape::Filter | Shape::Criterion | Shape::Projection => &input,
            Shape::Branches if call.base.is_some() => &input,
            Shape::Unknown => &ANYTHING,
            _ => this,
        };
        let mut arguments = Vec::new();
        for argument in &call.arguments {
            arguments.push(self.check(argument, argument_scope)?);
        }
        let mut arguments = arguments.into_iter();
        match call.function.shape {
            Shape::Input | Shape::Filter => Ok(input),
            Shape::Ordered => {
                self.needs_order(offset, call.function.name, &input)?;
                Ok(input)
            }
            Shape::Projection => Ok(arguments.next().unwrap_or(ANYTHING)),
            Shape::Union => Ok(arguments.next().map_or(ANYTHING, |other| input.or(other))),
            Shape::Branches => Ok(arguments.skip(1).reduce(Known::or).unwrap_or(ANYTHING)),
            Shape::Named => Ok(call.target.map_or(ANYTHING, named)),
            Shape::Extensions => Ok(r4().structure("Extension").map_or(ANYTHING, Known::of)),
            Shape::Unordered => Ok(Known { types: None, ordered: false }),
            Shape::System | Shape::Criterion | Shape::Unknown => Ok(ANYTHING),
        }
    }
}

fn named(target: TypeTarget) -> Known {
    target.fhir.map_or(ANYTHING, Known::of)
}

fn member(offset: usize, input: &Known, name: &str) -> Checked {
    let ordered = input.ordered;
    let Some(types) = &input.types else { return Ok(Known { types: None, ordered }) };
    let mut found: Vec<&'static Structure> = Vec::new();
    let mut exists = false;
    for structure in types {
        if structure.is_abstract {
            return Ok(Known { types: None, ordered });
        }
        let Some(element) = structure.element_by_path_name(name) else { continue };
        exists = true;
        for element_type in &element.types {
            let structure = r4().structure_of(element_type);
            if !found.iter().any(|known| known.id == structure.id) {
                found.push(structure);
            }
        }
    }
    match types.first() {
        Some(first) if !exists => Err(CompileError::UnknownMember {
            offset,
            name: name.to_owned(),
            type_name: first.name.to_owned(),
        }),
        _ => Ok(Known { types: Some(found), ordered }),
    }
}
