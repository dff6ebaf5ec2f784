//! Bodies that leave the log sealed and come back so: those of messages.

use bytes::Bytes;

use super::Log;
use super::ring::Placed;
use crate::codec::Encoder;
use crate::message::Received;
use crate::seal::{Header, Place};
use crate::{Event, LogError};

impl Log {
    /// The event's body as it is to leave the log, with the number of its data key; `None` where bodies are not sealed, or
    /// there is none.
    ///
    /// # Errors
    /// When the database or the holder of the master keys does not answer.
    pub(crate) async fn seal(&self, event: &Event) -> Result<Option<(u32, Bytes)>, LogError> {
        let inner = &self.inner;
        if !inner.data_keys.is_on() || event.payload.is_empty() {
            return Ok(None);
        }
        let keys = inner.data_keys.for_writing(std::iter::once(event.home.as_str())).await?;
        let broken = |reason: String| LogError::Broken { position: event.position, reason };
        let key = keys.get(&event.home).ok_or_else(|| broken("it has no data key".to_owned()))?;
        let frame = self.frame(&event.payload).map_err(|error| broken(error.to_string()))?;
        let log = inner.data_keys.genesis();
        let place = Place { log, position: event.position, key: &event.key, version: event.version };
        let sealed = key.seal(&place, &frame, event.payload.len());
        Ok(Some((key.number(), sealed.map_err(|error| broken(error.to_string()))?.into())))
    }

    fn frame(&self, body: &[u8]) -> Result<Vec<u8>, crate::codec::CodecError> {
        let mut slot = self.inner.encoder.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let encoder = match slot.take() {
            Some(encoder) => encoder,
            None => Encoder::new(self.inner.options.compression_level)?,
        };
        slot.insert(encoder).encode(body)
    }

    /// The event of a message with its body opened; `None` where it does not open.
    ///
    /// # Errors
    /// When the database or the holder of the master keys does not answer.
    pub(crate) async fn unseal(&self, received: Received) -> Result<Option<Event>, LogError> {
        let Received { mut event, is_sealed, .. } = received;
        if !is_sealed {
            return Ok(Some(event));
        }
        let Ok(Some(header)) = Header::of(&event.payload) else { return Ok(None) };
        let ring = self.inner.data_keys.ring(vec![header.key]).await?;
        let place = Placed { position: event.position, key: &event.key, version: event.version };
        let Ok(body) = ring.body(&event.payload, place) else { return Ok(None) };
        event.payload = body;
        Ok(Some(event))
    }
}
