//! Guessing: how often a password may be tried for a user, and from an address.

use crate::error::SmartError;
use crate::secret::digest_of;
use crate::server::SmartServer;

/// What wrong passwords are counted for.
pub(crate) struct Attempt {
    user: Vec<u8>,
    address: Vec<u8>,
    /// Whether there were not too many.
    pub(crate) is_allowed: bool,
}

impl SmartServer {
    /// Counts an attempt before it is made.
    pub(crate) async fn attempt(&self, name: &str, address: &str) -> Result<Attempt, SmartError> {
        // The kind stands before, so that nobody can name a user like an address.
        let user = digest_of(&format!("user {name}"));
        let address = digest_of(&format!("address {address}"));
        let now = self.host.now();
        let within = |count: i32, most: u32| u32::try_from(count).is_ok_and(|count| count <= most);
        // An address that has guessed too often locks nobody out any more, and fills no table with names.
        let of_address = self.store.count_attempt(&address, now).await?;
        let is_allowed = within(of_address, self.options.attempts_per_address_max)
            && within(self.store.count_attempt(&user, now).await?, self.options.attempts_max);
        Ok(Attempt { user, address, is_allowed })
    }

    /// The attempt was none at guessing.
    pub(crate) async fn forgive(&self, attempt: &Attempt) -> Result<(), SmartError> {
        self.store.forgive_attempts(&attempt.user, &attempt.address).await
    }
}
