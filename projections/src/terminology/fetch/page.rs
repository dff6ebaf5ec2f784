//! Pages of large code systems, in the order of their codes.
//!
//! The first pages, and what has few codes, are read by the indexes of the tables. For all else the order of the system is
//! read once and kept, and so are the lists that branches and filters pick out of it.

use std::sync::Arc;

use anamnesis_fhir::terminology::{Branch, CodeSystem, EXPANSION_CODES_MAX, Page, PageTotal};
use tokio_postgres::Row;

use super::Fetcher;
use super::part::{Parameters, asked, whole};
use crate::ProjectionError;
use crate::terminology::order::Order;
use crate::terminology::orders::{ListOf, Ordered};
use crate::terminology::picked::Picked;
use crate::terminology::snapshot::Large;

/// Codes of a branch that is walked by the index over edges, and matches of a filter that are read as they are.
const FEW_MAX: usize = 2_000;
/// Matches of a filter that are counted before the first page is shown; of more it is only known that there are more.
const COUNTED_MAX: usize = 20_000;
/// Codes that are passed over by the index over codes.
const PASSED_MAX: usize = 10_000;
/// The same, where each has to be looked at for the words of a filter.
const LOOKED_AT_MAX: usize = 200;

/// What has the words of a filter. The sums keep the planner at the index over words: it would read the others to their ends
/// as well.
pub(super) const WITH_WORDS: &str = "words @@ $3::text::tsquery AND system + 0 = $1 AND seq + 0 = ANY($2)";

/// Codes to pass over, and codes on the page.
type Window = (usize, usize);

/// The codes of a page, and how many there are on all of them.
type CodesOfPage = (Vec<String>, PageTotal);

impl Fetcher<'_> {
    /// A page; none where it is to be within a branch that is not there.
    pub(super) async fn page(&self, large: &Large, page: &Page) -> Result<CodeSystem, ProjectionError> {
        let window = (page.offset, page.count.min(EXPANSION_CODES_MAX));
        let asked = page.text.as_deref().and_then(|text| asked(large.system, text));
        let is_plain = page.without.is_empty()
            && page.without_codes.is_empty()
            && !page.active_only
            && !page.selectable_only;
        let found = match (page.within.as_slice(), &asked) {
            ([], None) if is_plain => Some(self.everything(large, window).await?),
            ([], Some(asked)) if is_plain => Some(self.matches(large, asked, window).await?),
            ([branch], asked) if is_plain => {
                self.small_branch(large, (branch, asked.as_deref()), window).await?
            }
            _ => None,
        };
        let found = match found {
            Some(found) => Some(found),
            None => self.by_order(large, page, asked.as_deref()).await?,
        };
        match found {
            Some((codes, total)) => self.shown(large, codes, total).await,
            None => self.linked(large, Vec::new()).await,
        }
    }

    /// A page of what is left of the order.
    async fn by_order(
        &self,
        large: &Large,
        page: &Page,
        asked: Option<&str>,
    ) -> Result<Option<CodesOfPage>, ProjectionError> {
        let ordered = self.order(large).await?;
        let order = &ordered.order;
        let mut picked = match asked {
            Some(asked) => (*self.with_words(large, &ordered, asked).await?).clone(),
            None => order.all(),
        };
        for branch in &page.within {
            let Some(list) = self.branch(&ordered, &branch.code).await? else { return Ok(None) };
            picked.keep(&list);
            itself(order, branch).into_iter().for_each(|itself| picked.remove(itself));
        }
        for branch in &page.without {
            let Some(list) = self.branch(&ordered, &branch.code).await? else { continue };
            let itself = itself(order, branch).filter(|itself| picked.has(*itself));
            picked.drop(&list);
            itself.into_iter().for_each(|itself| _ = picked.insert(itself));
        }
        let codes = page.without_codes.iter().filter_map(|code| order.find(code));
        codes.for_each(|number| picked.remove(number));
        for (of, is_wanted) in
            [(ListOf::Inactive, page.active_only), (ListOf::Abstract, page.selectable_only)]
        {
            if is_wanted {
                picked.drop(&*self.marked(large, &ordered, of).await?);
            }
        }
        Ok(Some(page_of(&ordered, &picked, (page.offset, page.count.min(EXPANSION_CODES_MAX)))))
    }

    async fn everything(&self, large: &Large, window: Window) -> Result<CodesOfPage, ProjectionError> {
        if window.0 <= PASSED_MAX && self.at_hand(large).await?.is_none() {
            let total = self.count(large).await?;
            return Ok((self.walk(large, None, window).await?, PageTotal::Exactly(total)));
        }
        let ordered = self.order(large).await?;
        Ok(page_of(&ordered, &ordered.order.all(), window))
    }

    /// The order, where it is there already; or where there is no other way, because the tables tell letters apart and the
    /// system does not.
    async fn at_hand(&self, large: &Large) -> Result<Option<Arc<Ordered>>, ProjectionError> {
        match large.head.is_case_sensitive {
            true => Ok(self.known_order(large)),
            false => self.order(large).await.map(Some),
        }
    }

    /// How many codes a system has. What it says itself is believed where its parts have as many.
    async fn count(&self, large: &Large) -> Result<usize, ProjectionError> {
        if large.declared == Some(large.concepts) {
            return Ok(usize::try_from(large.concepts).unwrap_or(usize::MAX));
        }
        let count = || async {
            let select = format!(
                "SELECT count(*) FROM (SELECT DISTINCT code FROM {} WHERE system = $1 AND seq = ANY($2)) AS c",
                self.tables.concept
            );
            let client = self.database.get().await?;
            let statement = client.prepare_cached(&select).await?;
            let count: i64 =
                client.query_one(&statement, &[&large.system, &large.parts]).await?.try_get(0)?;
            Ok::<_, ProjectionError>(usize::try_from(count).unwrap_or_default())
        };
        large.count.get_or_try_init(count).await.copied()
    }

    /// What a filter finds by its words.
    async fn matches(
        &self,
        large: &Large,
        asked: &str,
        window: Window,
    ) -> Result<CodesOfPage, ProjectionError> {
        let of = ListOf::Words(asked.to_owned());
        let known = self.at_hand(large).await?;
        if let Some((ordered, list)) = known.as_ref().and_then(|known| Some((known, known.known(&of)?))) {
            return Ok(page_of(ordered, &list, window));
        }
        let is_first = window.0.saturating_add(window.1) <= LOOKED_AT_MAX;
        if !large.is_frequent(asked) {
            let found = self.found(large, asked).await?;
            if found.len() <= FEW_MAX && known.is_none() {
                let total = PageTotal::Exactly(found.len());
                return Ok((cut(found, window), total));
            }
            if found.len() <= COUNTED_MAX {
                let ordered = self.order(large).await?;
                let list = self.pick(&ordered, of, found).await?;
                return Ok(page_of(&ordered, &list, window));
            }
            large.note_frequent(asked);
        }
        // So many match that those of a first page are soon come upon in order.
        if is_first && large.head.is_case_sensitive {
            return Ok((self.walk(large, Some(asked), window).await?, PageTotal::Uncounted));
        }
        let ordered = self.order(large).await?;
        let list = self.with_words(large, &ordered, asked).await?;
        Ok(page_of(&ordered, &list, window))
    }

    /// What a filter finds by its words, in order: all, or more than are counted.
    async fn found(&self, large: &Large, asked: &str) -> Result<Vec<String>, ProjectionError> {
        let select =
            format!("SELECT code FROM {} WHERE {WITH_WORDS} LIMIT {}", self.tables.concept, COUNTED_MAX + 1);
        let mut found = self.codes(&select, &[&large.system, &large.parts, &asked]).await?;
        if found.len() <= COUNTED_MAX {
            found.sort_unstable();
            found.dedup();
        }
        Ok(found)
    }

    /// A page in the order of the index over codes, of those that have the words.
    async fn walk(
        &self,
        large: &Large,
        asked: Option<&str>,
        (offset, count): Window,
    ) -> Result<Vec<String>, ProjectionError> {
        // The index over words cannot serve a CASE: the planner would put all matches in order first.
        let matches = match asked {
            Some(_) => "AND CASE WHEN words @@ $3::text::tsquery THEN true ELSE false END",
            None => "AND $3::text IS NULL",
        };
        let select = format!(
            "SELECT DISTINCT code FROM {} WHERE system = $1 AND seq = ANY($2) {matches}
             ORDER BY code OFFSET $4 LIMIT $5",
            self.tables.concept
        );
        let (offset, count) = (whole(offset), whole(count));
        let rows = self.in_order(&select, &[&large.system, &large.parts, &asked, &offset, &count]).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>()?)
    }

    /// A page of a branch of few codes; nothing where it has more, there is no such branch, or the order is at hand.
    async fn small_branch(
        &self,
        large: &Large,
        (branch, asked): (&Branch, Option<&str>),
        window: Window,
    ) -> Result<Option<CodesOfPage>, ProjectionError> {
        if self.at_hand(large).await?.is_some() {
            return Ok(None);
        }
        let mut codes = self.walked(large, &branch.code, FEW_MAX + 1).await?;
        if codes.is_empty() || codes.len() > FEW_MAX {
            return Ok(None);
        }
        codes.sort_unstable();
        codes.retain(|code| branch.with_itself || *code != branch.code);
        if let Some(asked) = asked {
            let select = format!(
                "SELECT DISTINCT code FROM {} WHERE system = $1 AND code = ANY($4) AND seq = ANY($2)
                     AND CASE WHEN words @@ $3::text::tsquery THEN true ELSE false END
                 ORDER BY code",
                self.tables.concept
            );
            codes = self.codes(&select, &[&large.system, &large.parts, &asked, &codes]).await?;
        }
        let total = PageTotal::Exactly(codes.len());
        Ok(Some((cut(codes, window), total)))
    }

    /// Rows in the order of an index. In tables that were just filled the planner would rather put all of them in order.
    async fn in_order(&self, select: &str, parameters: &Parameters<'_>) -> Result<Vec<Row>, ProjectionError> {
        let mut client = self.database.get().await?;
        let transaction = client.transaction().await?;
        transaction.batch_execute("SET LOCAL enable_sort = off; SET LOCAL enable_bitmapscan = off").await?;
        let statement = transaction.prepare_cached(select).await?;
        let rows = transaction.query(&statement, parameters).await?;
        transaction.commit().await?;
        Ok(rows)
    }

    /// The page itself.
    async fn shown(
        &self,
        large: &Large,
        codes: Vec<String>,
        total: PageTotal,
    ) -> Result<CodeSystem, ProjectionError> {
        let rows = self.bodies(large, &self.spellings(large, codes).await?).await?;
        let mut system = self.linked(large, rows).await?;
        system.page_total = Some(total);
        Ok(system)
    }

    async fn spellings(&self, large: &Large, codes: Vec<String>) -> Result<Vec<String>, ProjectionError> {
        if large.head.is_case_sensitive {
            return Ok(codes);
        }
        let ordered = self.order(large).await?;
        let numbers: Vec<u32> = codes.iter().filter_map(|code| ordered.order.find(code)).collect();
        Ok(ordered.order.spellings(&numbers))
    }

    pub(super) async fn codes(
        &self,
        select: &str,
        parameters: &Parameters<'_>,
    ) -> Result<Vec<String>, ProjectionError> {
        let client = self.database.get().await?;
        let statement = client.prepare_cached(select).await?;
        let rows = client.query(&statement, parameters).await?;
        Ok(rows.iter().map(|row| row.try_get(0)).collect::<Result<_, tokio_postgres::Error>>()?)
    }
}

fn page_of(ordered: &Ordered, picked: &Picked, window: Window) -> CodesOfPage {
    (ordered.order.codes(picked.page(window)), PageTotal::Exactly(picked.count()))
}

/// The top of a branch, where it is not meant with it.
fn itself(order: &Order, branch: &Branch) -> Option<u32> {
    order.find(&branch.code).filter(|_| !branch.with_itself)
}

fn cut(codes: Vec<String>, (offset, count): Window) -> Vec<String> {
    codes.into_iter().skip(offset).take(count).collect()
}
