//! Whether what is in force on compartments, holds and purges, is what the log says: who takes a row away lifts a hold.

use std::collections::HashMap;

use uuid::Uuid;

use super::Faults;
use crate::log::decide::compartment_key;
use crate::{Event, Kind, Log, LogError, Position};

/// What the log has left in force, by the names of the compartments.
#[derive(Debug, Default)]
pub(super) struct InForce(HashMap<String, Standing>);

/// The events that began what has not ended.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Standing {
    purge: Option<Position>,
    hold: Option<Position>,
}

impl InForce {
    /// Takes the next event of the log.
    pub(super) fn take(&mut self, event: &Event) {
        if !event.kind.guards() {
            return;
        }
        let standing = self.0.entry(event.home.clone()).or_default();
        match event.kind {
            Kind::PurgeBegun => standing.purge = Some(event.position),
            Kind::CompartmentPurged => standing.purge = None,
            Kind::LegalHoldPlaced => standing.hold = Some(event.position),
            _ => standing.hold = None,
        }
        if *standing == Standing::default() {
            self.0.remove(&event.home);
        }
    }

    /// Compares it with the table, as it was left by the log up to a position; what has changed since is passed over.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub(super) async fn compare(
        self,
        log: &Log,
        until: Position,
        faults: &mut Faults,
    ) -> Result<(), LogError> {
        let statement =
            "SELECT compartment, purge_seq, hold_seq FROM anamnesis.compartment_guard WHERE log = $1";
        let mut found: HashMap<Uuid, Standing> = HashMap::new();
        for row in log.query(statement, &[&log.number()]).await? {
            let position = |at: Option<i64>| at.map(Position::from_sql);
            let standing = Standing { purge: position(row.try_get(1)?), hold: position(row.try_get(2)?) };
            found.insert(row.try_get(0)?, standing);
        }
        for (home, expected) in self.0 {
            let is = found.remove(&compartment_key(&home)).unwrap_or_default();
            if is != expected && !has_changed(log, &home, until).await? {
                let at = expected.hold.or(expected.purge).unwrap_or_default();
                let reason =
                    "it places a hold on its compartment, or begins its purge, but that is not in force";
                faults.add(at, reason);
            }
        }
        for standing in found.into_values() {
            let at = standing.hold.max(standing.purge).unwrap_or_default();
            if at <= until {
                faults.add(at, "a hold or a purge is in force that has ended, or of which there is no event");
            }
        }
        Ok(())
    }
}

async fn has_changed(log: &Log, home: &str, until: Position) -> Result<bool, LogError> {
    let statement =
        "SELECT FROM anamnesis.event WHERE log = $1 AND hashtext(home) = hashtext($2) AND home = $2
        AND seq > $3 AND kind BETWEEN 8 AND 11 LIMIT 1";
    Ok(!log.query(statement, &[&log.number(), &home, &until.to_sql()]).await?.is_empty())
}
