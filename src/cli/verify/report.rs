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

/// Everything that was checked, and what was to be checked and was not.
pub(super) struct Report {
    workspace: String,
    after: Position,
    until: Position,
    rows: Vec<Row>,
    left_out: Vec<(Part, &'static str)>,
    unfinished: Vec<(Part, String)>,
    /// What nothing has been told of yet.
    wanted: Vec<Part>,
    started: Duration,
    took: Duration,
}

impl Report {
    /// A report on these parts, begun at a time of the clock.
    pub(super) fn new(
        log: &Log,
        (after, until): (Position, Position),
        started: Duration,
        wanted: impl Iterator<Item = Part>,
    ) -> Self {
        Self {
            workspace: log.workspace().to_owned(),
            after,
            until,
            rows: Vec::new(),
            left_out: Vec::new(),
            unfinished: Vec::new(),
            wanted: wanted.collect(),
            started,
            took: Duration::ZERO,
        }
    }

    /// A part that was checked.
    pub(super) fn add(&mut self, row: Row) {
        self.told(row.part);
        self.rows.push(row);
    }

    /// A part that was checked, or why it could not be finished.
    pub(super) fn take(&mut self, part: Part, checked: anyhow::Result<Row>) {
        match checked {
            Ok(row) => self.add(row),
            Err(error) => self.unfinished(part, format!("{error:#}")),
        }
    }

    /// A part that was asked for with all others and is not checked this way.
    pub(super) fn left_out(&mut self, part: Part, why: &'static str) {
        self.told(part);
        self.left_out.push((part, why));
    }

    /// A part that could not be finished.
    pub(super) fn unfinished(&mut self, part: Part, why: String) {
        self.told(part);
        self.unfinished.push((part, why));
    }

    fn told(&mut self, part: Part) {
        self.wanted.retain(|wanted| *wanted != part);
    }

    /// Ends it at a time of the clock: what nothing was told of has been stopped.
    pub(super) fn end(&mut self, now: Duration) {
        self.took = now.saturating_sub(self.started);
        for part in std::mem::take(&mut self.wanted) {
            self.unfinished(part, "stopped before it was done".to_owned());
        }
    }

    /// How many faults there are.
    fn faults(&self) -> u64 {
        self.rows.iter().map(|row| row.faults.count()).sum()
    }

    /// What the command ends with: well only where something was checked to its end, and nothing is wrong.
    pub(super) fn outcome(&self) -> anyhow::Result<()> {
        let mut wrong = Vec::new();
        match self.faults() {
            0 => {}
            1 => wrong.push("the store is not as it must be: 1 fault".to_owned()),
            faults => wrong.push(format!("the store is not as it must be: {faults} faults")),
        }
        wrong.extend(self.unfinished.iter().map(|(part, why)| format!("{part} was not finished: {why}")));
        if self.rows.is_empty() && wrong.is_empty() {
            wrong.push("nothing was checked".to_owned());
        }
        match wrong.is_empty() {
            true => Ok(()),
            false => anyhow::bail!("{}", wrong.join("; ")),
        }
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
            text.push_str(&format!("{part:<11} {count:>10} {what:<10} {digest:<64}  {result}\n"));
            for note in &row.notes {
                text.push_str(&format!("{:<11} {note}\n", ""));
            }
        }
        for (part, why) in &self.left_out {
            text.push_str(&format!("{:<11} not checked: {why}\n", part.name()));
        }
        for (part, why) in &self.unfinished {
            text.push_str(&format!("{:<11} UNFINISHED: {why}\n", part.name()));
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
        let unfinished: Vec<Value> =
            self.unfinished.iter().map(|(part, why)| json!({"part": part.name(), "why": why})).collect();
        json!({
            "workspace": self.workspace,
            "from": self.after.next().get(),
            "to": self.until.get(),
            "ok": self.outcome().is_ok(),
            "seconds": self.took.as_secs_f64(),
            "parts": parts,
            "notChecked": left_out,
            "unfinished": unfinished,
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
