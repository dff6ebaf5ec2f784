//! Random queries: what they ask for is mostly taken from the resources, so that something is found.

use std::fmt::Write as _;
use std::sync::Arc;

use anamnesis_fhir::search::{SearchParameter, SearchParameterKind as Kind, SearchRegistry};

use super::full_text::Said;
use super::maker::Dice;
use super::naive::{self, Resource, Typed};
use super::words::{CODES, DATES, INSTANTS, NUMBERS, SYSTEMS, TARGETS, TEXTS, UNITS, URIS};

const PREFIXES: [&str; 12] = ["", "", "", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"];

const RARER: [Kind; 5] = [Kind::String, Kind::Date, Kind::Number, Kind::Quantity, Kind::Uri];

/// `code:modifier=value,value`
#[derive(Debug, Clone)]
pub(crate) struct Criterion {
    pub(crate) parameter: Arc<SearchParameter>,
    pub(crate) modifier: String,
    pub(crate) values: Vec<String>,
}

/// A query for one type.
pub(crate) struct Asked {
    resource_type: String,
    criteria: Vec<Criterion>,
    /// What it asks of the words of a resource.
    said: Option<Said>,
    /// A parameter by which the results are sorted; true: descending.
    sort: Option<(Arc<SearchParameter>, bool)>,
    pub(crate) page_size: usize,
}

/// Makes a query.
pub(crate) struct Asker<'a> {
    pub(crate) dice: Dice,
    pub(crate) resources: &'a [Resource],
}

impl<'a> Asker<'a> {
    pub(crate) fn new(seed: u64, resources: &'a [Resource]) -> Self {
        Self { dice: Dice::new(seed), resources }
    }

    /// `None` where nothing can be asked.
    pub(crate) fn query(mut self) -> Option<Asked> {
        let resource = &self.resources[self.dice.below(self.resources.len())];
        let name = resource.resource_type.as_str();
        let known = read_of(name);
        let criteria = (0..=self.dice.below(3)).map(|_| self.leaf(resource)).collect();
        let sortable = |parameter: &&&Arc<SearchParameter>| {
            matches!(parameter.kind(), Kind::Date | Kind::String | Kind::Number)
        };
        let sortable: Vec<&Arc<SearchParameter>> = known.iter().filter(sortable).copied().collect();
        let is_sorted = self.dice.below(3) == 0 && !sortable.is_empty();
        let sort = is_sorted.then(|| sortable[self.dice.below(sortable.len())].clone());
        let sort = sort.map(|parameter| (parameter, self.dice.below(2) == 0));
        // Words are all that is asked for where they are.
        let said = (self.dice.below(4) == 0).then(|| Said::ask(&mut self.dice, resource)).flatten();
        let criteria = if said.is_some() && self.dice.below(2) == 0 { Vec::new() } else { criteria };
        let page_size = [1, 2, 3, 7, 1000][self.dice.below(5)];
        Some(Asked { resource_type: name.to_owned(), criteria, said, sort, page_size })
    }

    /// A criterion for the type of a resource; mostly for something that it has.
    pub(crate) fn leaf(&mut self, near: &Resource) -> Criterion {
        let known = read_of(&near.resource_type);
        // Every other time something that this resource has, so that several criteria can hold together.
        let has = |parameter: &&&Arc<SearchParameter>| !near.values(parameter).is_empty();
        let held: Vec<&Arc<SearchParameter>> = known.iter().filter(has).copied().collect();
        let from = if self.dice.below(4) > 0 && !held.is_empty() { &held } else { &known };
        // First the type of the parameter: most of R4's are tokens and references.
        let kind = from[self.dice.below(from.len())].kind();
        let kind = if self.dice.below(2) == 0 { kind } else { RARER[self.dice.below(RARER.len())] };
        let of_kind: Vec<_> = from.iter().filter(|parameter| parameter.kind() == kind).collect();
        let parameter = match of_kind.len() {
            0 => from[self.dice.below(from.len())].clone(),
            count => Arc::clone(of_kind[self.dice.below(count)]),
        };
        self.criterion(parameter, near)
    }

    fn criterion(&mut self, parameter: Arc<SearchParameter>, near: &Resource) -> Criterion {
        if self.dice.below(8) == 0 {
            let values = vec![self.dice.pick(&["true", "false"]).to_owned()];
            return Criterion { parameter, modifier: "missing".to_owned(), values };
        }
        let modifier = self.modifier(&parameter);
        let held = near.values(&parameter);
        let values =
            (0..=self.dice.below(2)).map(|_| self.value(parameter.kind(), &modifier, &held)).collect();
        Criterion { parameter, modifier, values }
    }

    fn modifier(&mut self, parameter: &SearchParameter) -> String {
        let known: &[&str] = match parameter.kind() {
            Kind::Token if !parameter.is_primitive() => &["", "", "", "not", "text"],
            Kind::Token => &["", "", "", "not"],
            Kind::String => &["", "", "exact", "contains"],
            Kind::Reference if !parameter.is_primitive() => &["", "", "identifier", "Patient", "text"],
            Kind::Reference => &["", "", "identifier", "Patient"],
            Kind::Uri if parameter.code() != "_profile" => &["", "", "above", "below"],
            _ => &[""],
        };
        let modifier = self.dice.pick(known);
        let targets = parameter.targets();
        let is_possible =
            modifier != "Patient" || targets.is_empty() || targets.iter().any(|name| name == modifier);
        if is_possible { modifier.to_owned() } else { String::new() }
    }

    /// A value to ask for; `held` are those that a resource has.
    pub(crate) fn value(&mut self, kind: Kind, modifier: &str, held: &[Typed]) -> String {
        match kind {
            Kind::Token | Kind::Reference if modifier == "text" => self.label(held),
            Kind::Token => {
                let code = escaped(self.dice.pick(&CODES));
                let code = if self.dice.below(8) == 0 { "true".to_owned() } else { code };
                let system = self.dice.pick(&SYSTEMS);
                match self.dice.below(4) {
                    0 => format!("{system}|{code}"),
                    1 => format!("|{code}"),
                    2 => format!("{system}|"),
                    _ => code,
                }
            }
            Kind::String => {
                let text = self.text(held);
                let length = text.chars().count();
                let taken = if modifier == "exact" { length } else { 1 + self.dice.below(length) };
                let from = if modifier == "contains" { self.dice.below(length) } else { 0 };
                let piece: String = text.chars().skip(from).take(taken).collect();
                if piece.trim().is_empty() { text } else { piece }
            }
            Kind::Date => {
                let date =
                    if self.dice.below(2) == 0 { self.dice.pick(&DATES) } else { self.dice.pick(&INSTANTS) };
                // A time may end at its minutes, where a zone need not stand.
                let cut = if date.len() > 16 && self.dice.below(4) == 0 { &date[..16] } else { date };
                format!("{}{cut}", self.dice.pick(&PREFIXES))
            }
            Kind::Number => format!("{}{}", self.dice.pick(&PREFIXES), self.dice.pick(&NUMBERS)),
            Kind::Quantity => {
                let number = format!("{}{}", self.dice.pick(&PREFIXES), self.dice.pick(&NUMBERS));
                let (system, code, unit) = UNITS[self.dice.below(UNITS.len())];
                match self.dice.below(4) {
                    0 if !unit.is_empty() => format!("{number}||{unit}"),
                    1 if !code.is_empty() => format!("{number}||{code}"),
                    2 if !code.is_empty() => format!("{number}|{system}|{code}"),
                    _ => number,
                }
            }
            Kind::Reference => self.reference(modifier, held),
            _ => escaped(self.dice.pick(&URIS)),
        }
    }

    fn text(&mut self, held: &[Typed]) -> String {
        let texts: Vec<String> = held.iter().flat_map(naive::texts).collect();
        if texts.is_empty() || self.dice.below(4) == 0 {
            return self.dice.pick(&TEXTS).to_owned();
        }
        texts[self.dice.below(texts.len())].clone()
    }

    /// The beginning of a word, with what stands before it or alone.
    fn label(&mut self, held: &[Typed]) -> String {
        let labels: Vec<String> = held.iter().flat_map(naive::labels).collect();
        let label = match labels.len() {
            0 => self.dice.pick(&TEXTS).to_owned(),
            count => labels[self.dice.below(count)].clone(),
        };
        let words: Vec<&str> = label.split_whitespace().collect();
        let from = self.dice.below(words.len());
        let rest = words[from..].join(if self.dice.below(2) == 0 { " " } else { "-" });
        rest.chars().take(1 + self.dice.below(rest.chars().count())).collect()
    }

    fn reference(&mut self, modifier: &str, held: &[Typed]) -> String {
        let id = self.dice.below(3);
        let addresses: Vec<&str> =
            held.iter().filter_map(|(_, value)| value.as_str().or(value["reference"].as_str())).collect();
        match modifier {
            "identifier" if self.dice.below(2) == 0 => "a".to_owned(),
            "identifier" => format!("{}|a", self.dice.pick(&SYSTEMS)),
            "" if !addresses.is_empty() && self.dice.below(2) == 0 => {
                let address = addresses[self.dice.below(addresses.len())];
                escaped(address.split("/_history/").next().unwrap())
            }
            "" => match self.dice.below(3) {
                0 => format!("{}/{id}", self.dice.pick(&TARGETS)),
                1 => format!("http://here.org/fhir/{}/{id}", self.dice.pick(&TARGETS)),
                _ => id.to_string(),
            },
            _ => id.to_string(),
        }
    }
}

/// The parameters that [`naive`] reads.
fn is_read(parameter: &Arc<SearchParameter>) -> bool {
    let is_read = matches!(
        parameter.kind(),
        Kind::Token | Kind::String | Kind::Date | Kind::Number | Kind::Quantity | Kind::Reference | Kind::Uri
    );
    is_read && parameter.has_expression() && !matches!(parameter.code(), "_id" | "_lastUpdated")
}

fn read_of(resource_type: &str) -> Vec<&'static Arc<SearchParameter>> {
    SearchRegistry::r4().parameters(resource_type).iter().filter(|parameter| is_read(parameter)).collect()
}

pub(crate) fn escaped(text: &str) -> String {
    [',', '|', '$'].iter().fold(text.to_owned(), |text, one| text.replace(*one, &format!("\\{one}")))
}

impl Asked {
    /// Type and parameters, as `World` reads them.
    pub(crate) fn url(&self) -> String {
        let mut url = format!("{}?", self.resource_type);
        for criterion in &self.criteria {
            let _ = write!(url, "{}={}&", criterion.name(), criterion.values.join(","));
        }
        if let Some(said) = &self.said {
            let _ = write!(url, "{}={}&", said.code, said.text());
        }
        if let Some((parameter, descending)) = &self.sort {
            let sign = if *descending { "-" } else { "" };
            let _ = write!(url, "_sort={sign}{}&", parameter.code());
        }
        url.truncate(url.len() - 1);
        url
    }

    /// The types of its parameters, with their modifiers.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = String> {
        let said = self.said.iter().map(|said| said.code.to_owned());
        self.criteria.iter().map(Criterion::kind).chain(said)
    }

    /// Whether the query finds the resource: all criteria hold.
    pub(crate) fn finds(&self, resource: &Resource) -> bool {
        resource.resource_type == self.resource_type
            && self.criteria.iter().all(|one| one.holds(resource))
            && self.said.iter().all(|said| said.holds(resource))
    }

    /// Two neighbours that stand the wrong way round.
    pub(crate) fn wrong_order(&self, resources: &[Resource], found: &[String]) -> Option<(String, String)> {
        let (parameter, descending) = self.sort.as_ref()?;
        let key = |id: &String| {
            let resource = resources.iter().find(|resource| resource.id() == id)?;
            sort_key(parameter, *descending, &resource.values(parameter))
        };
        let is_wrong = |pair: &&[String]| match (key(&pair[0]), key(&pair[1])) {
            // What has no value comes last either way.
            (first, second) if first.is_none() || second.is_none() => first.is_none() && second.is_some(),
            (first, second) if *descending => first < second,
            (first, second) => first > second,
        };
        found.windows(2).find(is_wrong).map(|pair| (pair[0].clone(), pair[1].clone()))
    }
}

impl Criterion {
    /// What stands before the `=`.
    pub(crate) fn name(&self) -> String {
        let colon = if self.modifier.is_empty() { "" } else { ":" };
        format!("{}{colon}{}", self.parameter.code(), self.modifier)
    }

    /// The type of the parameter, with the modifier.
    pub(crate) fn kind(&self) -> String {
        let colon = if self.modifier.is_empty() { "" } else { ":" };
        format!("{}{colon}{}", self.parameter.kind().code(), self.modifier)
    }

    pub(crate) fn holds(&self, resource: &Resource) -> bool {
        let values = resource.values(&self.parameter);
        let (kind, targets) = (self.parameter.kind(), self.parameter.targets());
        let any = |modifier: &str| {
            self.values.iter().any(|value| naive::is_found((kind, targets), modifier, value, &values))
        };
        match self.modifier.as_str() {
            "missing" => naive::is_there(&self.parameter, &values) == (self.values[0] == "false"),
            "not" => !any(""),
            modifier => any(modifier),
        }
    }
}

/// What sorts a resource: the lowest of several values ascending, the highest descending.
#[derive(Debug, Clone, PartialEq, PartialOrd)]
enum SortKey {
    Time(i64),
    Text(String),
    Number(f64),
}

fn sort_key(parameter: &SearchParameter, descending: bool, values: &[Typed]) -> Option<SortKey> {
    let keys: Vec<SortKey> = match parameter.kind() {
        Kind::Date => values.iter().flat_map(naive::times).map(|time| SortKey::Time(time.from)).collect(),
        Kind::String => {
            values.iter().flat_map(naive::texts).map(|text| SortKey::Text(naive::folded(&text))).collect()
        }
        _ => values.iter().filter_map(naive::number_range).map(|range| SortKey::Number(range.0)).collect(),
    };
    let before = |one: &SortKey, other: &SortKey| one.partial_cmp(other).unwrap();
    if descending { keys.into_iter().max_by(before) } else { keys.into_iter().min_by(before) }
}
