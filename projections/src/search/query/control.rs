//! The parameters that say how results are given, not which (R4 search.html#return).

use super::{Contained, ContainedType, PAGE_PARAMETER, Summary, Total};
use crate::search::include::{INCLUDES_COUNT_MAX, INCLUDES_PARAMETER};
use crate::search::issue::{Issue, IssueKind, Severity};

/// Parameters of the interaction itself, which the caller has dealt with (R4 http.html#parameters).
const OF_THE_CALLER: [&str; 3] = ["_format", "_pretty", INCLUDES_PARAMETER];

/// Parameters that say how results are given, those included that are not supported.
const OF_RESULTS: [&str; 14] = [
    "_sort",
    "_count",
    "_total",
    "_summary",
    "_elements",
    "_include",
    "_revinclude",
    "_includesCount",
    INCLUDES_PARAMETER,
    "_contained",
    "_containedType",
    "_type",
    "_score",
    PAGE_PARAMETER,
];

/// Whether a parameter, with a modifier or without, says how results are given and not which: it is no criterion.
#[must_use]
pub fn is_of_results(name: &str) -> bool {
    OF_RESULTS.contains(&name.split_once(':').map_or(name, |(code, _)| code))
}

pub(super) struct Control {
    pub(super) count: usize,
    count_max: usize,
    pub(super) includes_count: usize,
    pub(super) total: Total,
    pub(super) summary: Summary,
    pub(super) elements: Vec<String>,
    pub(super) sort: Vec<String>,
    pub(super) types: Vec<String>,
    pub(super) page: Option<String>,
    pub(super) contained: Contained,
    pub(super) contained_type: ContainedType,
    given: Vec<(String, String)>,
    /// The same, as it was sent.
    said: Vec<(String, String)>,
}

impl Control {
    /// Nothing asked for: pages of so many results, and of at most so many.
    pub(super) fn new(count: usize, count_max: usize) -> Self {
        Self {
            count,
            count_max,
            includes_count: INCLUDES_COUNT_MAX,
            total: Total::default(),
            summary: Summary::default(),
            elements: Vec::new(),
            sort: Vec::new(),
            types: Vec::new(),
            page: None,
            contained: Contained::default(),
            contained_type: ContainedType::default(),
            given: Vec::new(),
            said: Vec::new(),
        }
    }

    /// Takes what it knows and gives back the rest. A parameter that comes twice has to say the same, but for `_type`: what
    /// is searched is of all its lists (R4 search.html#combining).
    pub(super) fn take<'a>(
        &mut self,
        parameters: impl Iterator<Item = &'a (String, String)>,
        issues: &mut Vec<Issue>,
    ) -> Vec<&'a (String, String)> {
        let mut rest = Vec::new();
        for parameter in parameters {
            let (name, value) = parameter;
            if name != "_type" && self.contradicts(name, value) {
                let text = format!("{name}: is given more than once, with different values");
                issues.push(Issue::new(Severity::Error, IssueKind::Invalid, name, text));
                continue;
            }
            let understood = match name.as_str() {
                "_count" => self.count(value, issues),
                "_includesCount" => self.includes_count(value),
                "_total" => self.total(value),
                "_summary" => self.summary(value),
                "_contained" => Contained::parse(value).map(|contained| self.contained = contained),
                "_containedType" => {
                    ContainedType::parse(value).map(|returned| self.contained_type = returned)
                }
                "_elements" => replace(&mut self.elements, value),
                "_sort" => replace(&mut self.sort, value),
                "_type" => self.types(value),
                PAGE_PARAMETER => {
                    self.page = Some(value.clone());
                    continue;
                }
                name if OF_THE_CALLER.contains(&name) => continue,
                _ => {
                    rest.push(parameter);
                    continue;
                }
            };
            match understood {
                Ok(()) => {
                    let shown = if name == "_count" { self.count.to_string() } else { value.clone() };
                    let parameter = (name.clone(), shown);
                    if !self.given.contains(&parameter) {
                        self.given.push(parameter);
                    }
                    self.said.push((name.clone(), value.clone()));
                }
                Err(text) => issues.push(Issue::new(Severity::Error, IssueKind::Invalid, name, text)),
            }
        }
        if !self.elements.is_empty() && self.summary != Summary::False {
            let text = "_elements and _summary cannot be used together";
            issues.push(Issue::new(Severity::Error, IssueKind::Invalid, "_elements", text));
        }
        rest
    }

    /// What was applied, for the self link.
    pub(super) fn applied(&mut self) -> Vec<(String, String)> {
        let mut given = std::mem::take(&mut self.given);
        let sort = self.sort.join(",");
        given.iter_mut().filter(|(name, _)| name == "_sort").for_each(|(_, value)| value.clone_from(&sort));
        given.retain(|(name, value)| name != "_sort" || !value.is_empty());
        given
    }

    /// Whether another value of this parameter has been taken already.
    fn contradicts(&self, name: &str, value: &str) -> bool {
        let is_page = name == PAGE_PARAMETER && self.page.as_ref().is_some_and(|page| page != value);
        is_page || self.said.iter().any(|(known, said)| known == name && said != value)
    }

    fn types(&mut self, value: &str) -> Result<(), String> {
        let before = std::mem::take(&mut self.types);
        replace(&mut self.types, value)?;
        if !before.is_empty() {
            self.types.retain(|name| before.contains(name));
            if self.types.is_empty() {
                return Err("_type: no type is in all of its lists".to_owned());
            }
        }
        Ok(())
    }

    fn count(&mut self, value: &str, issues: &mut Vec<Issue>) -> Result<(), String> {
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number {
            return Err("_count: a whole number, 0 or more, is wanted".to_owned());
        }
        // What does not fit is more than enough.
        let wanted = value.parse().unwrap_or(usize::MAX);
        let most = self.count_max;
        self.count = wanted.min(most);
        if wanted > most {
            let text = format!("_count: a page has at most {most} results");
            issues.push(Issue::new(Severity::Information, IssueKind::TooCostly, "_count", text));
        }
        Ok(())
    }

    fn includes_count(&mut self, value: &str) -> Result<(), String> {
        let wanted = value.parse().ok().filter(|wanted| (1..=INCLUDES_COUNT_MAX).contains(wanted));
        let text = || format!("_includesCount: a number from 1 to {INCLUDES_COUNT_MAX} is wanted");
        self.includes_count = wanted.ok_or_else(text)?;
        Ok(())
    }

    fn total(&mut self, value: &str) -> Result<(), String> {
        self.total = match value {
            "none" => Total::None,
            "estimate" => Total::Estimate,
            "accurate" => Total::Accurate,
            _ => return Err("_total: none, estimate or accurate is wanted".to_owned()),
        };
        Ok(())
    }

    fn summary(&mut self, value: &str) -> Result<(), String> {
        self.summary = match value {
            "false" => Summary::False,
            "true" => Summary::True,
            "text" => Summary::Text,
            "data" => Summary::Data,
            "count" => Summary::Count,
            _ => return Err("_summary: true, text, data, count or false is wanted".to_owned()),
        };
        Ok(())
    }
}

fn replace(list: &mut Vec<String>, value: &str) -> Result<(), String> {
    if value.is_empty() || value.split(',').any(str::is_empty) {
        return Err("a list of names, separated by commas, is wanted".to_owned());
    }
    *list = value.split(',').map(str::to_owned).collect();
    Ok(())
}
