//! The FHIR service over HTTP: one interaction a file, between the request and the actors, the log and the index.
//!
//! [`configure`] mounts the services of all workspaces at `/{workspace}/{service}`. Every request passes
//! `dispatch`, which reads path, headers and query once, calls the interaction that its table names, and renders
//! what comes back. Interactions know no HTTP errors: they return a [`crate::error::Failure`].

mod actors;
mod body;
mod call;
mod capabilities;
mod create;
mod delete;
mod dispatch;
mod history;
pub mod negotiate;
mod page;
mod pretty;
mod query;
mod read;
mod reply;
pub mod resource;
mod route;
mod service;
mod update;
mod versions;
mod vread;
mod write;

use actix_web::web::{self, ServiceConfig};

pub use dispatch::not_found;
pub use service::{ApiOptions, Service, Services};

/// Mounts all services, and the introspection of each workspace's actors.
pub fn configure(services: Services) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        config
            .app_data(web::Data::new(services))
            .route("/{workspace}/$actors", web::get().to(actors::list))
            .service(web::scope("/{workspace}/{service}").default_service(web::to(dispatch::dispatch)));
    }
}
