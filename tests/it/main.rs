//! The FHIR service through HTTP: a real server, a real Postgres, one file per interaction.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod searchset;
mod support;

mod access_bundles;
mod access_keys;
mod access_roles;
mod access_tokens;
mod actors;
mod adversary;
mod adversary_reads;
mod adversary_versions;
mod adversary_writes;
mod as_of;
mod audit_access;
mod audit_alerts;
mod audit_records;
mod audit_refusals;
mod audit_search;
mod bad_input;
mod binary;
mod bundle;
mod bundle_conditions;
mod bundle_reads;
mod bundle_rules;
mod capabilities;
mod concurrency;
mod conditional;
mod create;
mod delete;
mod docref;
mod encryption;
mod erasure;
mod everything;
mod export;
mod export_access;
mod export_groups;
mod export_jobs;
mod feed;
mod forms;
mod full;
mod full_text;
mod gone;
mod group;
mod guard;
mod history;
mod hostile;
mod idempotency;
mod large_bodies;
mod lastn;
mod load;
mod member_match;
mod memory;
mod operation_input;
mod overload;
mod packages;
mod parked;
mod partial_index;
mod passivation;
mod patch;
mod patch_bundle;
mod provenance;
mod purge;
mod races;
mod rates;
mod read;
mod reads;
mod rebuild;
mod reindex;
mod said_twice;
mod search;
mod search_chain;
mod search_contained;
mod search_explain;
mod search_filter;
mod search_include;
mod search_parameters;
mod search_text;
mod subscriptions;
mod terminology;
mod terminology_cost;
mod terminology_import;
mod terminology_nodes;
mod terminology_search;
mod terminology_stored;
mod two_nodes;
mod unheard;
mod update;
mod validate;
mod validation;
mod xml;
