//! The FHIR service over HTTP: one interaction a file, between the request and the actors, the log and the index.
//!
//! [`configure`] mounts the services of all workspaces at `/{workspace}/{service}`. The HTTP side reads a
//! [`Request`], [`dispatch`] calls the interaction that its table names, and the [`Answer`] or the
//! [`crate::error::Failure`] is written as HTTP. Entries of a batch call [`dispatch`] again.

pub(crate) mod access;
mod actors;
mod answer;
mod as_of;
mod audit_trail;
mod audited;
mod binary;
mod body;
mod bounds;
mod call;
mod capabilities;
mod complexity;
pub(crate) mod conditional_create;
pub(crate) mod conditional_delete;
mod conditional_patch;
mod conditional_update;
mod contained;
mod create;
pub mod criteria;
pub(crate) mod delete;
mod dispatch;
mod explain;
mod export_job;
mod feed;
mod guard;
pub(crate) mod history;
mod http;
pub(crate) mod idempotency;
mod include;
pub(crate) mod interaction;
mod large;
pub mod negotiate;
mod offered;
mod operation;
mod operations;
mod operator;
pub(crate) mod page;
pub(crate) mod parameters;
pub(crate) mod patch;
mod pretty;
mod projections;
mod provenance;
pub(crate) mod query;
mod read;
mod rebuild;
mod reindex_job;
pub mod resource;
pub(crate) mod route;
pub(crate) mod search;
mod security;
mod service;
mod subset;
mod terminology_capabilities;
mod told;
pub mod turns;
mod unpark;
mod update;
pub(crate) mod validation;
mod vread;
mod write;
mod xml;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};

use audited::audited;

pub use answer::Answer;
pub(crate) use audited::access as noted;
pub use body::Arriving;
pub use call::{Body, Call, CheckedQuery, Conditions, Request};
pub use complexity::Complexity;
pub use dispatch::dispatch;
pub(crate) use feed::event_line;
pub(crate) use guard::forwarded;
pub use guard::{Cors, Guard, GuardOptions, Limits, Rate, guard};
pub use http::not_found;
pub use large::Large;
pub use negotiate::Return;
pub use offered::{Offered, offered};
pub(crate) use operator::address;
pub(crate) use query::Query;
pub use service::{ApiOptions, Service, Services};
pub use told::tell;
pub use validation::{Checked, ValidationOptions};

/// Mounts all services, and what each workspace has for operators and subscribers.
pub fn configure(services: Services) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let smarts = services.clone();
        config
            .app_data(web::Data::new(services))
            .service(operator::at("$actors", "GET").route(web::get().to(actors::list)).wrap(from_fn(audited)))
            .service(operator::at("$events", "GET").route(web::get().to(feed::serve)).wrap(from_fn(audited)))
            .service(
                operator::at("$projections", "GET")
                    .route(web::get().to(projections::list))
                    .wrap(from_fn(audited)),
            )
            .service(
                operator::at("$rebuild", "POST, DELETE")
                    .route(web::post().to(rebuild::start))
                    .route(web::delete().to(rebuild::cancel))
                    .wrap(from_fn(audited)),
            )
            .service(
                operator::at("$unpark", "POST").route(web::post().to(unpark::unpark)).wrap(from_fn(audited)),
            )
            .configure(audit_trail_routes)
            .configure(|config| smart_routes(config, &smarts))
            .service(
                // Nothing is there; that somebody has asked is on record all the same.
                web::resource(["/{workspace}", "/{workspace}/"])
                    .default_service(web::to(http::not_found))
                    .wrap(from_fn(audited)),
            )
            .service(
                web::scope("/{workspace}/{service}")
                    .wrap(from_fn(audited))
                    .default_service(web::to(http::serve)),
            );
    }
}

/// Services that have an authorization server: its addresses come first, and all others are those of the service.
fn smart_routes(config: &mut ServiceConfig, services: &Services) {
    for ((workspace, service), smart) in services.smarts() {
        // Names of workspaces and services mean nothing in a pattern.
        let scope = web::scope(&format!("/{{workspace:{workspace}}}/{{service:{service}}}"));
        config.service(
            scope
                .wrap(from_fn(audited))
                .configure(|routes| smart.configure(routes))
                .default_service(web::to(http::serve)),
        );
    }
}

/// The audit log of each workspace, as an endpoint beside its services.
fn audit_trail_routes(config: &mut ServiceConfig) {
    config
        .service(
            operator::at("audit/metadata", "GET")
                .route(web::get().to(audit_trail::metadata))
                .wrap(from_fn(audited)),
        )
        .service(
            operator::at("audit/AuditEvent", "GET")
                .route(web::get().to(audit_trail::search))
                .wrap(from_fn(audited)),
        )
        .service(
            operator::at("audit/AuditEvent/{id}", "GET")
                .route(web::get().to(audit_trail::read))
                .wrap(from_fn(audited)),
        )
        .service(
            operator::at("audit/$verify", "GET")
                .route(web::get().to(audit_trail::verify))
                .wrap(from_fn(audited)),
        );
}
