//! Parts of large code systems: a concept with all above it, with all below it, a page, the results of a filter.

use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::terminology::{CodeSystem, EXPANSION_CODES_MAX, Extent, PageTotal, words};
use tokio_postgres::types::ToSql;

use super::Fetcher;
use crate::ProjectionError;
use crate::terminology::rows::{mark, quoted};
use crate::terminology::snapshot::Large;

/// Concepts above those that were asked for. A concept of SNOMED CT has some tens.
const ABOVE_MAX: i64 = 50_000;
/// Concepts right below one that are told.
const CHILDREN_MAX: i64 = 500;
/// Matches that are counted; of more it is only known that there are more.
const COUNTED_MAX: usize = 20_001;

type Parameters<'p> = [&'p (dyn ToSql + Sync)];

impl Fetcher<'_> {
    /// A part of a large system.
    pub(super) async fn part(&self, large: &Large, extent: &Extent) -> Result<CodeSystem, ProjectionError> {
        match extent {
            Extent::Code(code) => self.with_codes(large, std::slice::from_ref(code)).await,
            Extent::Below(code) => self.below(large, code).await,
            Extent::All(text) => self.matching(large, text.as_deref()).await,
            Extent::Page { text, offset, count } => {
                self.page(large, text.as_deref(), (*offset, *count)).await
            }
        }
    }

    /// Concepts with all above them, and with the codes right below them.
    pub(super) async fn with_codes(
        &self,
        large: &Large,
        codes: &[String],
    ) -> Result<CodeSystem, ProjectionError> {
        let (edge, concept) = (&self.tables.edge, &self.tables.concept);
        let select = format!(
            r#"WITH RECURSIVE up (code) AS (
                 SELECT unnest($3::text[]) COLLATE "C"
               UNION
                 SELECT e.parent FROM up JOIN {edge} AS e ON e.system = $1 AND e.child = up.code AND e.seq = ANY($2)),
             near (code) AS (
                 (SELECT code FROM up LIMIT {ABOVE_MAX})
               UNION
                 (SELECT e.child FROM {edge} AS e
                  WHERE e.system = $1 AND e.parent = ANY($3) AND e.seq = ANY($2) LIMIT {CHILDREN_MAX}))
             SELECT c.code, c.body FROM near JOIN {concept} AS c
                 ON c.system = $1 AND c.code = near.code AND c.seq = ANY($2)"#
        );
        let (rows, _) = self.concepts(&select, &[&large.system, &large.parts, &codes], None).await?;
        self.linked(large, rows).await
    }

    async fn below(&self, large: &Large, code: &str) -> Result<CodeSystem, ProjectionError> {
        let (edge, concept) = (&self.tables.edge, &self.tables.concept);
        let most = EXPANSION_CODES_MAX + 1;
        // The walk ends where enough are found: the recursive part is made row by row as it is read.
        let select = format!(
            r#"WITH RECURSIVE down (code) AS (
                 SELECT $3::text COLLATE "C"
               UNION
                 SELECT e.child FROM down JOIN {edge} AS e
                     ON e.system = $1 AND e.parent = down.code AND e.seq = ANY($2)),
             found (code) AS (SELECT code FROM down LIMIT {most})
             SELECT c.code, c.body FROM found JOIN {concept} AS c
                 ON c.system = $1 AND c.code = found.code AND c.seq = ANY($2) ORDER BY c.code"#
        );
        let most = Some(EXPANSION_CODES_MAX);
        let (rows, is_cut) = self.concepts(&select, &[&large.system, &large.parts, &code], most).await?;
        let mut system = self.linked(large, rows).await?;
        system.is_truncated = is_cut;
        Ok(system)
    }

    /// All concepts whose words begin so; without a filter there are too many by definition.
    async fn matching(&self, large: &Large, text: Option<&str>) -> Result<CodeSystem, ProjectionError> {
        let Some(text) = text else {
            let mut system = self.linked(large, Vec::new()).await?;
            system.is_truncated = true;
            return Ok(system);
        };
        let select = format!(
            "SELECT code, body FROM {}
             WHERE words @@ $3::text::tsquery AND system = $1 AND seq = ANY($2) ORDER BY code LIMIT {}",
            self.tables.concept,
            EXPANSION_CODES_MAX + 1
        );
        let asked = asked(large.system, text);
        let most = Some(EXPANSION_CODES_MAX);
        let (rows, is_cut) = self.concepts(&select, &[&large.system, &large.parts, &asked], most).await?;
        let mut system = self.linked(large, rows).await?;
        system.is_truncated = is_cut;
        Ok(system)
    }

    /// A page in the order of the codes.
    async fn page(
        &self,
        large: &Large,
        text: Option<&str>,
        (offset, count): (usize, usize),
    ) -> Result<CodeSystem, ProjectionError> {
        let concept = &self.tables.concept;
        let (offset, count) = (whole(offset), whole(count.min(EXPANSION_CODES_MAX)));
        let asked = text.map(|text| asked(large.system, text));
        let matches = match &asked {
            Some(_) => "words @@ $3::text::tsquery AND",
            None => "$3::text IS NULL AND",
        };
        let select = format!(
            "SELECT code, body FROM {concept}
             WHERE {matches} system = $1 AND seq = ANY($2) ORDER BY code OFFSET $4 LIMIT $5"
        );
        let parameters: &Parameters<'_> = &[&large.system, &large.parts, &asked, &offset, &count];
        let (rows, _) = self.concepts(&select, parameters, None).await?;
        let total = match &asked {
            None => large.concepts,
            Some(_) => {
                let select = format!(
                    "SELECT count(*) FROM (SELECT 1 FROM {concept}
                     WHERE {matches} system = $1 AND seq = ANY($2) LIMIT {COUNTED_MAX}) AS counted"
                );
                let client = self.database.get().await?;
                let statement = client.prepare_cached(&select).await?;
                client.query_one(&statement, &[&large.system, &large.parts, &asked]).await?.try_get(0)?
            }
        };
        let mut system = self.linked(large, rows).await?;
        // One more than are counted stands for any number.
        system.page_total = match usize::try_from(total) {
            Ok(total) if asked.is_none() || total < COUNTED_MAX => Some(PageTotal::Exactly(total)),
            _ => Some(PageTotal::Uncounted),
        };
        Ok(system)
    }

    async fn concepts(
        &self,
        select: &str,
        parameters: &Parameters<'_>,
        count_max: Option<usize>,
    ) -> Result<(Vec<(String, String)>, bool), ProjectionError> {
        let client = self.database.get().await?;
        let statement = client.prepare_cached(select).await?;
        let rows = client.query(&statement, parameters).await?;
        let mut rows = rows
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<Vec<(String, String)>, tokio_postgres::Error>>()?;
        let is_cut = count_max.is_some_and(|most| rows.len() > most);
        rows.truncate(count_max.unwrap_or(usize::MAX));
        Ok((rows, is_cut))
    }

    /// Puts concepts together to a system, with the hierarchy between them.
    async fn linked(
        &self,
        large: &Large,
        rows: Vec<(String, String)>,
    ) -> Result<CodeSystem, ProjectionError> {
        let bodies: Vec<&str> = rows.iter().map(|(_, body)| body.as_str()).collect();
        let text = format!("{{\"url\":{},\"concept\":[{}]}}", quoted(&large.head.url), bodies.join(","));
        let head = &large.head;
        let mut system = match Document::parse(text, &Limits::default()) {
            Ok(document) => CodeSystem::read(document.root()),
            Err(_damaged) => CodeSystem::named(head.url.as_str()),
        };
        system.version.clone_from(&head.version);
        system.name.clone_from(&head.name);
        system.content.clone_from(&head.content);
        system.is_case_sensitive = head.is_case_sensitive;
        system.is_subsuming = head.is_subsuming;
        if rows.is_empty() {
            return Ok(system);
        }
        let select = format!(
            "SELECT e.parent, e.child FROM {} AS e
             WHERE e.system = $1 AND e.child = ANY($3) AND e.seq = ANY($2) ORDER BY e.child, e.parent",
            self.tables.edge
        );
        let codes: Vec<&str> = rows.iter().map(|(code, _)| code.as_str()).collect();
        let (edges, _) = self.concepts(&select, &[&large.system, &large.parts, &codes], None).await?;
        for (parent, child) in edges {
            system.link(&parent, &child);
        }
        Ok(system)
    }
}

/// The query over words: the system, and every word as a beginning. Words are letters and digits only.
fn asked(system: i64, text: &str) -> String {
    let mut all = vec![format!("'{}'", mark(system))];
    all.extend(words(text).iter().map(|word| format!("'{word}':*")));
    all.join(" & ")
}

fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
