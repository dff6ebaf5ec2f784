//! The table of addresses: what answers where.

use actix_web::{HttpResponse, web};

use super::Parts;
use super::health;
use crate::api;

/// Puts every address of the server into its place.
///
/// The addresses that belong to no workspace come first, since a workspace's name may be anything else.
pub fn configure_routes(routes: &mut web::ServiceConfig, parts: &web::Data<Parts>) {
    routes
        .service(api::address("/health/live", "GET").route(web::get().to(health::live)))
        .service(api::address("/health/ready", "GET").route(web::get().to(health::ready)))
        .service(
            api::address("/{workspace}/{service}/health/check", "GET").route(web::get().to(health::check)),
        )
        .service(api::address("/metrics", "GET").route(web::get().to(metrics)))
        .configure(api::configure(parts.services().clone()))
        .default_service(web::to(api::not_found));
}

/// `GET /metrics`: the figures in Prometheus's text format.
async fn metrics(parts: web::Data<Parts>) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=utf-8").body(parts.metrics().render())
}
