//! Notifications in the audit log: data that is sent to an endpoint is an access of whoever listens there.
//!
//! The record is written before the notification is sent, so that nothing is told to anybody without one; what the receiver answers is
//! not known then. One that is sent again is on record again.

use anamnesis_audit::{Action, Kind, Outcome};
use anamnesis_events::{Event, ResourceKey, Version};

use super::deliver::Failed;
use super::matching::TYPE;
use crate::access::Principal;
use crate::audit::{Access, Audit, NOTIFICATION, Surroundings};

/// Where notifications are put on record, if anywhere.
#[derive(Debug, Clone, Default)]
pub(super) struct OnRecord {
    audit: Option<Audit>,
    service: String,
}

impl OnRecord {
    pub(super) fn new(audit: Option<Audit>, service: &str) -> Self {
        Self { audit, service: service.to_owned() }
    }

    /// Puts one on record that is about to be sent: the version of the Subscription, which says where to, and what it tells of.
    ///
    /// # Errors
    /// It cannot be put on record and has to be: then it is not sent.
    pub(super) async fn notification(
        &self,
        (id, version): (&str, Version),
        events: impl Iterator<Item = &Event>,
    ) -> Result<(), Failed> {
        let Some(audit) = &self.audit else { return Ok(()) };
        let access = Access::begin();
        access.by(&Principal::server());
        let key = ResourceKey::new(TYPE, id);
        access.asks(NOTIFICATION, Action::R, Some(&key));
        access.finds_in(&key, version, "");
        for event in events {
            access.shows(event);
            access.reaches(event.position);
        }
        let surroundings = Surroundings {
            kind: Some(Kind::Export),
            service: self.service.clone(),
            ..Surroundings::default()
        };
        let mut records = access.records(&surroundings, None);
        records.iter_mut().for_each(|record| record.outcome = Outcome::Success);
        let recorded = audit.record(records).await;
        recorded.map_err(|_| Failed("it could not be put on record in the audit log".to_owned()))
    }
}
