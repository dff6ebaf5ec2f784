//! Criteria that look further than the values of one parameter: composites, chains, `_has` and filters.

use std::sync::Arc;

use anamnesis_fhir::search::{SearchParameter, SearchParameterKind as Kind, SearchRegistry};

use super::ask::{Asker, Criterion, escaped};
use super::naive::{self, Resource, Typed};
use super::times::{Covered, covered};

/// The resources, with what leads from one to another.
pub(crate) struct Known<'a> {
    resources: &'a [Resource],
    links: Vec<Link>,
}

/// Resource `from` refers to resource `to` by a parameter.
struct Link {
    from: usize,
    to: usize,
    parameter: Arc<SearchParameter>,
}

/// One criterion.
#[derive(Debug)]
enum Tree {
    Plain(Criterion),
    /// Alternatives of a value for each part.
    Composite {
        parameter: Arc<SearchParameter>,
        any: Vec<Vec<String>>,
    },
    Chain {
        parameter: Arc<SearchParameter>,
        target: String,
        inner: Box<Tree>,
    },
    Has {
        source: String,
        parameter: Arc<SearchParameter>,
        inner: Box<Tree>,
    },
    Filter(Filter),
}

#[derive(Debug)]
enum Filter {
    /// The operator and the value of the criterion at the end of a path; its own values are not used.
    Test {
        path: Box<Tree>,
        operator: &'static str,
        value: String,
    },
    Both(Box<Filter>, Box<Filter>),
    Either(Box<Filter>, Box<Filter>),
    Not(Box<Filter>),
}

/// A query for one type.
pub(crate) struct Joined {
    pub(crate) resource_type: String,
    criteria: Vec<Tree>,
    pub(crate) page_size: usize,
}

impl<'a> Known<'a> {
    pub(crate) fn new(resources: &'a [Resource]) -> Self {
        let mut links = Vec::new();
        for (from, resource) in resources.iter().enumerate() {
            let parameters = SearchRegistry::r4().parameters(&resource.resource_type);
            let leads = |one: &&Arc<SearchParameter>| one.kind() == Kind::Reference && one.has_expression();
            for parameter in parameters.iter().filter(leads) {
                for (_, value) in resource.values(parameter) {
                    let Some(reference) = value["reference"].as_str() else { continue };
                    let reference = reference.split("/_history/").next().unwrap();
                    let is_meant = |one: &Resource| {
                        let is_target = parameter.targets().is_empty()
                            || parameter.targets().contains(&one.resource_type);
                        is_target && format!("{}/{}", one.resource_type, one.id()) == reference
                    };
                    let to = resources.iter().position(is_meant);
                    links.extend(to.map(|to| Link { from, to, parameter: Arc::clone(parameter) }));
                }
            }
        }
        Self { resources, links }
    }

    fn links_of<'k>(
        &'k self,
        resource: &'k Resource,
        end: fn(&Link) -> usize,
    ) -> impl Iterator<Item = &'k Link> {
        self.links.iter().filter(move |link| std::ptr::eq(&raw const self.resources[end(link)], resource))
    }
}

/// Makes queries.
pub(crate) struct Joiner<'a> {
    asker: Asker<'a>,
    known: &'a Known<'a>,
}

impl<'a> Joiner<'a> {
    pub(crate) fn new(asker: Asker<'a>, known: &'a Known<'a>) -> Self {
        Self { asker, known }
    }

    /// `None` where nothing can be asked.
    pub(crate) fn query(mut self) -> Option<Joined> {
        let at = self.below(self.known.resources.len());
        let near = &self.known.resources[at];
        let mut criteria = Vec::new();
        for _ in 0..=self.below(2) {
            let criterion = match self.below(3) {
                0 => Tree::Filter(self.filter(near, 2)),
                _ => self.tree(near, 3, false),
            };
            criteria.push(criterion);
        }
        let page_size = [1, 2, 5, 1000][self.below(4)];
        Some(Joined { resource_type: near.resource_type.clone(), criteria, page_size })
    }

    fn below(&mut self, bound: usize) -> usize {
        self.asker.dice.below(bound)
    }

    /// A criterion that this resource may well meet. In a filter there are neither composites nor modifiers.
    fn tree(&mut self, near: &Resource, depth: usize, in_filter: bool) -> Tree {
        let known = self.known;
        let (from, to): (Vec<&Link>, Vec<&Link>) = (
            known.links_of(near, |link| link.from).collect(),
            known.links_of(near, |link| link.to).collect(),
        );
        match self.below(4) {
            0 if depth > 0 && !from.is_empty() => {
                let link = from[self.below(from.len())];
                let target = &known.resources[link.to];
                Tree::Chain {
                    parameter: Arc::clone(&link.parameter),
                    target: target.resource_type.clone(),
                    inner: Box::new(self.tree(target, depth - 1, in_filter)),
                }
            }
            0 | 1 if depth > 0 && !to.is_empty() => {
                let link = to[self.below(to.len())];
                let source = &known.resources[link.from];
                Tree::Has {
                    source: source.resource_type.clone(),
                    parameter: Arc::clone(&link.parameter),
                    inner: Box::new(self.tree(source, depth - 1, in_filter)),
                }
            }
            2 if !in_filter => self.composite(near).unwrap_or_else(|| Tree::Plain(self.asker.leaf(near))),
            _ => Tree::Plain(self.asker.leaf(near)),
        }
    }

    fn composite(&mut self, near: &Resource) -> Option<Tree> {
        let parameters = SearchRegistry::r4().parameters(&near.resource_type);
        let is_composite =
            |one: &&Arc<SearchParameter>| one.kind() == Kind::Composite && one.has_expression();
        let known: Vec<_> = parameters.iter().filter(is_composite).collect();
        // Seldom has an element all parts: what has is asked for most of the time.
        let of_type = self.known.resources.iter().filter(|one| one.resource_type == near.resource_type);
        let whole_of = |resource: &Resource, parameter: &Arc<SearchParameter>| {
            let elements = resource.elements(parameter).into_iter();
            elements.filter(|parts| parts.iter().all(|values| !values.is_empty())).collect::<Vec<_>>()
        };
        let held: Vec<_> = of_type
            .flat_map(|one| known.iter().map(move |parameter| (*parameter, whole_of(one, parameter))))
            .filter(|(_, elements)| !elements.is_empty())
            .collect();
        let (parameter, elements) = match held.is_empty() || self.below(4) == 0 {
            true if known.is_empty() => return None,
            true => (known[self.below(known.len())], Vec::new()),
            false => held[self.below(held.len())].clone(),
        };
        let parameter = Arc::clone(parameter);
        let mut any = Vec::new();
        for _ in 0..=self.below(2) {
            let element = (!elements.is_empty()).then(|| &elements[self.below(elements.len())]);
            let parts = parameter.components().iter().enumerate();
            let value = parts.map(|(at, part)| {
                let held = element.map_or(&[][..], |element| &element[at]);
                let of_element =
                    held.first().filter(|_| self.below(4) > 0).and_then(|one| written(part.kind(), one));
                let value = of_element.unwrap_or_else(|| self.asker.value(part.kind(), "", held));
                // A system alone is refused here.
                let is_system = part.kind() == Kind::Token && value.ends_with('|');
                if is_system { "a".to_owned() } else { value }
            });
            any.push(value.collect());
        }
        Some(Tree::Composite { parameter, any })
    }

    fn filter(&mut self, near: &Resource, depth: usize) -> Filter {
        match self.below(5) {
            0 if depth > 0 => Filter::Not(Box::new(self.filter(near, depth - 1))),
            1 if depth > 0 => {
                Filter::Both(Box::new(self.filter(near, depth - 1)), Box::new(self.filter(near, depth - 1)))
            }
            2 if depth > 0 => {
                Filter::Either(Box::new(self.filter(near, depth - 1)), Box::new(self.filter(near, depth - 1)))
            }
            _ => self.test(near),
        }
    }

    fn test(&mut self, near: &Resource) -> Filter {
        let mut path = self.tree(near, 2, true);
        let Criterion { parameter, modifier, values } = path.end();
        let kind = parameter.kind();
        let operators: &[&str] = match kind {
            Kind::Token | Kind::Uri => &["eq", "pr"],
            Kind::String => &["eq", "sw", "co", "pr"],
            Kind::Date => &["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "po", "pr"],
            Kind::Number | Kind::Quantity => &["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap", "pr"],
            _ => &["re", "pr"],
        };
        let is_plain = matches!(modifier.as_str(), "" | "not");
        let value = is_plain.then(|| values[0].clone());
        modifier.clear();
        let value = value.unwrap_or_else(|| self.asker.value(kind, "", &[]));
        let (_, bare) = match kind {
            Kind::Date | Kind::Number | Kind::Quantity => naive::prefix_of(&value),
            _ => ("", value.as_str()),
        };
        // A comma makes no list in a filter.
        let bare = bare.replace("\\,", ",");
        let operator = self.asker.dice.pick(operators);
        let truth = ["true", "false"][self.below(2)];
        let value = if operator == "pr" { truth.to_owned() } else { bare };
        let operator = operators.iter().find(|one| **one == operator).unwrap();
        Filter::Test { path: Box::new(path), operator, value }
    }
}

impl Tree {
    /// The criterion that a chain of links ends in; a composite is not in filters.
    fn end(&mut self) -> &mut Criterion {
        match self {
            Self::Plain(criterion) => criterion,
            Self::Chain { inner, .. } | Self::Has { inner, .. } => inner.end(),
            Self::Composite { .. } | Self::Filter(_) => panic!("no path of a filter"),
        }
    }

    fn name(&self) -> String {
        match self {
            Self::Plain(criterion) => criterion.name(),
            Self::Composite { parameter, .. } => parameter.code().to_owned(),
            Self::Chain { parameter, target, inner } => {
                format!("{}:{target}.{}", parameter.code(), inner.name())
            }
            Self::Has { source, parameter, inner } => {
                format!("_has:{source}:{}:{}", parameter.code(), inner.name())
            }
            Self::Filter(_) => "_filter".to_owned(),
        }
    }

    fn value(&self) -> String {
        match self {
            Self::Plain(criterion) => criterion.values.join(","),
            Self::Composite { any, .. } => {
                any.iter().map(|parts| parts.join("$")).collect::<Vec<_>>().join(",")
            }
            Self::Chain { inner, .. } | Self::Has { inner, .. } => inner.value(),
            Self::Filter(filter) => filter.text(),
        }
    }

    fn holds(&self, resource: &Resource, known: &Known<'_>) -> bool {
        self.ends(resource, known, &|end, resource| match end {
            Self::Plain(criterion) => criterion.holds(resource),
            Self::Composite { parameter, any } => {
                let elements = resource.elements(parameter);
                let parts = parameter.components();
                any.iter().any(|wanted| {
                    elements.iter().any(|element| {
                        parts.iter().zip(wanted).zip(element).all(|((part, text), values)| {
                            let read = (part.kind(), part.definition().targets.as_slice());
                            naive::is_found(read, "", text, values)
                        })
                    })
                })
            }
            Self::Filter(filter) => filter.holds(resource, known),
            Self::Chain { .. } | Self::Has { .. } => panic!("no end"),
        })
    }

    /// Follows the links, and tests what is at their end.
    fn ends(&self, resource: &Resource, known: &Known<'_>, test: &dyn Fn(&Self, &Resource) -> bool) -> bool {
        match self {
            Self::Chain { parameter, target, inner } => known
                .links_of(resource, |link| link.from)
                .filter(|link| link.parameter.code() == parameter.code())
                .map(|link| &known.resources[link.to])
                .any(|one| one.resource_type == *target && inner.ends(one, known, test)),
            Self::Has { source, parameter, inner } => known
                .links_of(resource, |link| link.to)
                .filter(|link| link.parameter.code() == parameter.code())
                .map(|link| &known.resources[link.from])
                .any(|one| one.resource_type == *source && inner.ends(one, known, test)),
            end => test(end, resource),
        }
    }

    fn kinds(&self, kinds: &mut Vec<&'static str>) {
        match self {
            Self::Plain(_) => kinds.push("plain"),
            Self::Composite { .. } => kinds.push("composite"),
            Self::Chain { inner, .. } => {
                kinds.push("chain");
                inner.kinds(kinds);
            }
            Self::Has { inner, .. } => {
                kinds.push("has");
                inner.kinds(kinds);
            }
            Self::Filter(filter) => filter.kinds(kinds),
        }
    }
}

impl Filter {
    fn text(&self) -> String {
        match self {
            Self::Test { path, operator, value } => {
                let value = match value.contains([' ', ')', '"']) || value.is_empty() {
                    true => serde_json::Value::from(value.as_str()).to_string(),
                    false => value.clone(),
                };
                format!("{} {operator} {value}", path.name())
            }
            Self::Both(one, other) => format!("({}) and ({})", one.text(), other.text()),
            Self::Either(one, other) => format!("({}) or ({})", one.text(), other.text()),
            Self::Not(filter) => format!("not ({})", filter.text()),
        }
    }

    fn holds(&self, resource: &Resource, known: &Known<'_>) -> bool {
        match self {
            Self::Test { path, operator, value } => path.ends(resource, known, &|end, resource| match end {
                Tree::Plain(criterion) => passes(&criterion.parameter, operator, value, resource),
                _ => panic!("no path of a filter"),
            }),
            Self::Both(one, other) => one.holds(resource, known) && other.holds(resource, known),
            Self::Either(one, other) => one.holds(resource, known) || other.holds(resource, known),
            Self::Not(filter) => !filter.holds(resource, known),
        }
    }

    fn kinds(&self, kinds: &mut Vec<&'static str>) {
        match self {
            Self::Test { .. } => kinds.push("test"),
            Self::Both(one, other) | Self::Either(one, other) => {
                kinds.push("connective");
                one.kinds(kinds);
                other.kinds(kinds);
            }
            Self::Not(filter) => {
                kinds.push("not");
                filter.kinds(kinds);
            }
        }
    }
}

/// Whether a resource's values of a parameter are what a test of a filter asks for (R4 search_filter.html#ops).
fn passes(parameter: &SearchParameter, operator: &str, value: &str, resource: &Resource) -> bool {
    let values = resource.values(parameter);
    let read = (parameter.kind(), parameter.targets());
    match (operator, parameter.kind()) {
        ("pr", _) => naive::is_there(parameter, &values) == (value == "true"),
        ("eq", Kind::String) => {
            let is_whole = |text: String| naive::folded(&text) == naive::folded(value);
            values.iter().flat_map(naive::texts).any(is_whole)
        }
        ("co", _) => naive::is_found(read, "contains", value, &values),
        ("po", _) => {
            let asked = covered(value).unwrap();
            let overlaps = |time: Covered| time.from < asked.until && asked.from < time.until;
            values.iter().flat_map(naive::times).any(overlaps)
        }
        (prefix, Kind::Date | Kind::Number | Kind::Quantity) => {
            naive::is_found(read, "", &format!("{prefix}{value}"), &values)
        }
        _ => naive::is_found(read, "", value, &values),
    }
}

/// A value as it is asked for, so that all parts of a composite can be met.
fn written(kind: Kind, typed: &Typed) -> Option<String> {
    let value = &typed.1;
    match kind {
        Kind::Token => {
            let (system, code) = naive::tokens(typed).into_iter().next()?;
            Some(format!("{}|{}", system.unwrap_or_default(), escaped(&code?)))
        }
        Kind::Quantity => {
            let number = &value["value"];
            let unit =
                value["code"].as_str().map(|code| format!("|{}|{code}", value["system"].as_str().unwrap()));
            number.is_number().then(|| format!("ge{number}{}", unit.unwrap_or_default()))
        }
        Kind::Number => value.is_number().then(|| value.to_string()),
        Kind::Date => value.as_str().or(value["start"].as_str()).map(|date| format!("ge{date}")),
        Kind::Reference => Some(value["reference"].as_str()?.split("/_history/").next()?.to_owned()),
        Kind::String => naive::texts(typed).into_iter().next(),
        _ => value.as_str().map(escaped),
    }
}

impl Joined {
    /// Type and parameters, as `World` reads them.
    pub(crate) fn url(&self) -> String {
        let criteria = self.criteria.iter().map(|one| format!("{}={}", one.name(), one.value()));
        format!("{}?{}", self.resource_type, criteria.collect::<Vec<_>>().join("&"))
    }

    /// Whether the query finds the resource: all criteria hold.
    pub(crate) fn finds(&self, resource: &Resource, known: &Known<'_>) -> bool {
        self.criteria.iter().all(|one| one.holds(resource, known))
    }

    /// What it is made of.
    pub(crate) fn kinds(&self) -> Vec<&'static str> {
        let mut kinds = Vec::new();
        self.criteria.iter().for_each(|one| one.kinds(&mut kinds));
        kinds
    }
}
