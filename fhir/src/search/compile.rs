//! Lowers the expressions of search parameters to walkers, with the types that the definitions give.

mod question;

use std::collections::BTreeSet;

use super::filter::{Filter, Literal};
use super::walker::{Emit, Walker};
use crate::definitions::{Definitions, Structure, StructureKind};
use crate::fhirpath::{
    BinaryOperator, Expression, ExpressionKind, Literal as FhirPathLiteral, TypeName, TypeOperator,
};

/// What an expression uses that a walker cannot do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unsupported(pub(super) String);

type Lowered<T> = Result<T, Unsupported>;

fn unsupported<T>(what: impl Into<String>) -> Lowered<T> {
    Err(Unsupported(what.into()))
}

/// A node of the growing walker, and the type of the values there.
#[derive(Clone, Copy)]
pub(super) struct Place {
    node: u32,
    structure: &'static Structure,
    fhir_type: &'static str,
    /// For an element of a primitive type: the node of its object and its JSON name, behind which `_name` stands.
    held_by: Option<(u32, &'static str)>,
    /// Whether at most one value comes here.
    is_single: bool,
    /// Whether every resource that is valid has a value here.
    is_mandatory: bool,
}

impl Place {
    pub(super) fn is_mandatory(&self) -> bool {
        self.is_mandatory
    }

    pub(super) fn is_primitive(&self) -> bool {
        self.structure.kind == StructureKind::Primitive
    }

    pub(super) fn fhir_type(&self) -> &'static str {
        self.fhir_type
    }
}

/// Grows a walker.
pub(super) struct Compiler<'w> {
    definitions: &'static Definitions,
    /// What `%resource` is.
    resource: &'static Structure,
    walker: &'w mut Walker,
    /// Whether an expression gives truth values that it computes.
    asks: bool,
}

impl<'w> Compiler<'w> {
    pub(super) fn new(
        definitions: &'static Definitions,
        resource: &'static Structure,
        walker: &'w mut Walker,
    ) -> Self {
        Self { definitions, resource, walker, asks: false }
    }

    /// The types of the values at these places and of those that are computed, sorted.
    pub(super) fn types_at(&self, places: &[Place]) -> Vec<&'static str> {
        let computed = self.asks.then_some("boolean");
        let types: BTreeSet<_> = places.iter().map(Place::fhir_type).chain(computed).collect();
        types.into_iter().collect()
    }

    /// The place where the walk of a resource begins.
    pub(super) fn start(&self) -> Place {
        self.start_at(self.resource, self.resource.name)
    }

    fn start_at(&self, structure: &'static Structure, fhir_type: &'static str) -> Place {
        Place {
            node: Walker::START,
            structure,
            fhir_type,
            held_by: None,
            is_single: true,
            is_mandatory: true,
        }
    }

    /// The places where a component of a composite begins that has its values at `places` of another walker.
    pub(super) fn component_starts(&self, places: &[Place]) -> Vec<Place> {
        places.iter().map(|place| self.start_at(place.structure, place.fhir_type)).collect()
    }

    /// Adds an expression: its values will go to `slot`. Gives the places of the values.
    pub(super) fn add(
        &mut self,
        expression: &Expression,
        starts: &[Place],
        slot: u32,
    ) -> Lowered<Vec<Place>> {
        if let ExpressionKind::Binary { operator: BinaryOperator::Union, left, right } = &expression.kind {
            let mut places = self.add(left, starts, slot)?;
            places.extend(self.add(right, starts, slot)?);
            return Ok(places);
        }
        if question::is_question(expression) {
            for start in starts {
                let test = self.question(expression, start)?;
                self.walker.emit(start.node, Emit::Test { slot, test });
            }
            self.asks = true;
            return Ok(Vec::new());
        }
        let places = self.lower(expression, starts)?;
        for place in &places {
            self.walker.emit(place.node, Emit::Value { slot, fhir_type: place.fhir_type });
        }
        Ok(places)
    }

    /// Gives the places that a path leads to.
    fn lower(&mut self, expression: &Expression, context: &[Place]) -> Lowered<Vec<Place>> {
        match &expression.kind {
            ExpressionKind::Empty => Ok(Vec::new()),
            ExpressionKind::This => Ok(context.to_vec()),
            ExpressionKind::Variable(name) if matches!(&**name, "resource" | "rootResource") => {
                let start = self.start();
                Ok(vec![Place { node: Walker::RESOURCE, ..start }])
            }
            ExpressionKind::Member { base, name } => match base {
                Some(base) => {
                    let places = self.lower(base, context)?;
                    self.step(&places, name, None)
                }
                None if self.names_type(name) => Ok(self.of_type_name(context, name)),
                None => self.step(context, name, None),
            },
            ExpressionKind::Item { base, index } => match &index.kind {
                ExpressionKind::Literal(FhirPathLiteral::Integer(index)) => self.item(base, *index, context),
                _ => unsupported("a computed index"),
            },
            ExpressionKind::Call { base, function, arguments } => {
                let places = match base {
                    Some(base) if &**function != "first" => self.lower(base, context)?,
                    _ => context.to_vec(),
                };
                match (&**function, arguments.as_slice(), base) {
                    ("where", [criteria], _) => self.filtered(&places, criteria),
                    ("extension", [url], _) => self.extension(&places, url),
                    ("first", [], Some(base)) => self.item(base, 0, context),
                    ("as" | "ofType", [type_name], _) => match type_name.as_type_name() {
                        Some(type_name) => self.cast(&places, &type_name),
                        None => unsupported("a computed type"),
                    },
                    _ => unsupported(format!("{function}()")),
                }
            }
            ExpressionKind::Binary { operator: BinaryOperator::Union, left, right } => {
                let mut places = self.lower(left, context)?;
                places.extend(self.lower(right, context)?);
                Ok(places)
            }
            ExpressionKind::Type { operator: TypeOperator::As, operand, type_name } => {
                let places = self.lower(operand, context)?;
                self.cast(&places, type_name)
            }
            ExpressionKind::Binary { operator, .. } => unsupported(operator.symbol()),
            _ => unsupported("an operator"),
        }
    }

    /// Whether a name at the start of a path is that of a type (FHIRPath 2.0.0 section 3.2, "type specifier").
    fn names_type(&self, name: &str) -> bool {
        name.starts_with(|first: char| first.is_ascii_uppercase())
            && self.definitions.structure(name).is_some()
    }

    fn of_type_name(&self, context: &[Place], name: &str) -> Vec<Place> {
        context.iter().filter(|place| self.definitions.is_a(place.fhir_type, name)).copied().collect()
    }

    /// Goes to the elements of that name; to nothing where the type has none.
    fn step(&mut self, places: &[Place], name: &str, item: Option<u32>) -> Lowered<Vec<Place>> {
        let mut next = Vec::new();
        for place in places {
            let holder = if place.structure.kind == StructureKind::Primitive {
                self.companion(place)?
            } else {
                place.node
            };
            let Some(element) = place.structure.element_by_path_name(name) else { continue };
            for element_type in &element.types {
                let structure = self.definitions.structure_of(element_type);
                let is_backbone = structure.kind == StructureKind::Backbone;
                next.push(Place {
                    node: self.walker.edge(holder, element_type.json_name, item),
                    structure,
                    fhir_type: if is_backbone { structure.name } else { element_type.code },
                    held_by: element_type.is_primitive.then_some((holder, element_type.json_name)),
                    is_single: place.is_single && (item.is_some() || !element.is_array()),
                    is_mandatory: place.is_mandatory && element.min > 0 && element.types.len() == 1,
                });
            }
        }
        Ok(next)
    }

    /// The node of the `_name` member that holds id and extensions of a primitive value (R4 json.html#primitive).
    fn companion(&mut self, place: &Place) -> Lowered<u32> {
        match place.held_by {
            Some((holder, name)) => Ok(self.walker.edge(holder, &format!("_{name}"), None)),
            None => unsupported("an element of a filtered primitive value"),
        }
    }

    /// One item of what an element gives; only where the position in the whole collection is that in its array.
    fn item(&mut self, base: &Expression, index: i32, context: &[Place]) -> Lowered<Vec<Place>> {
        let Ok(index) = u32::try_from(index) else { return unsupported("a negative index") };
        let ExpressionKind::Member { base, name } = &base.kind else {
            return unsupported("an item of something computed");
        };
        let places = match base {
            Some(base) => self.lower(base, context)?,
            None => context.to_vec(),
        };
        match places.as_slice() {
            [] => Ok(Vec::new()),
            [place] if place.is_single => self.step(&places, name, Some(index)),
            _ => unsupported("an item of a nested collection"),
        }
    }

    fn filtered(&mut self, places: &[Place], criteria: &Expression) -> Lowered<Vec<Place>> {
        let mut next = Vec::new();
        for place in places {
            let filter = self.question(criteria, place)?;
            let node = self.walker.filter(place.node, filter);
            // A filter on a primitive value says nothing about its companion.
            next.push(Place { node, held_by: None, is_mandatory: false, ..*place });
        }
        Ok(next)
    }

    /// `extension(url)` is `extension.where(url = …)` (R4 fhirpath.html#functions).
    fn extension(&mut self, places: &[Place], url: &Expression) -> Lowered<Vec<Place>> {
        let ExpressionKind::Literal(FhirPathLiteral::String(url)) = &url.kind else {
            return unsupported("a computed extension url");
        };
        let mut next = self.step(places, "extension", None)?;
        for place in &mut next {
            let mut path = Walker::new();
            let node = path.edge(Walker::START, "url", None);
            path.emit(node, Emit::Value { slot: 0, fhir_type: "uri" });
            place.node = self.walker.filter(place.node, Filter::Equals(path, Literal::String(url.clone())));
        }
        Ok(next)
    }

    /// Keeps the places of a type or of one that specialises it (FHIRPath 2.0.0 sections 5.2.4 and 6.3).
    fn cast(&mut self, places: &[Place], type_name: &TypeName) -> Lowered<Vec<Place>> {
        if type_name.namespace.as_deref().is_some_and(|namespace| namespace != "FHIR") {
            return unsupported("a type of the System namespace");
        }
        // R4 misspells the type in Observation-code-value-date.
        let name = if &*type_name.name == "DateTime" { "dateTime" } else { &*type_name.name };
        let Some(wanted) = self.definitions.structure(name) else {
            return unsupported("a type that R4 does not have");
        };
        let mut next = Vec::new();
        for place in places {
            // A primitive is of its own type only: `source as uri` leaves out a canonical, for which R4 has another
            // parameter, as `gender.as(string)` leaves out a code.
            let is_wanted = match place.structure.kind {
                StructureKind::Primitive => place.fhir_type == wanted.name,
                _ => self.definitions.is_a(place.fhir_type, wanted.name),
            };
            if is_wanted {
                next.push(*place);
            } else if place.structure.is_abstract && self.definitions.is_a(wanted.name, place.structure.name)
            {
                let node = self.walker.filter(place.node, Filter::IsResource(wanted.name));
                let is_mandatory = false;
                next.push(Place { node, structure: wanted, fhir_type: wanted.name, is_mandatory, ..*place });
            }
        }
        Ok(next)
    }
}
