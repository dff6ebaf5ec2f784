//! Lowers what is true or false: the criteria of `where(…)`, and expressions that ask as a whole.

use super::{Compiler, Lowered, Place, unsupported};
use crate::fhirpath::{BinaryOperator, Expression, ExpressionKind, Literal as FhirPathLiteral, TypeOperator};
use crate::search::filter::{Filter, Literal};
use crate::search::walker::{Emit, Walker};

/// Whether the expression gives a truth value that it computes.
pub(super) fn is_question(expression: &Expression) -> bool {
    match &expression.kind {
        ExpressionKind::Binary { operator, .. } => !matches!(
            operator,
            BinaryOperator::Union
                | BinaryOperator::Add
                | BinaryOperator::Subtract
                | BinaryOperator::Multiply
                | BinaryOperator::Divide
                | BinaryOperator::IntegerDivide
                | BinaryOperator::Modulo
                | BinaryOperator::Concatenate
        ),
        ExpressionKind::Type { operator, .. } => *operator == TypeOperator::Is,
        ExpressionKind::Call { function, .. } => {
            matches!(&**function, "exists" | "empty" | "not" | "hasExtension" | "is")
        }
        _ => false,
    }
}

impl Compiler<'_> {
    /// Lowers a question about the values at `place`.
    pub(super) fn question(&mut self, expression: &Expression, place: &Place) -> Lowered<Filter> {
        match &expression.kind {
            ExpressionKind::Binary { operator, left, right } => {
                self.binary_question(*operator, left, right, place)
            }
            ExpressionKind::Type { operator: TypeOperator::Is, operand, type_name } => {
                self.type_question(operand, &type_name.name)
            }
            ExpressionKind::Call { base, function, arguments } => {
                match (&**function, arguments.as_slice(), base.as_deref()) {
                    ("exists", [], Some(base)) => Ok(Filter::Exists(self.path(base, place)?)),
                    ("exists", [criteria], Some(base)) => {
                        Ok(Filter::Exists(self.path_where(base, criteria, place)?))
                    }
                    ("empty", [], Some(base)) => Ok(Filter::Empty(self.path(base, place)?)),
                    ("not", [], Some(base)) => Ok(Filter::Not(Box::new(self.question(base, place)?))),
                    ("hasExtension", [url], base) => self.has_extension(base, url, place),
                    ("is", [type_name], Some(base)) => match type_name.as_type_name() {
                        Some(type_name) => self.type_question(base, &type_name.name),
                        None => unsupported("a computed type"),
                    },
                    _ => Ok(Filter::Truth(self.path(expression, place)?)),
                }
            }
            _ => Ok(Filter::Truth(self.path(expression, place)?)),
        }
    }

    fn binary_question(
        &mut self,
        operator: BinaryOperator,
        left: &Expression,
        right: &Expression,
        place: &Place,
    ) -> Lowered<Filter> {
        match operator {
            BinaryOperator::And => {
                Ok(Filter::And(Box::new((self.question(left, place)?, self.question(right, place)?))))
            }
            BinaryOperator::Or => {
                Ok(Filter::Or(Box::new((self.question(left, place)?, self.question(right, place)?))))
            }
            BinaryOperator::Equal | BinaryOperator::NotEqual => {
                let (path, literal) = match (&left.kind, &right.kind) {
                    (_, ExpressionKind::Literal(literal)) => (left, literal),
                    (ExpressionKind::Literal(literal), _) => (right, literal),
                    _ => return unsupported("a comparison of two paths"),
                };
                let literal = match literal {
                    FhirPathLiteral::String(text) => Literal::String(text.clone()),
                    FhirPathLiteral::Boolean(truth) => Literal::Boolean(*truth),
                    _ => return unsupported("a comparison with a number or date"),
                };
                let equals = Filter::Equals(self.path(path, place)?, literal);
                Ok(if operator == BinaryOperator::Equal { equals } else { Filter::Not(Box::new(equals)) })
            }
            other => unsupported(other.symbol()),
        }
    }

    /// `resolve() is Patient`. Other values have their type already when the expression is compiled, and R4 asks
    /// for it by casts only.
    fn type_question(&self, operand: &Expression, name: &str) -> Lowered<Filter> {
        let is_resolved = match &operand.kind {
            ExpressionKind::Call { base, function, arguments } => {
                let is_this = base.as_ref().is_none_or(|base| base.kind == ExpressionKind::This);
                is_this && &**function == "resolve" && arguments.is_empty()
            }
            _ => false,
        };
        match self.definitions.resource(name) {
            Some(resource) if is_resolved => Ok(Filter::ResolvesTo(resource.name)),
            Some(_) => unsupported("is on something else than resolve()"),
            None => unsupported("is with something else than a resource type"),
        }
    }

    fn has_extension(
        &mut self,
        base: Option<&Expression>,
        url: &Expression,
        place: &Place,
    ) -> Lowered<Filter> {
        let mut walker = Walker::new();
        let mut inner = Compiler::new(self.definitions, self.resource, &mut walker);
        let start = inner.component_starts(&[*place]);
        let places = match base {
            Some(base) => inner.lower(base, &start)?,
            None => start,
        };
        let found = inner.extension(&places, url)?;
        inner.want(&found);
        Ok(Filter::Exists(walker))
    }

    /// A walker of its own for a path that begins at `place`.
    fn path(&mut self, expression: &Expression, place: &Place) -> Lowered<Walker> {
        let mut walker = Walker::new();
        let mut inner = Compiler::new(self.definitions, self.resource, &mut walker);
        let start = inner.component_starts(&[*place]);
        let found = inner.lower(expression, &start)?;
        inner.want(&found);
        Ok(walker)
    }

    fn path_where(&mut self, base: &Expression, criteria: &Expression, place: &Place) -> Lowered<Walker> {
        let mut walker = Walker::new();
        let mut inner = Compiler::new(self.definitions, self.resource, &mut walker);
        let start = inner.component_starts(&[*place]);
        let places = inner.lower(base, &start)?;
        let found = inner.filtered(&places, criteria)?;
        inner.want(&found);
        Ok(walker)
    }

    fn want(&mut self, places: &[Place]) {
        for place in places {
            self.walker.emit(place.node, Emit::Value { slot: 0, fhir_type: place.fhir_type });
        }
    }
}
