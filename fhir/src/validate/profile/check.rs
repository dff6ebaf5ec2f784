//! Holds elements against the rules of a profile.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::pairs::Pairs;
use super::slices::is_of_type;
use super::table::{Invariant, Profile, Rules, TypeRule};
use super::{Demands, Lookup, Surroundings, type_of_address};
use crate::definitions::StructureKind;
use crate::fhirpath::{self, Collection, Context, Item, Limits, Node, elements};
use crate::json::{Kind, Value};
use crate::validate::issues::{IssueCode, Issues, Severity};
use crate::validate::path::Path;

/// Profiles that ask for profiles that ask for profiles: R4's deepest line has four.
const DEPTH_MAX: usize = 40;
/// Most steps of one constraint: some milliseconds.
const STEPS_MAX: u64 = 250_000;
/// Work that a constraint counts as, beside a part of the resource's size, over which it may go.
const INVARIANT_WORK: usize = 20;
/// Steps of a constraint that count as much as one element.
const STEPS_PER_WORK: u64 = 10;
/// Constraints that ask for profiles whose constraints ask for profiles.
const ASKED_DEPTH_MAX: usize = 4;
/// Constraints of one resource that may fail to evaluate before the rest is left out.
const FAILURES_MAX: usize = 20;

/// Whether something holds, as far as it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Yes,
    No,
    Unknown,
}

impl From<bool> for Verdict {
    fn from(holds: bool) -> Self {
        if holds { Verdict::Yes } else { Verdict::No }
    }
}

/// Where the check is.
#[derive(Clone, Copy)]
pub(super) struct At<'p, 'a> {
    pub(super) path: &'p Path<'p>,
    /// `%resource`
    pub(super) resource: Value<'a>,
    /// `%rootResource`
    pub(super) root: Value<'a>,
    pub(super) depth: usize,
}

impl<'a> At<'_, 'a> {
    pub(super) fn to<'q>(&'q self, path: &'q Path<'q>) -> At<'q, 'a> {
        At { path, ..*self }
    }
}

/// The state of a check.
pub(super) struct Check<'w, 'a> {
    pub(super) around: &'w Surroundings<'w>,
    pub(super) demands: &'w Demands,
    pub(super) issues: Issues,
    /// The outermost resource, whose entries references are looked up in.
    pub(super) outermost: Value<'a>,
    /// What was looked at, together with the checks that constraints ask for by `conformsTo()`.
    work: Arc<AtomicU64>,
    /// What an unknown profile is just now.
    pub(super) unknown_profile: Severity,
    failures: usize,
    asked_depth: usize,
    /// What is known of an element and a profile, so that nothing is told twice and circles end.
    pairs: Pairs,
    /// Pairs that were met again and are known not to conform: their errors were told, or are not to be.
    repeated: usize,
    /// Addresses that were told to be unknown.
    pub(super) told: BTreeSet<String>,
}

impl<'w, 'a> Check<'w, 'a> {
    pub(super) fn new(outermost: Value<'a>, demands: &'w Demands, around: &'w Surroundings<'w>) -> Self {
        Check {
            around,
            demands,
            issues: Issues::new(demands.issues_max),
            outermost,
            work: Arc::default(),
            unknown_profile: demands.unknown_profile,
            failures: 0,
            asked_depth: 0,
            pairs: Pairs::default(),
            repeated: 0,
            told: BTreeSet::new(),
        }
    }

    /// Counts work; false where there has been too much.
    pub(super) fn may_go_on(&mut self, amount: usize) -> bool {
        let amount = amount as u64 + 1;
        let work = self.work.fetch_add(amount, Ordering::Relaxed).saturating_add(amount);
        work <= self.demands.work_max && !self.demands.stop.load(Ordering::Relaxed)
    }

    /// Holds an element against the profile at an address. An unknown profile is told and holds.
    pub(super) fn conforms_to(&mut self, address: &str, node: &Node<'a>, at: At<'_, 'a>) -> bool {
        if let Some(name) = type_of_address(address) {
            return self.is_of_type(name, node, at);
        }
        match self.around.profiles.profile(address) {
            Lookup::Known(profile) => self.conforms(&profile, node, at),
            other => {
                self.tell_unusable(address, &other, node, at);
                self.unknown_profile != Severity::Error
            }
        }
    }

    fn tell_unusable(&mut self, address: &str, found: &Lookup, node: &Node<'a>, at: At<'_, 'a>) {
        if !self.told.insert(address.to_owned()) {
            return;
        }
        let Some(value) = place(node) else { return };
        let severity = self.unknown_profile;
        let shown = printable(address);
        match found {
            Lookup::Broken(why) => {
                let message = format_args!("the profile {shown} cannot be used: {why}");
                self.issues.add((severity, IssueCode::NotSupported), at.path, value, message);
            }
            _ => {
                // The version that is asked for is meant; which one is there helps whoever has to decide.
                let known = address.split_once('|').map(|(url, _)| self.around.profiles.profile(url));
                let known = match known {
                    Some(Lookup::Known(profile)) => {
                        profile.version().map(|version| format!(" (the version {} is)", printable(version)))
                    }
                    _ => None,
                };
                let known = known.unwrap_or_default();
                let message = format_args!("the profile {shown} is not known{known}, so it was not checked");
                self.issues.add((severity, IssueCode::NotFound), at.path, value, message);
            }
        }
    }

    /// A type of R4 as a profile: base validation has checked it, the type alone is left.
    fn is_of_type(&mut self, name: &str, node: &Node<'a>, at: At<'_, 'a>) -> bool {
        let is_it = node.structure().is_some_and(|structure| is_of_type(structure, name));
        if let Some(value) = place(node).filter(|_| !is_it) {
            self.issues.error(IssueCode::Structure, at.path, value, format_args!("must be a {name}"));
        }
        is_it
    }

    /// Holds an element against a profile; whether it conforms.
    pub(super) fn conforms(&mut self, profile: &Arc<Profile>, node: &Node<'a>, at: At<'_, 'a>) -> bool {
        let Some(value) = place(node) else { return true };
        if let Some(known) = self.pairs.known(Pairs::of(value.index(), profile)) {
            self.repeated += usize::from(!known);
            return known;
        }
        let begun = self.pairs.begin(value.index(), profile);
        if at.depth >= DEPTH_MAX {
            let message = format_args!("profiles are nested deeper than {DEPTH_MAX} levels");
            self.issues.error(IssueCode::TooCostly, at.path, value, message);
            return self.pairs.end(begun, false);
        }
        let before = self.faults();
        let at = At { depth: at.depth + 1, ..at };
        if let Some(base) = &profile.base {
            self.conforms_to(base, node, at);
        }
        if node.structure().is_some_and(|structure| is_of_type(structure, profile.structure.name)) {
            self.whole(profile, node, at);
        } else {
            let message =
                format_args!("must be a {}; profile {}", profile.structure.name, printable(&profile.url));
            self.issues.error(IssueCode::Structure, at.path, value, message);
        }
        let holds = self.faults() == before;
        self.pairs.end(begun, holds)
    }

    /// How many errors there were, with those that are not told again.
    fn faults(&self) -> usize {
        self.issues.errors() + self.repeated
    }

    fn whole(&mut self, profile: &Profile, node: &Node<'a>, at: At<'_, 'a>) {
        let root = profile.root();
        for invariant in &root.invariants {
            self.invariant(profile, invariant, node, at);
        }
        self.children(profile, root, node, at);
    }

    /// Runs something without telling its issues; whether it gave no error.
    pub(super) fn silently(&mut self, work: impl FnOnce(&mut Self)) -> bool {
        let issues = std::mem::replace(&mut self.issues, Issues::new(0));
        let (told, repeated) = (self.told.clone(), std::mem::take(&mut self.repeated));
        self.pairs.silence(true);
        work(self);
        self.pairs.silence(false);
        let holds = self.faults() == 0;
        self.issues = issues;
        self.told = told;
        self.repeated = repeated;
        holds
    }

    /// The elements below one.
    fn children(&mut self, profile: &Profile, rules: &Rules, node: &Node<'a>, at: At<'_, 'a>) {
        for index in &rules.checked {
            let child = profile.at(*index);
            let found = elements(node, &child.name);
            if !self.may_go_on(found.len()) {
                return;
            }
            let path = at.path.child(&child.name);
            self.count(profile, child, found.len(), node, at.to(&path));
            for (place, item) in found.iter().enumerate() {
                let own = indexed(item, place, &path);
                self.element(profile, child, item, at.to(&own));
            }
            if !child.slices.is_empty() {
                self.slices(profile, child, (node, &found), at.to(&path));
            }
        }
    }

    /// Whether there are as many as there may be.
    pub(super) fn count(
        &mut self,
        profile: &Profile,
        rules: &Rules,
        found: usize,
        holder: &Node<'a>,
        at: At<'_, 'a>,
    ) {
        let Some(value) = place(holder) else { return };
        let url = printable(&profile.url);
        let slice = Slice(rules.slice_name.as_deref());
        if found < rules.min as usize {
            let message =
                format_args!("at least {} required{slice}, {found} found; profile {url}", rules.min);
            self.issues.error(IssueCode::Required, at.path, value, message);
        }
        if let Some(max) = rules.max.filter(|max| found > *max as usize) {
            let message = format_args!("at most {max} allowed{slice}, {found} found; profile {url}");
            self.issues.error(IssueCode::Structure, at.path, value, message);
        }
    }

    /// One occurrence against the rules of its element or slice.
    pub(super) fn element(&mut self, profile: &Profile, rules: &Rules, node: &Node<'a>, at: At<'_, 'a>) {
        if !self.may_go_on(rules.invariants.len()) {
            return;
        }
        let at = self.inside(rules, node, at);
        self.types(profile, rules, node, at);
        self.values(profile, rules, node, at);
        if let Some(binding) = &rules.binding {
            self.binding(profile, binding, node, at);
        }
        for invariant in &rules.invariants {
            self.invariant(profile, invariant, node, at);
        }
        self.children(profile, rules, node, at);
    }

    /// A resource within another is `%resource` for what is in it, and `%rootResource` unless it is contained.
    fn inside<'p>(&self, rules: &Rules, node: &Node<'a>, at: At<'p, 'a>) -> At<'p, 'a> {
        match node.value().filter(|_| node.structure().is_some_and(|structure| structure.is_resource())) {
            Some(value) => {
                At { resource: value, root: if &*rules.name == "contained" { at.root } else { value }, ..at }
            }
            None => at,
        }
    }

    fn types(&mut self, profile: &Profile, rules: &Rules, node: &Node<'a>, at: At<'_, 'a>) {
        let (Some(value), Some(structure), false) = (place(node), node.structure(), rules.types.is_empty())
        else {
            return;
        };
        let is_it =
            |rule: &&TypeRule| structure.kind == StructureKind::Backbone || is_of_type(structure, &rule.code);
        let Some(rule) = rules.types.iter().find(is_it) else {
            let allowed: Vec<&str> = rules.types.iter().map(|rule| &*rule.code).collect();
            let message = format_args!(
                "must not be a {}; allowed: {}; profile {}",
                structure.name,
                allowed.join(" | "),
                printable(&profile.url)
            );
            return self.issues.error(IssueCode::Structure, at.path, value, message);
        };
        match rule.profiles.as_slice() {
            [] => {}
            [only] => {
                self.conforms_to(only, node, at);
            }
            several => {
                let is_any = several
                    .iter()
                    .any(|address| self.silently(|check| _ = check.conforms_to(address, node, at)));
                if !is_any {
                    let message = format_args!("conforms to none of {}", several.join(", "));
                    self.issues.error(IssueCode::Structure, at.path, value, message);
                }
            }
        }
        if !rule.aggregation.is_empty() && structure.name == "Reference" {
            self.aggregation(profile, &rule.aggregation, node, at);
        }
        if !rule.targets.is_empty() && structure.name == "Reference" {
            self.target(profile, &rule.targets, node, at);
        }
    }

    pub(super) fn invariant(&mut self, profile: &Profile, rule: &Invariant, node: &Node<'a>, at: At<'_, 'a>) {
        let Some(value) = place(node) else { return };
        let size = value.document().len();
        if self.failures >= FAILURES_MAX || !self.may_go_on(INVARIANT_WORK + size / 50) {
            return;
        }
        let url = printable(&profile.url);
        let compiled = match &rule.compiled {
            Ok(compiled) => compiled,
            Err(why) => {
                // Whoever wrote it has to know, once for each check, and it may not use up what others may fail.
                if self.told.insert(format!("{url} {}", rule.key)) {
                    let message = format_args!("was not checked, as {why}; profile {url} ({})", rule.key);
                    self.issues.warning(IssueCode::Invariant, at.path, value, message);
                }
                return;
            }
        };
        match self.holds(compiled, node, at) {
            Ok(true) => {}
            Ok(false) => {
                let severity = if rule.is_warning { Severity::Warning } else { Severity::Error };
                let message = format_args!("{}; profile {url} ({})", bounded(&rule.human), rule.key);
                self.issues.add((severity, IssueCode::Invariant), at.path, value, message);
            }
            Err(kind) => {
                self.failures += 1;
                let message = format_args!("could not be evaluated: {kind}; profile {url} ({})", rule.key);
                self.issues.warning(IssueCode::Invariant, at.path, value, message);
            }
        }
    }

    fn holds(&self, compiled: &fhirpath::Compiled, node: &Node<'a>, at: At<'_, 'a>) -> Result<bool, String> {
        let asked = Asked { check: (self.around, self.demands), depth: self.asked_depth, work: &self.work };
        let entries = targets_of(self.outermost);
        let limits = Limits { steps_max: STEPS_MAX, ..Limits::default() };
        let mut context = Context::of(at.resource)
            .with_root_resource(at.root)
            .with_limits(limits)
            .with_terminology(&asked)
            .with_profiles(&asked)
            .with_filtering_as();
        if let Some(entries) = &entries {
            context = context.with_resolver(entries);
        }
        if let Some(now) = self.demands.now {
            context = context.with_now(now);
        }
        let (found, steps) = compiled.evaluate_counting(Collection::single(Item::Node(*node)), &context);
        self.work.fetch_add(steps / STEPS_PER_WORK, Ordering::Relaxed);
        let found = found.map_err(|error| error.to_string())?;
        // As with R4's own constraints: what cannot be compared breaks nothing.
        Ok(match (found.len(), found.first().and_then(Item::as_boolean)) {
            (0, _) => true,
            (1, truth) => truth.unwrap_or(true),
            _ => false,
        })
    }

    /// What an expression gives for an element.
    pub(super) fn evaluate<'c>(
        &self,
        compiled: &'c fhirpath::Compiled,
        node: &Node<'c>,
        at: At<'_, 'c>,
    ) -> Option<Vec<Item<'c>>>
    where
        'a: 'c,
    {
        let context = Context::of(at.resource).with_root_resource(at.root).with_filtering_as();
        let found = compiled.evaluate_on(Collection::single(Item::Node(*node)), &context).ok()?;
        Some(found.iter().cloned().collect())
    }
}

/// Where references are looked up beyond the resource: the entries of the outermost Bundle.
fn targets_of(outermost: Value<'_>) -> Option<super::targets::Entries<'_>> {
    super::targets::Entries::of(outermost)
}

/// Answers what constraints ask: `memberOf()` and `conformsTo()`.
struct Asked<'s> {
    check: (&'s Surroundings<'s>, &'s Demands),
    depth: usize,
    work: &'s Arc<AtomicU64>,
}

impl fhirpath::Terminology for Asked<'_> {
    fn member_of(&self, system: Option<&str>, code: &str, value_set: &str) -> Option<bool> {
        super::bindings::known(self.check.0.terminology.validate_code(value_set, system, code))
    }
}

impl fhirpath::Profiles for Asked<'_> {
    fn conforms_to(&self, node: &Node<'_>, profile: &str) -> Option<bool> {
        let (around, demands) = self.check;
        let Lookup::Known(profile) = around.profiles.profile(profile) else { return None };
        let value =
            node.value().filter(|value| value.kind() == Kind::Object && self.depth < ASKED_DEPTH_MAX)?;
        let mut check = Check::new(value, demands, around);
        check.issues = Issues::new(0);
        check.work = Arc::clone(self.work);
        check.asked_depth = self.depth + 1;
        let path = Path::root(profile.structure.name);
        check.conforms(&profile, node, At { path: &path, resource: value, root: value, depth: 0 });
        // Given up half-way, nothing is known.
        check.may_go_on(0).then(|| check.issues.errors() == 0)
    }
}

/// The value to point at for a node.
pub(super) fn place<'a>(node: &Node<'a>) -> Option<Value<'a>> {
    node.value().or(node.companion())
}

/// The path of an occurrence: with its index where it stands in a list.
pub(super) fn indexed<'p>(node: &Node<'_>, index: usize, path: &Path<'p>) -> Path<'p> {
    match place(node) {
        Some(value) if value.name().is_none() => path.item(index),
        _ => *path,
    }
}

/// The slice in a message about numbers.
struct Slice<'s>(Option<&'s str>);

impl fmt::Display for Slice<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(formatter, " of the slice {}", printable(name)),
            None => Ok(()),
        }
    }
}

/// An address or a name from a profile for a message; it may be anybody's text.
pub(super) fn printable(text: &str) -> &str {
    let is_plain = text.len() <= 256 && text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_plain { text } else { "…" }
}

/// What a constraint says, bounded.
fn bounded(text: &str) -> &str {
    const BYTES_MAX: usize = 400;
    let end = (0..=text.len().min(BYTES_MAX)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}
