//! Pages of large code systems, in the order of their codes.

use std::sync::Arc;

use anamnesis_fhir::terminology::{Branch, CodeSystem, EXPANSION_CODES_MAX, PageTotal};
use tokio_postgres::Row;

use super::Fetcher;
use super::part::{Parameters, asked, whole};
use crate::terminology::order::Order;
use crate::terminology::snapshot::Large;
use crate::{ProjectionError, processor};

/// Matches of a filter that are counted, and put in order; of more it is only known that there are more.
const COUNTED_MAX: usize = 20_000;
/// Codes that are passed over by the index over codes. For pages further behind the order is read once, and kept.
const PASSED_MAX: usize = 10_000;
/// Codes of a branch that is walked by the index over edges. For a larger one the order is read once, and kept.
const WALKED_MAX: usize = 2_000;
/// Codes of a branch that are looked at for the words of a filter at a time.
const CHUNK: usize = 2_000;
/// Rows that are read at a time into the order of a system.
const READ_ROWS: usize = 50_000;
/// Codes of a system that can be put in order: more than any has.
const ORDERED_MAX: usize = 2_000_000;

/// Codes to pass over, and codes on the page.
type Window = (usize, usize);

impl Fetcher<'_> {
    /// A page of everything, or of what a filter finds.
    pub(super) async fn page(
        &self,
        large: &Large,
        text: Option<&str>,
        (offset, count): Window,
    ) -> Result<CodeSystem, ProjectionError> {
        let window = (offset, count.min(EXPANSION_CODES_MAX));
        match text.and_then(|text| asked(large.system, text)) {
            None => {
                let total = self.count(large).await?;
                let codes = self.everything(large, window).await?;
                self.shown(large, codes, PageTotal::Exactly(total)).await
            }
            Some(asked) => match self.found(large, &asked).await? {
                Some(found) => {
                    let total = PageTotal::Exactly(found.len());
                    self.shown(large, cut(found, window), total).await
                }
                // So many match that those of a page are soon come upon in order.
                None => {
                    let codes = self.walk(large, Some(&asked), window).await?;
                    self.shown(large, codes, PageTotal::Uncounted).await
                }
            },
        }
    }

    /// A page of a branch, or of what a filter finds in it; no page where there is no such branch.
    pub(super) async fn page_of_branch(
        &self,
        large: &Large,
        (branch, text): (&Branch, Option<&str>),
        (offset, count): Window,
    ) -> Result<CodeSystem, ProjectionError> {
        let window = (offset, count.min(EXPANSION_CODES_MAX));
        let mut codes = self.branch(large, &branch.code).await?;
        if codes.is_empty() {
            return self.linked(large, Vec::new()).await;
        }
        codes.retain(|code| branch.with_itself || *code != branch.code);
        let Some(asked) = text.and_then(|text| asked(large.system, text)) else {
            let total = PageTotal::Exactly(codes.len());
            return self.shown(large, cut(codes, window), total).await;
        };
        let found = if codes.len() > CHUNK { self.found(large, &asked).await? } else { None };
        if let Some(mut found) = found {
            found.retain(|code| codes.binary_search(code).is_ok());
            let total = PageTotal::Exactly(found.len());
            return self.shown(large, cut(found, window), total).await;
        }
        let (mut found, wanted, mut seen) = (Vec::new(), window.0.saturating_add(window.1), 0);
        for chunk in codes.chunks(CHUNK) {
            found.extend(self.with_words(large, chunk, &asked).await?);
            seen += chunk.len();
            if found.len() > wanted {
                break;
            }
        }
        let is_counted = seen == codes.len();
        let total = if is_counted { PageTotal::Exactly(found.len()) } else { PageTotal::Uncounted };
        self.shown(large, cut(found, window), total).await
    }

    /// How many codes a system has. What it says itself is believed where its parts have as many.
    async fn count(&self, large: &Large) -> Result<usize, ProjectionError> {
        if let Some(order) = large.order.get() {
            return Ok(order.len());
        }
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

    async fn everything(&self, large: &Large, window: Window) -> Result<Vec<String>, ProjectionError> {
        if window.0 <= PASSED_MAX && large.order.get().is_none() {
            return self.walk(large, None, window).await;
        }
        let order = self.order(large).await?;
        let first = u32::try_from(window.0).unwrap_or(u32::MAX);
        let codes = (first..).map_while(|number| order.code(number)).take(window.1);
        Ok(codes.map(str::to_owned).collect())
    }

    /// What a filter finds by its words, in order; nothing where that is more than are counted.
    async fn found(&self, large: &Large, asked: &str) -> Result<Option<Vec<String>>, ProjectionError> {
        if large.is_frequent(asked) {
            return Ok(None);
        }
        // The sums keep the planner at the index over words: it would read the others to their ends as well.
        let select = format!(
            "SELECT code FROM {} WHERE words @@ $3::text::tsquery AND system + 0 = $1 AND seq + 0 = ANY($2)
             LIMIT {}",
            self.tables.concept,
            COUNTED_MAX + 1
        );
        let mut found = self.codes(&select, &[&large.system, &large.parts, &asked]).await?;
        if found.len() > COUNTED_MAX {
            large.note_frequent(asked);
            return Ok(None);
        }
        found.sort_unstable();
        found.dedup();
        Ok(Some(found))
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

    /// Those of these codes that have the words, in order.
    async fn with_words(
        &self,
        large: &Large,
        codes: &[String],
        asked: &str,
    ) -> Result<Vec<String>, ProjectionError> {
        let select = format!(
            "SELECT DISTINCT code FROM {} WHERE system = $1 AND code = ANY($4) AND seq = ANY($2)
                 AND CASE WHEN words @@ $3::text::tsquery THEN true ELSE false END
             ORDER BY code",
            self.tables.concept
        );
        self.codes(&select, &[&large.system, &large.parts, &asked, &codes]).await
    }

    /// The codes below a concept and itself, in order; none where there is no such concept.
    async fn branch(&self, large: &Large, code: &str) -> Result<Vec<String>, ProjectionError> {
        if large.order.get().is_none() {
            let mut walked = self.walked(large, code, WALKED_MAX + 1).await?;
            if walked.len() <= WALKED_MAX {
                walked.sort_unstable();
                return Ok(walked);
            }
        }
        let order = self.order(large).await?;
        let code = code.to_owned();
        let below =
            move || order.below(&code).into_iter().filter_map(|n| order.code(n)).map(str::to_owned).collect();
        processor::compute(below).await
    }

    /// The codes and the hierarchy of a system in memory: read once, and kept until something is written.
    async fn order(&self, large: &Large) -> Result<Arc<Order>, ProjectionError> {
        let read = || async {
            let mut order = Order::default();
            let select = format!(
                "SELECT DISTINCT code FROM {} WHERE system = $1 AND seq = ANY($2) AND code > $3
                 ORDER BY code LIMIT {READ_ROWS}",
                self.tables.concept
            );
            let mut after = String::new();
            loop {
                let rows = self.in_order(&select, &[&large.system, &large.parts, &after]).await?;
                for row in &rows {
                    if order.len() == ORDERED_MAX || !order.push(row.try_get(0)?) {
                        return Err(ProjectionError::TooMuchWork);
                    }
                }
                let Some(last) = rows.last() else { break };
                after = last.try_get(0)?;
            }
            let select = format!(
                "SELECT parent, child FROM {} WHERE system = $1 AND seq = ANY($2) AND (parent, child) > ($3, $4)
                 ORDER BY parent, child LIMIT {READ_ROWS}",
                self.tables.edge
            );
            let mut after = (String::new(), String::new());
            loop {
                let parameters: &Parameters<'_> = &[&large.system, &large.parts, &after.0, &after.1];
                let rows = self.in_order(&select, parameters).await?;
                for row in &rows {
                    order.link(row.try_get(0)?, row.try_get(1)?);
                }
                let Some(last) = rows.last() else { break };
                after = (last.try_get(0)?, last.try_get(1)?);
            }
            Ok(Arc::new(order.finish()))
        };
        large.order.get_or_try_init(read).await.map(Arc::clone)
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
        let rows = self.bodies(large, &codes).await?;
        let mut system = self.linked(large, rows).await?;
        system.page_total = Some(total);
        Ok(system)
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

fn cut(codes: Vec<String>, (offset, count): Window) -> Vec<String> {
    codes.into_iter().skip(offset).take(count).collect()
}
