//! Unpacks the stored table into [`Definitions`], resolving every index and checking that it is in range.

use std::borrow::Cow;
use std::collections::HashMap;

use super::lookup::{Lookup, Slot};
use super::table::{self, Table, Text};
use super::{
    Binding, BindingStrength, Compartment, Constraint, Definitions, Element, ElementType, Grammar, Members,
    Operation, PrimitiveKind, SearchComponent, SearchParameter, SearchParameterKind, Structure, StructureId,
    StructureKind, SystemCodes, ValueSet,
};

/// The unpacked table is about 1 MB; more is refused.
const UNPACKED_BYTES_MAX: u64 = 32 << 20;
const SEARCH_PARAMETER_BASE: &str = "http://hl7.org/fhir/SearchParameter/";

/// Why a table could not be loaded.
#[derive(Debug, thiserror::Error)]
pub(super) enum LoadError {
    #[error("cannot unpack: {0}")]
    Unpack(#[from] std::io::Error),
    #[error("cannot read: {0}")]
    Read(#[from] serde_json::Error),
    #[error("layout {0} is not the one that this program reads")]
    Layout(u32),
    #[error("{0} leads nowhere")]
    Dangling(String),
}

/// Loads a table. What it holds lives as long as the process: the strings borrow from the unpacked text.
pub(super) fn load(packed: &[u8]) -> Result<Definitions, LoadError> {
    let mut text = String::new();
    let decoder = zstd::Decoder::new(packed)?;
    std::io::Read::read_to_string(&mut std::io::Read::take(decoder, UNPACKED_BYTES_MAX), &mut text)?;
    let text: &'static str = Box::leak(text.into_boxed_str());
    let table: Table<'static> = serde_json::from_str(text)?;
    if table.layout != table::LAYOUT {
        return Err(LoadError::Layout(table.layout));
    }
    let constraints: &'static [Constraint] =
        table.constraints.into_iter().map(constraint).collect::<Vec<_>>().leak();
    let value_sets: &'static [ValueSet] =
        table.value_sets.into_iter().map(value_set).collect::<Vec<_>>().leak();
    let by_name: HashMap<&'static str, StructureId> = (0u16..)
        .zip(&table.structures)
        .map(|(index, row)| (leak(row.n.clone()), StructureId(index)))
        .collect();
    let builder = Builder { constraints, value_sets, by_name: &by_name };
    let structures = (0u16..)
        .zip(table.structures)
        .map(|(index, row)| builder.structure(StructureId(index), row))
        .collect::<Result<Vec<_>, _>>()?;
    let mut resource_types: Vec<&'static str> = structures
        .iter()
        .filter(|structure| structure.is_resource() && !structure.is_abstract)
        .map(|structure| structure.name)
        .collect();
    resource_types.sort_unstable();
    let search_parameters: &'static [SearchParameter] =
        table.search_parameters.into_iter().map(search_parameter).collect::<Result<Vec<_>, _>>()?.leak();
    let search_by_type = search_by_type(&structures, search_parameters);
    Ok(Definitions {
        fhir_version: leak(table.fhir_version),
        structures,
        by_name,
        resource_types,
        value_sets,
        search_parameters,
        search_by_type,
        compartments: table.compartments.into_iter().map(compartment).collect(),
        operations: table.operations.into_iter().map(operation).collect(),
    })
}

/// Takes a string for the life of the process; only those with escapes need memory of their own.
fn leak(text: Text<'static>) -> &'static str {
    match text.0 {
        Cow::Borrowed(text) => text,
        Cow::Owned(text) => Box::leak(text.into_boxed_str()),
    }
}

fn leak_all(texts: Vec<Text<'static>>) -> Vec<&'static str> {
    texts.into_iter().map(leak).collect()
}

fn constraint(row: table::ConstraintRow<'static>) -> Constraint {
    Constraint { key: leak(row.k), is_warning: row.w, human: leak(row.h), expression: leak(row.e) }
}

fn value_set(row: table::ValueSetRow<'static>) -> ValueSet {
    let url = leak(row.u);
    let members = match url {
        "http://hl7.org/fhir/ValueSet/all-languages" => Members::Grammar(Grammar::Language),
        "http://hl7.org/fhir/ValueSet/mimetypes" => Members::Grammar(Grammar::MimeType),
        "http://hl7.org/fhir/ValueSet/currencies" => Members::Grammar(Grammar::Currency),
        "http://hl7.org/fhir/ValueSet/ucum-units" => Members::Grammar(Grammar::Unit),
        _ if row.s.is_empty() => Members::Unknown,
        _ => Members::Listed(
            row.s
                .into_iter()
                .map(|row| {
                    let mut codes = leak_all(row.c);
                    codes.sort_unstable();
                    SystemCodes { system: leak(row.u), codes }
                })
                .collect(),
        ),
    };
    ValueSet { url, members }
}

/// What the rows of structures point at.
struct Builder<'b> {
    constraints: &'static [Constraint],
    value_sets: &'static [ValueSet],
    by_name: &'b HashMap<&'static str, StructureId>,
}

impl Builder<'_> {
    fn structure(&self, id: StructureId, row: table::StructureRow<'static>) -> Result<Structure, LoadError> {
        let name = leak(row.n);
        let kind = match row.k {
            'r' => StructureKind::Resource,
            'c' => StructureKind::Complex,
            'p' => StructureKind::Primitive,
            'b' => StructureKind::Backbone,
            other => return Err(LoadError::Dangling(format!("the kind {other} of {name}"))),
        };
        let elements = (0u16..)
            .zip(row.e)
            .map(|(order, element)| self.element(name, order, element))
            .collect::<Result<Vec<_>, _>>()?;
        let lookup = Lookup::new(&slots(&elements));
        let required = elements
            .iter()
            .filter(|element| element.min > 0)
            .fold(0, |mask, element| mask | 1u128.checked_shl(element.order.into()).unwrap_or(0));
        Ok(Structure {
            id,
            name,
            kind,
            base: row.b.map(leak),
            is_abstract: row.a,
            primitive: PrimitiveKind::from_name(name),
            regex: row.x.map(leak),
            constraints: self.constraints(&row.c)?,
            elements,
            lookup,
            required,
        })
    }

    fn element(
        &self,
        parent: &str,
        order: u16,
        row: table::ElementRow<'static>,
    ) -> Result<Element, LoadError> {
        let full_name = leak(row.n);
        let (name, is_choice) = match full_name.strip_suffix("[x]") {
            Some(name) => (name, true),
            None => (full_name, false),
        };
        let content_reference = row.r.map(leak);
        let types = row
            .t
            .into_iter()
            .map(|type_row| self.element_type(parent, (name, is_choice), content_reference, type_row))
            .collect::<Result<Vec<_>, _>>()?;
        let binding = row.b.map(|binding| self.binding(binding)).transpose()?;
        Ok(Element {
            name,
            order,
            min: row.m,
            max: row.x,
            types,
            is_choice,
            content_reference,
            binding,
            is_summary: row.s,
            is_modifier: row.f,
            constraints: self.constraints(&row.c)?,
        })
    }

    fn element_type(
        &self,
        parent: &str,
        (name, is_choice): (&'static str, bool),
        content_reference: Option<&'static str>,
        row: table::TypeRow<'static>,
    ) -> Result<ElementType, LoadError> {
        let code = leak(row.c);
        // A backbone element has its content in a structure of its own, named by its path.
        let own = format!("{parent}.{name}");
        let structure = match (content_reference, self.by_name.get(own.as_str())) {
            (Some(reference), _) => self.by_name.get(reference),
            (None, Some(id)) => Some(id),
            (None, None) => self.by_name.get(code),
        };
        let structure = *structure.ok_or_else(|| LoadError::Dangling(format!("the type {code} of {own}")))?;
        let json_name: &'static str =
            if is_choice { Box::leak(choice_name(name, code).into_boxed_str()) } else { name };
        Ok(ElementType {
            code,
            json_name,
            targets: leak_all(row.t),
            profile: row.p.map(leak),
            structure,
            is_primitive: PrimitiveKind::from_name(code).is_some(),
            primitive: PrimitiveKind::from_name(code),
        })
    }

    fn binding(&self, row: table::BindingRow<'static>) -> Result<Binding, LoadError> {
        let url = leak(row.u);
        let strength = match row.s {
            'r' => BindingStrength::Required,
            'x' => BindingStrength::Extensible,
            'p' => BindingStrength::Preferred,
            _ => BindingStrength::Example,
        };
        let set = |index: Option<u16>| match index {
            None => Ok(None),
            Some(index) => match self.value_sets.get(usize::from(index)) {
                Some(set) => Ok(Some(set)),
                None => Err(LoadError::Dangling(format!("a binding to {url}"))),
            },
        };
        Ok(Binding { strength, url, value_set: set(row.v)?, max_value_set: set(row.m)? })
    }

    fn constraints(&self, indexes: &[u16]) -> Result<Vec<&'static Constraint>, LoadError> {
        indexes
            .iter()
            .map(|index| {
                self.constraints
                    .get(usize::from(*index))
                    .ok_or_else(|| LoadError::Dangling(format!("the invariant {index}")))
            })
            .collect()
    }
}

/// The JSON name of a choice with a type: `value` and `dateTime` make `valueDateTime`.
fn choice_name(name: &str, code: &str) -> String {
    let mut joined = String::with_capacity(name.len() + code.len());
    joined.push_str(name);
    let mut letters = code.chars();
    joined.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
    joined.extend(letters);
    joined
}

fn slots(elements: &[Element]) -> Vec<(&'static str, Slot)> {
    let mut slots = Vec::with_capacity(elements.len());
    for (element_index, element) in (0u16..).zip(elements) {
        for (type_index, element_type) in (0u16..).zip(&element.types) {
            slots.push((element_type.json_name, Slot { element: element_index, element_type: type_index }));
        }
    }
    slots
}

fn search_parameter(row: table::SearchParameterRow<'static>) -> Result<SearchParameter, LoadError> {
    let absolute =
        |tail: &str| -> &'static str { Box::leak(format!("{SEARCH_PARAMETER_BASE}{tail}").into_boxed_str()) };
    let kind = SearchParameterKind::from_code(&row.t.0)
        .ok_or_else(|| LoadError::Dangling(format!("the type of the search parameter {}", row.u.0)))?;
    Ok(SearchParameter {
        url: absolute(&row.u.0),
        code: leak(row.c),
        bases: leak_all(row.b),
        kind,
        expression: row.e.map(leak),
        targets: leak_all(row.g),
        comparators: leak_all(row.o),
        modifiers: leak_all(row.m),
        usage: row.x.map(leak),
        components: row
            .p
            .into_iter()
            .map(|(tail, expression)| SearchComponent {
                definition: absolute(&tail.0),
                expression: leak(expression),
            })
            .collect(),
    })
}

/// Gives every resource type its own parameters and the inherited ones, sorted by code.
fn search_by_type(
    structures: &[Structure],
    parameters: &'static [SearchParameter],
) -> HashMap<&'static str, Vec<&'static SearchParameter>> {
    let mut by_base: HashMap<&str, Vec<&'static SearchParameter>> = HashMap::new();
    for parameter in parameters {
        for base in &parameter.bases {
            by_base.entry(base).or_default().push(parameter);
        }
    }
    structures
        .iter()
        .filter(|structure| structure.is_resource())
        .map(|structure| {
            let above: &[&str] = match structure.base {
                Some("DomainResource") => &["DomainResource", "Resource"],
                Some("Resource") => &["Resource"],
                _ => &[],
            };
            let mut found: Vec<&'static SearchParameter> = std::iter::once(&structure.name)
                .chain(above)
                .flat_map(|base| by_base.get(base).into_iter().flatten().copied())
                .collect();
            found.sort_by_key(|parameter| parameter.code);
            (structure.name, found)
        })
        .collect()
}

fn compartment(row: table::CompartmentRow<'static>) -> Compartment {
    let mut members: Vec<_> = row.r.into_iter().map(|(name, codes)| (leak(name), leak_all(codes))).collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    Compartment { code: leak(row.c), url: leak(row.u), members }
}

fn operation(row: table::OperationRow<'static>) -> Operation {
    Operation {
        url: leak(row.u),
        code: leak(row.c),
        resources: leak_all(row.r),
        on_system: row.l.0,
        on_type: row.l.1,
        on_instance: row.l.2,
        affects_state: row.a,
    }
}
