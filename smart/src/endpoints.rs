//! Where the endpoints for apps are, and which web pages may ask them (CORS).

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN, VARY,
};
use actix_web::middleware::{Next, from_fn};
use actix_web::{Error, HttpResponse, guard, web};

use crate::server::SmartServer;
use crate::{discovery, introspect, registration, revoke, token};

/// Seconds for which a browser may keep the answer to a preflight.
const PREFLIGHT_KEPT_S: &str = "600";

/// Mounts them at a scope that is the service's base.
pub(crate) fn configure(routes: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(path.to_owned()).wrap(from_fn(shared));
    let read = || web::route().guard(guard::Any(guard::Get()).or(guard::Head()));
    routes
        .service(at("/.well-known/smart-configuration").route(read().to(discovery::smart)))
        .service(at("/.well-known/openid-configuration").route(read().to(discovery::openid)))
        .service(at("/auth/jwks").route(read().to(discovery::keys)))
        .service(at("/auth/token").route(web::post().to(token::token)))
        // Where Azure has it.
        .service(at("/AadSmartOnFhirProxy/token").route(web::post().to(token::token)))
        .service(at("/auth/introspect").route(web::post().to(introspect::introspect)))
        .service(at("/auth/revoke").route(web::post().to(revoke::revoke)))
        .service(at("/auth/register").route(web::post().to(registration::register)))
        .service(
            at("/auth/register/{id}")
                .route(web::get().to(registration::read))
                .route(web::put().to(registration::update))
                .route(web::delete().to(registration::remove)),
        );
}

/// Lets web pages of the origins of the options ask, without cookies: none of these endpoints takes any.
async fn shared(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let allowed = allowed(&request);
    let is_preflight =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let mut answered = match is_preflight {
        true => request.into_response(preflight()).map_into_boxed_body(),
        false => next.call(request).await?.map_into_boxed_body(),
    };
    let headers = answered.headers_mut();
    match allowed {
        Allowed::All => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        }
        Allowed::One(origin) => {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.append(VARY, HeaderValue::from_static("Origin"));
        }
        Allowed::None => headers.append(VARY, HeaderValue::from_static("Origin")),
    }
    Ok(answered)
}

/// Who may ask.
enum Allowed {
    All,
    One(HeaderValue),
    None,
}

fn allowed(request: &ServiceRequest) -> Allowed {
    let Some(server) = request.app_data::<web::Data<SmartServer>>() else { return Allowed::None };
    let origins = &server.options.origins;
    if origins.iter().any(|origin| origin == "*") {
        return Allowed::All;
    }
    let origin = request.headers().get(ORIGIN);
    let known = |origin: &&HeaderValue| origins.iter().any(|other| other.as_bytes() == origin.as_bytes());
    origin.filter(known).map_or(Allowed::None, |origin| Allowed::One(origin.clone()))
}

fn preflight() -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, PUT, DELETE"))
        .insert_header((ACCESS_CONTROL_ALLOW_HEADERS, "authorization, content-type, accept"))
        .insert_header((ACCESS_CONTROL_MAX_AGE, PREFLIGHT_KEPT_S))
        .finish()
}
