//! The data keys that some rows need, and the bodies that they open.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use tokio_postgres::Row;

use super::Log;
use super::row::PAYLOAD;
use crate::seal::{DataKey, Header, Place};
use crate::{LogError, codec};

/// A data key, or why there is none.
pub(crate) type KeyOf = Result<Arc<DataKey>, String>;

/// The keys of some rows, for as long as they are read.
#[derive(Debug, Default, Clone)]
pub(crate) struct Ring {
    pub(super) log: [u8; 32],
    pub(super) keys: HashMap<u32, KeyOf>,
}

impl Ring {
    /// The body of a stored form, or why it cannot be read.
    pub(crate) fn body(&self, stored: &[u8], place: Placed<'_>) -> Result<Bytes, String> {
        let Some(header) = Header::of(stored).map_err(|error| error.to_string())? else {
            return codec::decode(stored).map_err(|error| error.to_string());
        };
        let unknown = || Err("nobody has asked for its data key".to_owned());
        let key = self.keys.get(&header.key).cloned().unwrap_or_else(unknown)?;
        let Placed { position, key: resource, version } = place;
        let place = Place { log: &self.log, position, key: resource, version };
        let frame = key.open(&place, stored).map_err(|error| error.to_string())?;
        let body = codec::decode(&frame).map_err(|error| error.to_string())?;
        match u32::try_from(body.len()) == Ok(header.body_bytes) {
            true => Ok(body),
            false => Err("the sealed body has another length than it says".to_owned()),
        }
    }
}

/// Whose body it is, within the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) position: crate::Position,
    pub(crate) key: &'a crate::ResourceKey,
    pub(crate) version: crate::Version,
}

impl Log {
    /// The keys that these rows of [`super::row::COLUMNS`] need.
    ///
    /// # Errors
    /// When the database or the holder of the master keys does not answer.
    pub(crate) async fn ring(&self, rows: &[Row]) -> Result<Ring, LogError> {
        self.ring_of(rows, PAYLOAD).await
    }

    /// The same for rows that have the payload in another column.
    pub(crate) async fn ring_of(&self, rows: &[Row], payload: usize) -> Result<Ring, LogError> {
        let mut numbers = Vec::new();
        for row in rows {
            let stored: Option<&[u8]> = row.try_get(payload)?;
            // One that is damaged is told of when its body is read.
            if let Ok(Some(header)) = Header::of(stored.unwrap_or_default()) {
                numbers.push(header.key);
            }
        }
        self.inner.data_keys.ring(numbers).await
    }
}
