//! Which spans are of this log, in a table that several logs share.

use std::collections::HashSet;

use tokio_postgres::GenericClient;

use crate::ProjectionError;
use crate::checkpoint::Name;
use crate::search::entries::Entries;

/// Families of spans of one log that are kept in memory, 16 bytes each: a few for each search parameter, and one for
/// each unit that is not of UCUM.
const KEYS_MAX: usize = 1 << 20;

/// The families of spans of a log. Version 1 of a store from before each log had its own tables has the spans of all logs
/// in one, and only their keys say of which one they are.
pub(super) enum Keys {
    /// The table is of this log alone.
    All,
    /// The table is of other logs as well.
    Of(HashSet<i64>),
    /// There are more than are kept.
    TooMany,
}

impl Keys {
    /// Of a version that may be another log's as well.
    pub(super) async fn of(client: &impl GenericClient, name: &Name) -> Result<Self, ProjectionError> {
        let shared = "SELECT FROM anamnesis.projection_checkpoint
            WHERE name = $1 AND version = $2 AND log <> $3 LIMIT 1";
        let others = client.query_opt(shared, &[&name.name, &name.version, &name.log]).await?;
        Ok(others.map_or(Keys::All, |_| Keys::Of(HashSet::new())))
    }

    /// Takes the families of a resource.
    pub(super) fn add(&mut self, entries: &Entries) {
        let Keys::Of(keys) = self else { return };
        keys.extend(entries.table_spans().map(|span| span.key));
        if keys.len() > KEYS_MAX {
            *self = Keys::TooMany;
        }
    }

    /// Whether a span with this key is of this log, as far as is known.
    pub(super) fn are_of_log(&self, key: i64) -> bool {
        match self {
            Keys::All => true,
            Keys::Of(keys) => keys.contains(&key),
            Keys::TooMany => false,
        }
    }

    /// Whether the table cannot be looked at as a whole.
    pub(super) fn are_too_many(&self) -> bool {
        matches!(self, Keys::TooMany)
    }

    /// Whether the table is of other logs as well.
    pub(super) fn are_shared(&self) -> bool {
        !matches!(self, Keys::All)
    }
}
