//! Refusals that the HTTP library makes by itself, with the OperationOutcome that every refusal of this server has.

use actix_web::Error;
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap};
use actix_web::middleware::Next;

use super::answer::respond;
use super::http::style_of;
use crate::error::{Failure, FailureKind, IssueCode};
use crate::telemetry::RequestIds;

/// A middleware outside of all that may refuse: a refusal without a form of its own gets an OperationOutcome. What is
/// refused before it is a request, because it is no HTTP, never comes here.
///
/// # Errors
/// Those of the layers within, unchanged; errors of handlers are answers by then.
pub async fn tell<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let response = next.call(request).await?;
    if !is_formless(response.status(), response.headers()) {
        return Ok(response.map_into_left_body());
    }
    let (request, refused) = response.into_parts();
    let failure = Err(failure(refused.status()));
    let mut told = respond(failure, &RequestIds::given_to(&request), style_of(&request));
    *told.status_mut() = refused.status();
    for (name, value) in refused.headers() {
        // What was packed was the other body.
        if name != CONTENT_ENCODING && !told.headers().contains_key(name) {
            told.headers_mut().append(name.clone(), value.clone());
        }
    }
    Ok(ServiceResponse::new(request, told).map_into_right_body())
}

/// Whether an answer is a refusal in no form of ours: all of those say what they are, and none is plain text.
fn is_formless(status: StatusCode, headers: &HeaderMap) -> bool {
    let is_refusal = status.is_client_error() || status.is_server_error();
    is_refusal && headers.get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"))
}

/// What the library means by a status.
fn failure(status: StatusCode) -> Failure {
    match status {
        StatusCode::NOT_ACCEPTABLE => Failure::new(
            FailureKind::NotAcceptable,
            IssueCode::NotSupported,
            "The header Accept-Encoding allows none of the encodings that are offered: gzip, deflate, identity.",
        )
        .at("Accept-Encoding"),
        StatusCode::NOT_FOUND => Failure::not_found("There is nothing at this path."),
        StatusCode::METHOD_NOT_ALLOWED => Failure::new(
            FailureKind::NotAllowed,
            IssueCode::NotSupported,
            "This server does not offer that method here.",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => {
            Failure::new(FailureKind::TooLarge, IssueCode::TooLong, "The body is too large.")
        }
        StatusCode::REQUEST_TIMEOUT => {
            Failure::new(FailureKind::Timeout, IssueCode::Timeout, "The request did not arrive in time.")
        }
        status if status.is_server_error() => Failure::internal(),
        _ => Failure::invalid("The request cannot be understood."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::ALLOW;
    use actix_web::middleware::from_fn;
    use actix_web::{App, HttpResponse, error, test, web};

    async fn asked(path: &str) -> (u16, Option<String>, String) {
        let broken = || async { Err::<HttpResponse, _>(error::ErrorPayloadTooLarge("a secret")) };
        let bare = || async { HttpResponse::MethodNotAllowed().insert_header((ALLOW, "PUT")).finish() };
        let ours = || async { HttpResponse::ServiceUnavailable().json("ours") };
        let late = || async { HttpResponse::RequestHeaderFieldsTooLarge().body("a secret") };
        let plain = || async { HttpResponse::Ok().content_type("text/plain").body("figures") };
        let app = App::new()
            .wrap(from_fn(tell))
            .route("/broken", web::get().to(broken))
            .route("/bare", web::get().to(bare))
            .route("/ours", web::get().to(ours))
            .route("/late", web::get().to(late))
            .route("/plain", web::get().to(plain));
        let app = test::init_service(app).await;
        let response = test::call_service(&app, test::TestRequest::get().uri(path).to_request()).await;
        let allow = response.headers().get(ALLOW).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        (status, allow, String::from_utf8(test::read_body(response).await.to_vec()).unwrap())
    }

    #[actix_web::test]
    async fn refusals_without_a_form_become_outcomes_and_others_stay() {
        for (path, status, allow, code) in [
            ("/broken", 413, None, "too-long"),
            ("/bare", 405, Some("PUT"), "not-supported"),
            ("/late", 431, None, "invalid"),
            ("/nothing", 404, None, "not-found"),
        ] {
            let (found, allowed, body) = asked(path).await;
            assert_eq!((found, allowed.as_deref()), (status, allow), "{path}");
            let outcome: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!(outcome["resourceType"], "OperationOutcome");
            assert_eq!(outcome["issue"][0]["code"], code, "{path}");
            assert!(!body.contains("secret"), "{body}");
        }
        assert_eq!(asked("/ours").await, (503, None, "\"ours\"".to_owned()));
        assert_eq!(asked("/plain").await, (200, None, "figures".to_owned()));
    }
}
