//! `_text` and `_content` (R4 search.html#text): words of the narrative, and of the whole resource.

mod syntax;

use super::parse::{Parser, unknown};
use crate::search::Modifier;
use crate::search::atom::{Atom, Criterion, Yield};
use crate::search::full_text::WordKeys;
use crate::search::issue::{Issue, IssueKind, Severity};
use crate::search::key::type_number;
use crate::search::value::Refusal;
use syntax::{Expression, Parsed};

impl Parser<'_> {
    /// What is asked of resources of these types by `_text` or `_content`, all of which has to hold.
    pub(super) fn full_text(
        &mut self,
        types: &[String],
        (code, modifier): (&str, &Modifier),
        value: &str,
    ) -> Result<Vec<Criterion>, Refusal> {
        let has_it = |name: &&String| self.catalogue.get(name, code).is_some();
        let (with, without): (Vec<&String>, Vec<&String>) = types.iter().partition(has_it);
        // Of all types of the system some have no narrative: a word of it is not theirs.
        let is_of_all = types.len() > 1 && self.searched_all && !with.is_empty();
        if let (Some(name), false) = (without.first(), is_of_all) {
            return Err(unknown(name));
        }
        if !self.catalogue.has_full_text() {
            return Err(Refusal::Unsupported("the words of texts are not indexed".to_owned()));
        }
        if *modifier != Modifier::None {
            return Err(Refusal::Modifier(format!("modifier :{modifier} is not supported")));
        }
        let Parsed { expression, has_phrase } = syntax::parse(value).map_err(Refusal::BadValue)?;
        if has_phrase {
            self.tell_of_phrase(code);
        }
        let keys: Vec<WordKeys> = with.iter().map(|name| WordKeys::new(self.log, name)).collect();
        // Tokens have the type in them: a word is any of its tokens in all types.
        let word = |word: &str| {
            let tokens = keys.iter().flat_map(|keys| keys.tokens(code, word));
            Criterion::any(tokens.map(Atom::Token).collect(), Yield::Many)
        };
        let mut all = all_of(&expression, &word);
        if !without.is_empty() {
            all.push(Criterion::none_of(without.iter().map(|name| Atom::Kind(type_number(name))).collect()));
        }
        Ok(all)
    }

    fn tell_of_phrase(&mut self, code: &str) {
        let text = format!(
            "search parameter {code}: of words that are written as one all have to be there, wherever they stand"
        );
        self.tell(Issue::new(Severity::Information, IssueKind::Incomplete, code, text));
    }
}

/// The depth is bounded by the syntax.
fn all_of(expression: &Expression, word: &impl Fn(&str) -> Criterion) -> Vec<Criterion> {
    match expression {
        Expression::Word(text) => vec![word(text)],
        Expression::Not(inner) => vec![Criterion::not_all(all_of(inner, word))],
        Expression::All(all) => all.iter().flat_map(|one| all_of(one, word)).collect(),
        Expression::Any(any) => {
            vec![Criterion::any_of(any.iter().map(|one| all_of(one, word)).collect())]
        }
    }
}
