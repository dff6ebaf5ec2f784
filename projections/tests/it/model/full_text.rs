//! The words of resources read naively: texts are found by FHIRPath, by their types.

use std::collections::{BTreeSet, HashMap};

use anamnesis_fhir::definitions::r4;

use super::maker::Dice;
use super::naive::{Resource, words};
use super::words::TEXTS;

/// A value of `_text` or `_content`.
pub(crate) struct Said {
    pub(crate) code: &'static str,
    asked: Asked,
}

enum Asked {
    Word(String),
    Not(Box<Asked>),
    All(Vec<Asked>),
    Any(Vec<Asked>),
}

impl Said {
    /// Mostly words that a resource has. `None` for types that are not read here.
    pub(crate) fn ask(dice: &mut Dice, near: &Resource) -> Option<Self> {
        let name = near.resource_type.as_str();
        // These hold resources that are not their own.
        if matches!(name, "Bundle" | "Parameters") {
            return None;
        }
        let has_narrative = r4().is_a(name, "DomainResource");
        let code = if has_narrative && dice.below(2) == 0 { "_text" } else { "_content" };
        let mut held: Vec<String> = of(near, code).into_iter().collect();
        held.extend(words(dice.pick(&TEXTS)));
        Some(Self { code, asked: Asked::make(dice, &held, 3) })
    }

    pub(crate) fn text(&self) -> String {
        self.asked.text()
    }

    pub(crate) fn holds(&self, resource: &Resource) -> bool {
        self.asked.holds(&of(resource, self.code))
    }
}

impl Asked {
    fn make(dice: &mut Dice, held: &[String], depth: usize) -> Self {
        let some =
            |dice: &mut Dice| (0..2 + dice.below(2)).map(|_| Self::make(dice, held, depth - 1)).collect();
        match dice.below(if depth == 0 { 1 } else { 6 }) {
            0 | 1 => Self::Word(held[dice.below(held.len())].clone()),
            2 => Self::Not(Box::new(Self::make(dice, held, depth - 1))),
            3 => Self::All(some(dice)),
            _ => Self::Any(some(dice)),
        }
    }

    fn text(&self) -> String {
        let joined = |all: &[Self], by: &str| all.iter().map(Self::text).collect::<Vec<_>>().join(by);
        match self {
            Self::Word(word) => word.to_uppercase(),
            Self::Not(asked) => format!("NOT {}", asked.text()),
            Self::All(all) => format!("({})", joined(all, if all.len() == 2 { " " } else { " and " })),
            Self::Any(any) => format!("({})", joined(any, if any.len() == 2 { "," } else { " OR " })),
        }
    }

    fn holds(&self, words: &BTreeSet<String>) -> bool {
        match self {
            Self::Word(word) => words.contains(word),
            Self::Not(asked) => !asked.holds(words),
            Self::All(all) => all.iter().all(|one| one.holds(words)),
            Self::Any(any) => any.iter().any(|one| one.holds(words)),
        }
    }
}

/// The words that a parameter is about.
fn of(resource: &Resource, code: &str) -> BTreeSet<String> {
    let own = texts(resource, "xhtml", &["contained.descendants()"]);
    let all = if code == "_text" { own } else { content(resource) };
    all.iter().flat_map(|text| words(&without_tags(text))).collect()
}

fn content(resource: &Resource) -> Vec<String> {
    const OF_PROGRAMS: [&str; 4] = [
        "descendants().id",
        "descendants().ofType(Reference).reference",
        "descendants().ofType(Coding).version",
        "descendants().ofType(SampledData).data",
    ];
    let texts = ["string", "markdown", "xhtml"].map(|name| texts(resource, name, &OF_PROGRAMS));
    texts.concat()
}

/// The values of a type, less those that some expressions find.
fn texts(resource: &Resource, type_name: &str, but: &[&str]) -> Vec<String> {
    let of_type = |text: &str| {
        let found = resource.found(text).into_iter().filter(|(name, _)| name == type_name);
        found.filter_map(|(_, value)| value.as_str().map(str::to_owned)).collect::<Vec<_>>()
    };
    let mut times: HashMap<String, i64> = HashMap::new();
    of_type("descendants()").into_iter().for_each(|text| *times.entry(text).or_default() += 1);
    for text in but.iter().flat_map(|text| of_type(text)) {
        *times.entry(text).or_default() -= 1;
    }
    times.into_iter().filter(|(_, count)| *count > 0).map(|(text, _)| text).collect()
}

/// A text without what stands between `<` and `>`, of which one attribute of the made ones has a `>`.
fn without_tags(text: &str) -> String {
    let text = text.replace("no > b", "");
    let parts = text.split('<').map(|part| part.split_once('>').map_or(part, |(_, rest)| rest));
    parts.collect::<Vec<_>>().join(" ")
}
