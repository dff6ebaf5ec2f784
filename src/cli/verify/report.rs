//! What a check has found: a table for people, JSON for machines.

use std::io::Write;
use std::time::Duration;

use anamnesis_events::audit::{Faults, Part};
use anamnesis_events::{Log, Position};
use serde_json::{Value, json};

/// One part that was checked.
pub(super) struct Row {
    part: Part,
    count: u64,
    what: &'static str,
    digest: Option<[u8; 32]>,
    notes: Vec<String>,
    /// What is wrong with it.
    pub(super) faults: Faults,
}

impl Row {
    /// A part of so many things.
    pub(super) fn new(part: Part, count: u64, what: &'static str, digest: Option<[u8; 32]>) -> Self {
        Self { part, count, what, digest, notes: Vec::new(), faults: Faults::default() }
    }

    /// Adds something worth knowing that is no fault.
    pub(super) fn note(&mut self, text: String) {
        self.notes.push(text);
    }
}

/// Everything that was checked.
pub(super) struct Report {
    workspace: String,
    after: Position,
    until: Position,
    rows: Vec<Row>,
    left_out: Vec<(Part, &'static str)>,
    took: Duration,
}

impl Report {
    pub(super) fn new(log: &Log, after: Position, until: Position) -> Self {
        let workspace = log.workspace().to_owned();
        Self { workspace, after, until, rows: Vec::new(), left_out: Vec::new(), took: Duration::ZERO }
    }

    pub(super) fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// A part that was asked for and could not be checked this way.
    pub(super) fn left_out(&mut self, part: Part, why: &'static str) {
        self.left_out.push((part, why));
    }

    pub(super) fn took(&mut self, time: Duration) {
        self.took = time;
    }

    /// How many faults there are.
    pub(super) fn faults(&self) -> u64 {
        self.rows.iter().map(|row| row.faults.count()).sum()
    }

    pub(super) fn print(&self, json: bool) -> std::io::Result<()> {
        let mut out = std::io::stdout().lock();
        match json {
            true => writeln!(out, "{:#}", self.json())?,
            false => write!(out, "{}", self.text())?,
        }
        out.flush()
    }

    fn text(&self) -> String {
        let (first, last) = (self.after.next(), self.until);
        let mut text = match self.until > self.after {
            true => format!("workspace {}, positions {first} to {last}\n\n", self.workspace),
            false => format!("workspace {}, no events\n\n", self.workspace),
        };
        for row in &self.rows {
            let result = if row.faults.count() == 0 { "ok" } else { "FAULT" };
            let digest = row.digest.map_or_else(|| "-".to_owned(), |digest| hex(&digest));
            let (part, count, what) = (row.part.name(), row.count, row.what);
            text.push_str(&format!("{part:<8} {count:>10} {what:<10} {digest:<64}  {result}\n"));
            for note in &row.notes {
                text.push_str(&format!("{:<8} {note}\n", ""));
            }
        }
        for (part, why) in &self.left_out {
            text.push_str(&format!("{:<8} not checked: {why}\n", part.name()));
        }
        for row in &self.rows {
            for fault in row.faults.kept() {
                text.push_str(&format!("FAULT in {}: {fault}\n", row.part));
            }
            let more = row.faults.count().saturating_sub(row.faults.kept().len() as u64);
            if more > 0 {
                text.push_str(&format!("FAULT in {}: {more} more\n", row.part));
            }
        }
        let seconds = self.took.as_secs_f64();
        text.push_str(&format!("\nchecked in {seconds:.1} s\n"));
        text
    }

    fn json(&self) -> Value {
        let parts: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let left_out: Vec<Value> =
            self.left_out.iter().map(|(part, why)| json!({"part": part.name(), "why": why})).collect();
        json!({
            "workspace": self.workspace,
            "from": self.after.next().get(),
            "to": self.until.get(),
            "ok": self.faults() == 0,
            "seconds": self.took.as_secs_f64(),
            "parts": parts,
            "notChecked": left_out,
        })
    }
}

impl Row {
    fn json(&self) -> Value {
        let faults: Vec<Value> = self
            .faults
            .kept()
            .iter()
            .map(|fault| {
                let position = (fault.position > Position::ZERO).then_some(fault.position.get());
                json!({"position": position, "reason": fault.reason})
            })
            .collect();
        json!({
            "part": self.part.name(),
            "ok": self.faults.count() == 0,
            "count": self.count,
            "of": self.what,
            "digest": self.digest.map(|digest| hex(&digest)),
            "notes": self.notes,
            "faultCount": self.faults.count(),
            "faults": faults,
        })
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
