//! When a request is repeated, and after which pause.

use std::time::Duration;

use chrono::DateTime;
use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};

/// The pause before the first repetition; it doubles with each one.
const PAUSE_FIRST: Duration = Duration::from_millis(250);
/// The longest pause of our own.
const PAUSE_MAX: Duration = Duration::from_secs(20);
/// The longest pause that a server may ask for.
const PAUSE_ASKED_MAX: Duration = Duration::from_secs(120);

/// Whether the server says that it is too busy now.
pub(super) fn is_busy(status: StatusCode) -> bool {
    matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE)
}

/// The pause before repetition `repetition` (from 0). It doubles each time, and `salt` spreads it over its second
/// half, so that many requests refused at once do not come back at once. What the server asks for is granted.
pub(super) fn pause(repetition: u32, salt: u64, asked: Option<Duration>) -> Duration {
    let full = PAUSE_FIRST.saturating_mul(1 << repetition.min(16)).min(PAUSE_MAX);
    let spread = (scatter(salt ^ u64::from(repetition) << 48) >> 32) as f64 / f64::from(u32::MAX);
    let own = full.mul_f64(0.5 + 0.5 * spread);
    match asked {
        Some(asked) => asked.min(PAUSE_ASKED_MAX) + own.mul_f64(0.1),
        None => own,
    }
}

/// What `Retry-After` asks for, in seconds or as a date (RFC 9110 section 10.2.3). A date is compared with the
/// server's own `Date`.
pub(super) fn asked(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let until = DateTime::parse_from_rfc2822(value).ok()?;
    let now = DateTime::parse_from_rfc2822(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some((until - now).to_std().unwrap_or_default())
}

/// Mixes the bits of a number (the finalizer of SplitMix64).
fn scatter(number: u64) -> u64 {
    let mixed = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    #[test]
    fn pauses_grow_stay_bounded_and_differ() {
        let mut last = Duration::ZERO;
        for repetition in 0..6 {
            let pauses: Vec<Duration> = (1..40).map(|salt| pause(repetition, salt, None)).collect();
            let full = PAUSE_FIRST * (1 << repetition);
            assert!(pauses.iter().all(|pause| *pause >= full / 2 && *pause <= full), "{pauses:?}");
            assert!(pauses.iter().min() != pauses.iter().max());
            let sum: Duration = pauses.iter().sum();
            assert!(sum > last);
            last = sum;
        }
        assert!(pause(60, 1, None) <= PAUSE_MAX);
    }

    #[test]
    fn the_server_is_granted_what_it_asks_for_within_reason() {
        let ask = |seconds| pause(0, 9, Some(Duration::from_secs(seconds)));
        assert!((Duration::from_secs(3)..Duration::from_millis(3_100)).contains(&ask(3)));
        assert!(ask(86_400) <= PAUSE_ASKED_MAX + PAUSE_FIRST);
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let headers = |retry: &str, date: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(retry).unwrap());
            headers.insert(DATE, HeaderValue::from_str(date).unwrap());
            asked(&headers)
        };
        let noon = "Wed, 21 Oct 2015 12:00:00 GMT";
        assert_eq!(headers("7", noon), Some(Duration::from_secs(7)));
        assert_eq!(headers("Wed, 21 Oct 2015 12:00:30 GMT", noon), Some(Duration::from_secs(30)));
        assert_eq!(headers("Wed, 21 Oct 2015 11:00:00 GMT", noon), Some(Duration::ZERO));
        assert_eq!(headers("soon", noon), None);
        assert_eq!(asked(&HeaderMap::new()), None);
    }
}
