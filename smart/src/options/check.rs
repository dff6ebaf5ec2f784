//! Whether options make sense.

use std::collections::HashSet;
use std::time::Duration;

use url::Url;

use super::SmartOptions;
use crate::error::SmartError;
use crate::host::Host;

/// The longest that what is signed may be good, so that keys can be changed.
const SIGNED_MAX: Duration = Duration::from_secs(86_400);
/// The longest that anything may be good.
const LASTS_MAX: Duration = Duration::from_secs(10 * 366 * 86_400);

impl SmartOptions {
    /// Checks them.
    pub(crate) fn check(&self, host: &dyn Host) -> Result<(), SmartError> {
        let base: Option<Url> = self.base.parse().ok();
        let is_base = base.is_some_and(|base| {
            matches!(base.scheme(), "http" | "https") && base.query().is_none() && base.fragment().is_none()
        });
        if !is_base || self.base.ends_with('/') {
            return Err(invalid("the base is no address without a last slash"));
        }
        self.check_times()?;
        if let Some(upstream) = &self.upstream {
            upstream.check()?;
        }
        let mut ids = HashSet::new();
        for (index, client) in self.clients.iter().enumerate() {
            let place = format!("client {index} of the configuration");
            if !ids.insert(&client.id) {
                return Err(invalid(format!("{place}: there is another one of its id")));
            }
            client.check().map_err(|error| invalid(format!("{place}: {}", error.description)))?;
            host.read_registered(&client.scope)
                .map_err(|error| invalid(format!("{place}: scope: {error}")))?;
        }
        Ok(())
    }

    fn check_times(&self) -> Result<(), SmartError> {
        let signed = [
            ("access_for", self.access_for),
            ("emergency_for", self.emergency_for),
            ("backend_for", self.backend_for),
        ];
        let others = [
            ("refresh_for", self.refresh_for),
            ("family_for", self.family_for),
            ("session_for", self.session_for),
            ("request_for", self.request_for),
            ("code_for", self.code_for),
        ];
        let signed = signed.map(|(name, lasts)| (name, lasts, SIGNED_MAX));
        let others = others.map(|(name, lasts)| (name, lasts, LASTS_MAX));
        for (name, lasts, most) in signed.into_iter().chain(others) {
            if lasts < Duration::from_secs(1) || lasts > most {
                let days = most.as_secs() / 86_400;
                return Err(invalid(format!("{name} is less than a second or more than {days} days")));
            }
        }
        Ok(())
    }
}

fn invalid(what: impl Into<String>) -> SmartError {
    SmartError::Invalid(what.into())
}
