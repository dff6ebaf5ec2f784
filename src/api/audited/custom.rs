//! What clients want to have kept with the record of a request: headers as Azure's FHIR services take them.

use actix_web::http::header::HeaderMap;

use crate::error::{Failure, FailureKind, IssueCode};

/// How the names of these headers begin.
const PREFIX: &str = "x-ms-azurefhir-audit-";
/// Different ones that are taken (as Azure does).
const NAMES_MAX: usize = 10;
/// The longest value of one, all its lines together (as Azure has it).
const VALUE_CHARS_MAX: usize = 2048;

/// These headers by name, in capitals as Azure's documents have them; several lines of one joined by a comma.
///
/// # Errors
/// 400 where there are too many or too long ones, or one is not UTF-8.
pub(super) fn of(headers: &HeaderMap) -> Result<Vec<(String, String)>, Failure> {
    let mut kept: Vec<(String, String)> = Vec::new();
    for (name, value) in headers {
        let name = name.as_str();
        if !name.starts_with(PREFIX) {
            continue;
        }
        let value = std::str::from_utf8(value.as_bytes()).map_err(|_| bad("is not UTF-8.", name))?.trim();
        let name = name.to_uppercase();
        match kept.iter_mut().find(|(known, _)| *known == name) {
            Some((_, values)) => {
                values.push_str(", ");
                values.push_str(value);
            }
            None => kept.push((name, value.to_owned())),
        }
    }
    if kept.len() > NAMES_MAX {
        let text = format!("At most {NAMES_MAX} different headers X-MS-AZUREFHIR-AUDIT-… are taken.");
        return Err(Failure::new(FailureKind::Invalid, IssueCode::TooLong, text));
    }
    match kept.iter().find(|(_, value)| value.chars().count() > VALUE_CHARS_MAX) {
        Some((name, _)) => Err(bad("has more than 2048 characters.", name)),
        None => {
            kept.sort();
            Ok(kept)
        }
    }
}

fn bad(what: &str, name: &str) -> Failure {
    let name = name.to_uppercase();
    let text = format!("The header {name} {what}");
    Failure::new(FailureKind::Invalid, IssueCode::TooLong, text).at(name)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    fn kept(lines: &[(&str, &str)]) -> Result<Vec<(String, String)>, Failure> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(
                name.parse::<HeaderName>().unwrap(),
                HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
        }
        of(&headers)
    }

    #[test]
    fn these_headers_are_kept_and_no_others() {
        let lines = [
            ("X-MS-AZUREFHIR-AUDIT-Site", "ward 1"),
            ("x-ms-azurefhir-audit-site", "Zürich"),
            ("X-MS-AZUREFHIR-AUDIT-A", ""),
            ("X-MS-OTHER", "x"),
        ];
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let wanted =
            [pair("X-MS-AZUREFHIR-AUDIT-A", ""), pair("X-MS-AZUREFHIR-AUDIT-SITE", "ward 1, Zürich")];
        assert_eq!(kept(&lines).unwrap(), wanted);
    }

    #[test]
    fn too_many_and_too_long_ones_are_refused() {
        let names: Vec<String> = (0..11).map(|number| format!("x-ms-azurefhir-audit-{number}")).collect();
        let lines: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        assert_eq!(kept(&lines).unwrap_err().status().as_u16(), 400);
        assert_eq!(kept(&lines[..10]).unwrap().len(), 10);
        let long = "é".repeat(2049);
        assert!(kept(&[("x-ms-azurefhir-audit-a", &long[..4096])]).is_ok());
        let failure = kept(&[("x-ms-azurefhir-audit-a", &long)]).unwrap_err();
        assert_eq!(failure.issues()[0].expression, ["X-MS-AZUREFHIR-AUDIT-A"]);
    }
}
