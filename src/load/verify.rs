//! Reads back what the server says it has stored, and compares it with what was sent.

use anamnesis_fhir::json::{Document, Limits};
use reqwest::StatusCode;
use tokio_util::sync::CancellationToken;

use super::answer::{Failure, Stored};
use super::client::Client;
use super::compare::{Names, differences};
use super::documents::{Entry, RawBundle, Request};

/// What reading back has found.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Resources that are there and the same.
    pub(super) verified: usize,
    /// Those that are not.
    pub(super) failures: Vec<Failure>,
}

impl Client {
    /// Reads back everything of `stored` and compares it with `request`. What existed before (`ifNoneExist`) must be
    /// there, but need not be the same. Ends early when `stop` is cancelled.
    pub(super) async fn verify(
        &self,
        request: &Request,
        stored: &[Stored],
        stop: &CancellationToken,
    ) -> Verdict {
        let mut verdict = Verdict::default();
        let entries = entries(request);
        let names: Names = stored
            .iter()
            .filter_map(|stored| {
                let full_url = entries.get(stored.entry)?.full_url.as_ref()?;
                Some((full_url.clone().into_owned(), address(stored.location.as_deref()?)?))
            })
            .collect();
        for stored in stored {
            if stop.is_cancelled() {
                break;
            }
            let Some(entry) = entries.get(stored.entry) else { continue };
            let Some(sent) = entry.resource else { continue };
            let posted = entry.request.as_ref().is_some_and(|request| request.method == "POST");
            let outcome = match stored.location.as_deref().and_then(address) {
                None => Err((None, "the server does not say where it has stored this".to_owned())),
                Some(address) => match self.read(&address, stop).await {
                    Err(why) => Err(why),
                    Ok(_) if posted && !stored.created => Ok(()),
                    Ok(body) => compare(sent.get(), &body, &names).map_err(|why| (Some(StatusCode::OK), why)),
                },
            };
            match outcome {
                Ok(()) => verdict.verified += 1,
                Err((status, why)) => verdict.failures.push(request.entry_failure(stored.entry, status, why)),
            }
        }
        verdict
    }
}

fn entries(request: &Request) -> Vec<Entry<'_>> {
    let bundle: RawBundle<'_> = serde_json::from_slice(&request.body).unwrap_or_default();
    bundle.entry.iter().map(|entry| serde_json::from_str(entry.get()).unwrap_or_default()).collect()
}

fn compare(sent: &str, stored: &[u8], names: &Names) -> Result<(), String> {
    let limits = Limits::default();
    let parse = |bytes: &[u8]| Document::parse(bytes, &limits).map_err(|error| format!("read back: {error}"));
    let (sent, stored) = (parse(sent.as_bytes())?, parse(stored)?);
    match differences(sent.root(), stored.root(), names) {
        found if found.is_empty() => Ok(()),
        found => Err(format!("read back differently: {}", found.join(", "))),
    }
}

/// `Type/id` of a location, which may be absolute and may name a version.
fn address(location: &str) -> Option<String> {
    let path = location.split_once("/_history/").map_or(location, |(path, _)| path);
    let mut parts = path.rsplit('/');
    let (id, resource_type) = (parts.next()?, parts.next()?);
    Some(format!("{resource_type}/{id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_found_in_every_form_of_a_location() {
        for location in
            ["Patient/1/_history/2", "http://a/b/Patient/1/_history/2", "/x/Patient/1", "Patient/1"]
        {
            assert_eq!(address(location).as_deref(), Some("Patient/1"));
        }
        assert_eq!(address("1"), None);
    }
}
