//! Looks up labels, so that a search asks for their tokens.

use super::SearchIndex;
use crate::ProjectionError;
use crate::search::atom::Atom;
use crate::search::label::LabelsAtom;
use crate::search::sql::Statement;
use crate::search::tables::Tables;

impl SearchIndex {
    /// What a row has that has one of these labels: one of their tokens. Where that would be too many, each row is tested
    /// by the table of labels: of so many, some are found soon.
    ///
    /// Labels are there as long as a row has their token, those rows included that are kept of the past. So what is
    /// looked up now is true for each position that rows are kept for.
    pub(super) async fn labelled(
        &self,
        tables: &Tables,
        asked: &[&LabelsAtom],
    ) -> Result<Vec<Atom>, ProjectionError> {
        let most = self.limits.labels_max;
        let rows = self.ask(&Statement::labels(tables, asked, most.saturating_add(1))).await?;
        let row = rows.first().ok_or_else(|| self.unknown(tables))?;
        let mut tokens: Vec<i64> = row.try_get(0)?;
        if i64::try_from(tokens.len()).unwrap_or(i64::MAX) > most {
            return Ok(asked.iter().map(|one| Atom::Labels((*one).clone())).collect());
        }
        tokens.sort_unstable();
        Ok(tokens.into_iter().map(Atom::Token).collect())
    }
}
