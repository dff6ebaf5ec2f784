//! Which resources have the concepts of a code system: for those who add to it.

use std::collections::HashMap;

use anamnesis_events::Position;
use anamnesis_fhir::terminology::Canonical;

use super::{Fetcher, Known};
use crate::ProjectionError;
use crate::terminology::rows::system;

/// The resources that a code system is stored in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The version of the system; that of the newest resource where none was asked for.
    pub version: Option<String>,
    /// The resource that is the whole system, else all of its parts; the newest first.
    pub resources: Vec<Place>,
    /// Which of the codes that were asked for the parts have, and the event of the newest part that has it.
    pub codes: HashMap<String, Position>,
    /// How many concepts the resources have together.
    pub concepts: u64,
}

/// One of these resources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its id.
    pub id: String,
    /// The event that it stands at.
    pub position: Position,
    /// How many concepts it has.
    pub concepts: u64,
    /// Whether it says that it has all of them.
    pub is_whole: bool,
}

impl Fetcher<'_> {
    /// Where a code system is, and where these codes of it are.
    pub(in crate::terminology) async fn places(
        &self,
        canonical: &Canonical,
        codes: &[String],
    ) -> Result<Places, ProjectionError> {
        let mut rows = self.known("CodeSystem", canonical).await?;
        let Some(newest) = rows.first() else { return Ok(Places::default()) };
        let version = newest.version.clone();
        rows.retain(|row| row.version == version);
        if let Some(whole) = rows.iter().position(is_whole) {
            rows = rows.into_iter().skip(whole).take(1).collect();
        }
        let parts: Vec<i64> = rows.iter().map(|row| row.seq).collect();
        let select = format!(
            "SELECT code, max(seq) FROM {}
             WHERE system = $1 AND code = ANY($2) AND seq = ANY($3) GROUP BY code",
            self.tables.concept
        );
        let system = system(self.log.number(), &canonical.url);
        let client = self.database.get().await?;
        let statement = client.prepare_cached(&select).await?;
        let found = client.query(&statement, &[&system, &codes, &parts]).await?;
        let codes = found.iter().map(|row| Ok((row.try_get(0)?, at(row.try_get(1)?))));
        let codes = codes.collect::<Result<HashMap<String, Position>, tokio_postgres::Error>>()?;
        let concepts = rows.iter().map(|row| row.concepts.unsigned_abs()).sum();
        let place = |row: Known| Place {
            is_whole: is_whole(&row),
            id: row.id,
            position: at(row.seq),
            concepts: row.concepts.unsigned_abs(),
        };
        Ok(Places { version, resources: rows.into_iter().map(place).collect(), codes, concepts })
    }
}

fn is_whole(row: &Known) -> bool {
    row.content == "complete"
}

fn at(seq: i64) -> Position {
    Position::new(seq.unsigned_abs())
}
