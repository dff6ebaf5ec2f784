//! The order of a large code system out of its tables, and what is picked out of it.

use std::sync::Arc;

use anamnesis_fhir::terminology::{CodeSystem, Concept, EXPANSION_CODES_MAX};
use futures::future::try_join_all;
use tokio_postgres::Row;

use super::Fetcher;
use super::page::WITH_WORDS;
use super::part::{ABOVE_MAX, CHILDREN_MAX, of_bodies};
use crate::terminology::order::{Linking, Order, Texts};
use crate::terminology::orders::{ListOf, ORDER_BYTES_MAX, Ordered};
use crate::terminology::picked::Picked;
use crate::terminology::snapshot::Large;
use crate::{ProjectionError, processor};

/// Parts that are read at a time, each of them in one row.
const PARTS_AT_ONCE: usize = 2;

impl Fetcher<'_> {
    /// The codes and the hierarchy of a system in memory: read once, and kept until the system has other parts.
    pub(super) async fn order(&self, large: &Large) -> Result<Arc<Ordered>, ProjectionError> {
        if let Some(known) = self.known_order(large) {
            return Ok(known);
        }
        // Apart: it takes much room, and is seldom needed.
        let read = Box::pin(self.read_order(large));
        Box::pin(self.orders.get_or_read(self.tables.version, large, read)).await
    }

    /// The same, where it is there already.
    pub(super) fn known_order(&self, large: &Large) -> Option<Arc<Ordered>> {
        self.orders.known(self.tables.version, large)
    }

    async fn read_order(&self, large: &Large) -> Result<Order, ProjectionError> {
        let mut texts = Texts::default();
        let select =
            format!("SELECT array_agg(code) FROM {} WHERE log = $1 AND seq = $2", self.tables.concept);
        for parts in large.parts.chunks(PARTS_AT_ONCE) {
            for row in try_join_all(parts.iter().map(|part| self.of_part(&select, *part))).await? {
                for code in row.try_get::<_, Option<Vec<&str>>>(0)?.unwrap_or_default() {
                    if !texts.push(code) || texts.bytes() > ORDER_BYTES_MAX {
                        return Err(ProjectionError::TooMuchWork);
                    }
                }
            }
        }
        let is_case_sensitive = large.head.is_case_sensitive;
        let mut linking = processor::compute(move || Linking::new(&texts, is_case_sensitive)).await?;
        let select = format!(
            "SELECT array_agg(parent), array_agg(child) FROM {} WHERE log = $1 AND seq = $2",
            self.tables.edge
        );
        for parts in large.parts.chunks(PARTS_AT_ONCE) {
            for row in try_join_all(parts.iter().map(|part| self.of_part(&select, *part))).await? {
                let above = row.try_get::<_, Option<Vec<&str>>>(0)?.unwrap_or_default();
                let below = row.try_get::<_, Option<Vec<&str>>>(1)?.unwrap_or_default();
                above.iter().zip(below).for_each(|(above, below)| linking.link(above, below));
                if linking.bytes() > ORDER_BYTES_MAX {
                    return Err(ProjectionError::TooMuchWork);
                }
            }
        }
        // What was replaced meanwhile has left its rows out: such an order must not be kept.
        self.check_parts(large).await?;
        processor::compute(move || linking.finish()).await
    }

    /// The concepts with codes in any spelling, with all above them and those right below them: of a system that does not tell
    /// letters apart, which the tables do.
    pub(super) async fn near_folded(
        &self,
        large: &Large,
        codes: &[String],
    ) -> Result<CodeSystem, ProjectionError> {
        let ordered = self.order(large).await?;
        let order = &ordered.order;
        let numbers: Vec<u32> = codes.iter().filter_map(|code| order.find(code)).collect();
        let near = order.near(&numbers, CHILDREN_MAX);
        let near = order.spellings(&near.page((0, ABOVE_MAX + CHILDREN_MAX)));
        let rows = self.bodies(large, &near).await?;
        self.linked(large, rows).await
    }

    /// The concept with a code in any spelling and all below it.
    pub(super) async fn below_folded(
        &self,
        large: &Large,
        code: &str,
    ) -> Result<CodeSystem, ProjectionError> {
        let ordered = self.order(large).await?;
        let below = self.branch(&ordered, code).await?;
        let below = below.map(|below| below.page((0, EXPANSION_CODES_MAX + 1))).unwrap_or_default();
        let is_cut = below.len() > EXPANSION_CODES_MAX;
        let codes = if is_cut { Vec::new() } else { ordered.order.spellings(&below) };
        let rows = self.bodies(large, &codes).await?;
        let mut system = self.linked(large, rows).await?;
        system.is_truncated = is_cut;
        Ok(system)
    }

    /// Puts concepts one below the other by the order.
    pub(super) async fn link_folded(
        &self,
        large: &Large,
        system: &mut CodeSystem,
        codes: &[String],
    ) -> Result<(), ProjectionError> {
        let ordered = self.order(large).await?;
        let order = &ordered.order;
        for (code, number) in codes.iter().filter_map(|code| Some((code, order.find(code)?))) {
            for above in order.right_above(number).filter_map(|above| order.code(above)) {
                system.link(above, code);
            }
        }
        Ok(())
    }

    async fn of_part(&self, select: &str, part: i64) -> Result<Row, ProjectionError> {
        let client = self.database.get().await?;
        let statement = client.prepare_cached(select).await?;
        Ok(client.query_one(&statement, &[&self.log.number(), &part]).await?)
    }

    /// The concept with a code and all below it; none where there is no such concept.
    pub(super) async fn branch(
        &self,
        ordered: &Arc<Ordered>,
        code: &str,
    ) -> Result<Option<Arc<Picked>>, ProjectionError> {
        let Some(top) = ordered.order.find(code) else { return Ok(None) };
        let of = ListOf::Branch(code.to_owned());
        if let Some(known) = ordered.known(&of) {
            return Ok(Some(known));
        }
        let found = {
            let ordered = Arc::clone(ordered);
            processor::compute(move || ordered.order.below(top)).await?
        };
        Ok(Some(self.orders.keep(ordered, of, found)))
    }

    /// All concepts that have the words.
    pub(super) async fn with_words(
        &self,
        large: &Large,
        ordered: &Arc<Ordered>,
        asked: &str,
    ) -> Result<Arc<Picked>, ProjectionError> {
        let of = ListOf::Words(asked.to_owned());
        if let Some(known) = ordered.known(&of) {
            return Ok(known);
        }
        let select = format!("SELECT array_agg(code) FROM {} WHERE {}", self.tables.concept, WITH_WORDS);
        let row = {
            let client = self.database.get().await?;
            let statement = client.prepare_cached(&select).await?;
            client.query_one(&statement, &[&large.system, &large.parts, &asked]).await?
        };
        let found = {
            let ordered = Arc::clone(ordered);
            let pick = move || {
                let codes = row.try_get::<_, Option<Vec<&str>>>(0)?.unwrap_or_default();
                Ok::<_, tokio_postgres::Error>(picked(&ordered.order, codes))
            };
            processor::compute(pick).await??
        };
        Ok(self.orders.keep(ordered, of, found))
    }

    /// The concepts that are inactive, or abstract. Both are found out together.
    pub(super) async fn marked(
        &self,
        large: &Large,
        ordered: &Arc<Ordered>,
        of: ListOf,
    ) -> Result<Arc<Picked>, ProjectionError> {
        if let Some(known) = ordered.known(&of) {
            return Ok(known);
        }
        // Those alone that may be so are read; a property may be written with escapes.
        let select = format!(
            r#"SELECT array_agg(body) FROM {} WHERE log = $1 AND seq = $2 AND (
                 (body LIKE '%true%'
                  AND (body LIKE '%"inactive"%' OR body LIKE '%"notSelectable"%' OR body LIKE '%"abstract"%'))
                 OR (body LIKE '%"status"%' AND (body LIKE '%"retired"%' OR body LIKE '%"inactive"%'))
                 OR strpos(body, '\u') > 0)"#,
            self.tables.concept
        );
        let len = ordered.order.len();
        let (mut inactive, mut abstracts) = (Picked::none(len), Picked::none(len));
        for part in &large.parts {
            let row = self.of_part(&select, *part).await?;
            let shared = Arc::clone(ordered);
            let found = processor::compute(move || marked_in(&shared.order, &row)).await??;
            for (number, is_inactive, is_abstract) in found {
                is_inactive.then(|| inactive.insert(number));
                is_abstract.then(|| abstracts.insert(number));
            }
        }
        let inactive = self.orders.keep(ordered, ListOf::Inactive, inactive);
        let abstracts = self.orders.keep(ordered, ListOf::Abstract, abstracts);
        Ok(if of == ListOf::Inactive { inactive } else { abstracts })
    }

    /// The list of these codes.
    pub(super) async fn pick(
        &self,
        ordered: &Arc<Ordered>,
        of: ListOf,
        codes: Vec<String>,
    ) -> Result<Arc<Picked>, ProjectionError> {
        let found = {
            let ordered = Arc::clone(ordered);
            let pick = move || picked(&ordered.order, codes.iter().map(String::as_str));
            processor::compute(pick).await?
        };
        Ok(self.orders.keep(ordered, of, found))
    }
}

/// Numbers of concepts, whether each is inactive, and whether it is abstract.
fn marked_in(order: &Order, row: &Row) -> Result<Vec<(u32, bool, bool)>, ProjectionError> {
    let bodies = row.try_get::<_, Option<Vec<&str>>>(0)?.unwrap_or_default();
    let system = of_bodies("", true, &bodies);
    let marked =
        |concept: &Concept| Some((order.find(&concept.code)?, concept.is_inactive, concept.is_abstract));
    Ok(system.concepts().iter().filter_map(marked).collect())
}

fn picked<'c>(order: &Order, codes: impl IntoIterator<Item = &'c str>) -> Picked {
    Picked::of(order.len(), codes.into_iter().filter_map(|code| order.find(code)))
}
