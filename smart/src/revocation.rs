//! What was revoked, in memory: asked for each request that comes with an access token, so that it never waits.
//!
//! The tables are followed: what this process revokes is known at once, what another one revokes within two seconds. When they
//! cannot be asked, everything counts as revoked after a while.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::{Duration, Instant};

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::error::SmartError;
use crate::store::Store;
use crate::store::revocations::{self, OVERLAP};

/// How often the tables are asked.
pub(crate) const ASKED_EVERY: Duration = Duration::from_secs(1);
/// How long an answer may take.
const ANSWERED_WITHIN: Duration = Duration::from_secs(3);
/// How long the last answer is good for. More than a failed attempt or two, less than what somebody would wait who has
/// revoked a stolen token.
const GOOD_FOR: Duration = Duration::from_secs(10);
/// How often everything is read again, for whatever came late into the tables.
const READ_WHOLE_EVERY: Duration = Duration::from_secs(300);
/// Revoked tokens and families of tokens that are not over yet, at most: some 64 bytes each. Beyond, everything is revoked.
pub(crate) const REVOKED_MAX: usize = 1_000_000;
/// How far the clocks of servers may be apart: so much longer is known what was revoked.
const CLOCK_SKEW: TimeDelta = TimeDelta::minutes(5);

/// What is known of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not revoked.
    Good,
    /// It was revoked, or its family was.
    Revoked,
    /// It cannot be told: the tables cannot be asked.
    Unknown,
}

/// Tokens and families that were revoked.
#[derive(Debug)]
pub(crate) struct Revocations {
    known: RwLock<Known>,
    /// Held by whoever asks the tables.
    asking: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Known {
    /// Which tokens and families, and until when that matters.
    revoked: HashMap<Uuid, DateTime<Utc>>,
    /// When the tables were asked last and answered: by this machine, and by the database.
    asked: Option<(Instant, DateTime<Utc>)>,
    /// When everything was read last.
    read_whole: Option<Instant>,
}

impl Revocations {
    /// Nothing yet, and so no token is good.
    pub(crate) fn new() -> Self {
        Self { known: RwLock::default(), asking: tokio::sync::Mutex::default() }
    }

    /// What is known of an access token.
    pub(crate) fn standing(&self, jti: Uuid, family: Uuid) -> Standing {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.revoked.contains_key(&jti) || known.revoked.contains_key(&family) {
            return Standing::Revoked;
        }
        let is_known = known.asked.is_some_and(|(at, _)| at.elapsed() <= GOOD_FOR);
        match is_known && known.revoked.len() <= REVOKED_MAX {
            true => Standing::Good,
            false => Standing::Unknown,
        }
    }

    /// How many are known.
    pub(crate) fn len(&self) -> usize {
        self.known.read().unwrap_or_else(PoisonError::into_inner).revoked.len()
    }

    /// Asks the tables what is new.
    pub(crate) async fn follow(&self, store: &Store, now: DateTime<Utc>) -> Result<(), SmartError> {
        let asked = tokio::time::timeout(ANSWERED_WITHIN, self.ask(store, now)).await;
        asked.map_err(|_| SmartError::Pool("no answer in time".to_owned()))?
    }

    async fn ask(&self, store: &Store, now: DateTime<Utc>) -> Result<(), SmartError> {
        let _alone = self.asking.lock().await;
        let at = Instant::now();
        let since = {
            let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
            let is_whole = known.read_whole.is_none_or(|last| at.duration_since(last) >= READ_WHOLE_EVERY);
            known.asked.filter(|_| !is_whole).map(|(_, asked_at)| asked_at - OVERLAP)
        };
        let matters_from = now - CLOCK_SKEW;
        let page = revocations::since(store, since, matters_from, REVOKED_MAX).await?;
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.revoked.extend(page.found);
        if since.is_none() {
            known.read_whole = Some(at);
            known.revoked.retain(|_, ends_at| *ends_at > matters_from);
        }
        known.asked = Some((at, page.asked_at));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "these are tests")]

    use super::*;

    fn known_since(age: Duration) -> Revocations {
        let revocations = Revocations::new();
        let at = Instant::now().checked_sub(age).unwrap();
        revocations.known.write().unwrap().asked = Some((at, DateTime::<Utc>::MIN_UTC));
        revocations
    }

    #[test]
    fn nothing_is_good_before_the_tables_were_asked() {
        assert_eq!(Revocations::new().standing(Uuid::nil(), Uuid::nil()), Standing::Unknown);
    }

    #[test]
    fn an_answer_is_good_for_ten_seconds() {
        let (jti, family) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(known_since(Duration::ZERO).standing(jti, family), Standing::Good);
        let old = known_since(GOOD_FOR + Duration::from_secs(1));
        assert_eq!(old.standing(jti, family), Standing::Unknown);
        old.known.write().unwrap().revoked.insert(family, DateTime::<Utc>::MAX_UTC);
        assert_eq!(old.standing(jti, family), Standing::Revoked, "what is known stays known");
        assert_eq!(old.standing(family, jti), Standing::Revoked);
    }
}
