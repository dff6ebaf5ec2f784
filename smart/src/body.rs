//! Reads bodies within bounds, in size and in time: whoever sends one drop by drop holds a connection.

use std::time::Duration;

use actix_web::web::Payload;
use futures::StreamExt as _;
use zeroize::Zeroizing;

/// How long a body may take to arrive. All of them are small.
const WAIT: Duration = Duration::from_secs(20);

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is longer than it may be.
    TooLarge,
    /// It did not arrive whole.
    Incomplete,
    /// It did not arrive in time.
    Late,
}

/// Reads a body of so many bytes at most.
pub(crate) async fn read(mut payload: Payload, bytes_max: usize) -> Result<Zeroizing<Vec<u8>>, Unread> {
    let read = async {
        // Has its whole size from the beginning, so that no copy of a password or secret stays behind.
        let mut whole = Zeroizing::new(Vec::with_capacity(bytes_max));
        while let Some(part) = payload.next().await {
            let part = part.map_err(|_| Unread::Incomplete)?;
            if whole.len() + part.len() > bytes_max {
                return Err(Unread::TooLarge);
            }
            whole.extend_from_slice(&part);
        }
        Ok(whole)
    };
    tokio::time::timeout(WAIT, read).await.unwrap_or(Err(Unread::Late))
}
