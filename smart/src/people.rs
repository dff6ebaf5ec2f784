//! The people's side: the addresses that browsers come to, and those by which users are administered and apps are launched.

use actix_web::web;

pub(crate) mod answer;
pub(crate) mod browser;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod mark;

use crate::interaction::{cancel, consent, emergency, patient, show, sign_in, sign_out};
use crate::{authorize, launch, upstream, users};

/// Mounts them below the service's base.
pub(crate) fn configure(routes: &mut web::ServiceConfig) {
    // Azure's proxy for SMART apps has its address beside ours.
    for address in ["/auth/authorize", "/AadSmartOnFhirProxy/authorize"] {
        routes.service(
            web::resource(address)
                .route(web::get().to(authorize::get))
                .route(web::post().to(authorize::post)),
        );
    }
    routes
        .route("/auth/style.css", web::get().to(answer::style))
        .route("/auth/interaction", web::get().to(show::get))
        .route("/auth/sign-in", web::post().to(sign_in::post))
        .route("/auth/upstream", web::get().to(upstream::leave::get))
        .route("/auth/upstream/callback", web::get().to(upstream::back::get))
        .route("/auth/sign-out", web::get().to(sign_out::get))
        .route("/auth/sign-out", web::post().to(sign_out::post))
        .route("/auth/patient", web::post().to(patient::post))
        .route("/auth/emergency", web::post().to(emergency::post))
        .route("/auth/consent", web::post().to(consent::post))
        .route("/auth/cancel", web::post().to(cancel::post))
        .route("/auth/launch", web::post().to(launch::post))
        .route("/auth/users", web::get().to(users::api::list))
        .route("/auth/users", web::post().to(users::api::add))
        .route("/auth/users/{id}", web::get().to(users::api::get))
        .route("/auth/users/{id}", web::put().to(users::api::put))
        .route("/auth/users/{id}", web::delete().to(users::api::delete));
}
