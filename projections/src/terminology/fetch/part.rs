//! Parts of large code systems: a concept with all above it, with all below it, a page, the results of a filter.

use anamnesis_fhir::json::{Document, Limits};
use anamnesis_fhir::terminology::{CodeSystem, EXPANSION_CODES_MAX, Extent, words};
use tokio_postgres::types::ToSql;

use super::Fetcher;
use crate::ProjectionError;
use crate::terminology::rows::{mark, quoted};
use crate::terminology::snapshot::Large;

/// Concepts above those that were asked for. A concept of SNOMED CT has some tens.
pub(super) const ABOVE_MAX: usize = 50_000;
/// Concepts right below one that are told.
pub(super) const CHILDREN_MAX: usize = 500;

pub(super) type Parameters<'p> = [&'p (dyn ToSql + Sync)];

impl Fetcher<'_> {
    /// A part of a large system.
    pub(super) async fn part(&self, large: &Large, extent: &Extent) -> Result<CodeSystem, ProjectionError> {
        match extent {
            Extent::Code(code) => self.with_codes(large, std::slice::from_ref(code)).await,
            Extent::Below(code) => self.below(large, code).await,
            Extent::All(text) => self.matching(large, text.as_deref()).await,
            Extent::Page(page) => self.page(large, page).await,
        }
    }

    /// Concepts with all above them, and with the codes right below them.
    pub(super) async fn with_codes(
        &self,
        large: &Large,
        codes: &[String],
    ) -> Result<CodeSystem, ProjectionError> {
        if !large.head.is_case_sensitive {
            return self.near_folded(large, codes).await;
        }
        let (edge, concept) = (&self.tables.edge, &self.tables.concept);
        let select = format!(
            r#"WITH RECURSIVE up (code) AS (
                 SELECT unnest($3::text[]) COLLATE "C"
               UNION
                 SELECT e.parent FROM up CROSS JOIN LATERAL (
                     SELECT e.parent FROM {edge} AS e
                     WHERE e.system = $1 AND e.child = up.code AND e.seq = ANY($2) OFFSET 0) AS e),
             near (code) AS (
                 (SELECT code FROM up LIMIT {ABOVE_MAX})
               UNION
                 (SELECT e.child FROM {edge} AS e
                  WHERE e.system = $1 AND e.parent = ANY($3) AND e.seq = ANY($2) LIMIT {CHILDREN_MAX}))
             SELECT near.code, c.body FROM near CROSS JOIN LATERAL (
                 SELECT c.body, c.seq FROM {concept} AS c
                 WHERE c.system = $1 AND c.code = near.code AND c.seq = ANY($2) OFFSET 0) AS c
             ORDER BY near.code, c.seq DESC"#
        );
        let (rows, _) = self.concepts(&select, &[&large.system, &large.parts, &codes], None).await?;
        self.linked(large, rows).await
    }

    async fn below(&self, large: &Large, code: &str) -> Result<CodeSystem, ProjectionError> {
        if !large.head.is_case_sensitive {
            return self.below_folded(large, code).await;
        }
        let mut codes = self.walked(large, code, EXPANSION_CODES_MAX + 1).await?;
        let is_cut = codes.len() > EXPANSION_CODES_MAX;
        codes.truncate(EXPANSION_CODES_MAX);
        let rows = if is_cut { Vec::new() } else { self.bodies(large, &codes).await? };
        let mut system = self.linked(large, rows).await?;
        system.is_truncated = is_cut;
        Ok(system)
    }

    /// All concepts, where an expansion may have so many.
    async fn all(&self, large: &Large) -> Result<CodeSystem, ProjectionError> {
        let is_cut = usize::try_from(large.concepts).unwrap_or(0) > EXPANSION_CODES_MAX;
        let mut rows = Vec::new();
        if !is_cut {
            // One that several parts have is there several times, the newest first.
            let select = format!(
                "SELECT code, body FROM {} WHERE system = $1 AND seq = ANY($2) ORDER BY code, seq DESC",
                self.tables.concept
            );
            rows = self.concepts(&select, &[&large.system, &large.parts], None).await?.0;
        }
        let mut system = self.linked(large, rows).await?;
        system.is_truncated = is_cut;
        Ok(system)
    }

    /// All concepts whose words begin so.
    async fn matching(&self, large: &Large, text: Option<&str>) -> Result<CodeSystem, ProjectionError> {
        if text.is_none() {
            return self.all(large).await;
        }
        let Some(asked) = text.and_then(|text| asked(large.system, text)) else {
            let mut system = self.linked(large, Vec::new()).await?;
            system.is_truncated = true;
            return Ok(system);
        };
        let select = format!(
            "SELECT code, body FROM {}
             WHERE words @@ $3::text::tsquery AND system + 0 = $1 AND seq + 0 = ANY($2) ORDER BY code LIMIT {}",
            self.tables.concept,
            EXPANSION_CODES_MAX + 1
        );
        let most = Some(EXPANSION_CODES_MAX);
        let (rows, is_cut) = self.concepts(&select, &[&large.system, &large.parts, &asked], most).await?;
        let mut system = self.linked(large, rows).await?;
        system.is_truncated = is_cut;
        Ok(system)
    }

    /// The concepts with these codes, in order. One that several parts have is there several times, the newest first.
    pub(super) async fn bodies(
        &self,
        large: &Large,
        codes: &[String],
    ) -> Result<Vec<(String, String)>, ProjectionError> {
        let select = format!(
            "SELECT code, body FROM {}
             WHERE system = $1 AND code = ANY($3) AND seq = ANY($2) ORDER BY code, seq DESC",
            self.tables.concept
        );
        Ok(self.concepts(&select, &[&large.system, &large.parts, &codes], None).await?.0)
    }

    /// The first codes below a concept and itself that a walk comes upon.
    pub(super) async fn walked(
        &self,
        large: &Large,
        code: &str,
        codes_max: usize,
    ) -> Result<Vec<String>, ProjectionError> {
        let (edge, concept) = (&self.tables.edge, &self.tables.concept);
        // The walk ends where enough are found: the recursive part is made row by row as it is read. The OFFSETs keep the
        // planner, who knows nothing of how deep it goes, from reading whole tables for each step.
        let select = format!(
            r#"WITH RECURSIVE down (code) AS (
                 SELECT $3::text COLLATE "C" WHERE EXISTS (
                     SELECT FROM {concept} AS c WHERE c.system = $1 AND c.code = $3 AND c.seq = ANY($2))
               UNION
                 SELECT e.child FROM down CROSS JOIN LATERAL (
                     SELECT e.child FROM {edge} AS e
                     WHERE e.system = $1 AND e.parent = down.code AND e.seq = ANY($2) OFFSET 0) AS e
                 CROSS JOIN LATERAL (
                     SELECT FROM {concept} AS c
                     WHERE c.system = $1 AND c.code = e.child AND c.seq = ANY($2) LIMIT 1) AS c)
             SELECT code FROM down LIMIT {codes_max}"#
        );
        self.codes(&select, &[&large.system, &large.parts, &code]).await
    }

    pub(super) async fn concepts(
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
    pub(super) async fn linked(
        &self,
        large: &Large,
        rows: Vec<(String, String)>,
    ) -> Result<CodeSystem, ProjectionError> {
        let bodies: Vec<&str> = rows.iter().map(|(_, body)| body.as_str()).collect();
        let head = &large.head;
        let mut system = of_bodies(&head.url, head.is_case_sensitive, &bodies);
        system.version.clone_from(&head.version);
        system.name.clone_from(&head.name);
        system.content.clone_from(&head.content);
        system.is_subsuming = head.is_subsuming;
        if rows.is_empty() {
            return Ok(system);
        }
        let codes: Vec<String> = rows.into_iter().map(|(code, _)| code).collect();
        if !head.is_case_sensitive {
            self.link_folded(large, &mut system, &codes).await?;
            return Ok(system);
        }
        let select = format!(
            "SELECT e.parent, e.child FROM {} AS e
             WHERE e.system = $1 AND e.child = ANY($3) AND e.seq = ANY($2) ORDER BY e.child, e.parent",
            self.tables.edge
        );
        let (edges, _) = self.concepts(&select, &[&large.system, &large.parts, &codes], None).await?;
        for (parent, child) in edges {
            system.link(&parent, &child);
        }
        Ok(system)
    }
}

/// A system of these concepts.
pub(super) fn of_bodies(url: &str, is_case_sensitive: bool, bodies: &[&str]) -> CodeSystem {
    let (quoted, concepts) = (quoted(url), bodies.join(","));
    let text = format!(r#"{{"url":{quoted},"caseSensitive":{is_case_sensitive},"concept":[{concepts}]}}"#);
    match Document::parse(text, &Limits::default()) {
        Ok(document) => CodeSystem::read(document.root()),
        Err(_damaged) => CodeSystem::named(url),
    }
}

/// The query over words: the system, and every word as a beginning; none where there are no words. Words are letters and
/// digits only.
pub(super) fn asked(system: i64, text: &str) -> Option<String> {
    let words = words(text);
    let all =
        std::iter::once(format!("'{}'", mark(system))).chain(words.iter().map(|word| format!("'{word}':*")));
    (!words.is_empty()).then(|| all.collect::<Vec<_>>().join(" & "))
}

pub(super) fn whole(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
