//! `$purge`: a patient is erased, with every resource of its compartment, in all versions (Azure's `$purge`, which has no
//! standard). The answer says what was erased and what remains.

use anamnesis_events::{Mentions, PurgeReport, PurgeRequest, ResourceKey};
use serde_json::{Value, json};

use super::{Input, Takes};
use crate::api::answer::Answer;
use crate::api::call::{Body, Call};
use crate::api::idempotency;
use crate::api::operation::{Invocation, Level, Work};
use crate::error::{Failure, FailureKind, IssueCode};

const TAKES: Takes = Takes { operation: "$purge", refuses_others: true, ..Takes::NOTHING };
/// Types whose resources are their members' alike, whoever is the first one (R4 group.html).
const SPARED: [&str; 1] = ["Group"];
/// Resources that are named in the answer, of those that still name the patient.
const NAMED_MAX: usize = 100;

/// What is left of every purge, in words.
const REMAINS: [(&str, &str); 7] = [
    (
        "envelopes",
        "The log keeps of each event that there was one: its position, type, id, version, compartments, time, agent and reason, \
         the SHA-256 of its body and the hash of the chain. A reason is text that a client has sent.",
    ),
    (
        "audit-log",
        "Records of who has accessed this patient stay until their retention ends; they name its id.",
    ),
    (
        "stream",
        "Messages with bodies are taken out of the stream a moment after this answer; subscribers that have read them have \
         what they have read.",
    ),
    (
        "database-files",
        "Postgres overwrites the old rows in its time (VACUUM); until then they are in its files, in its write-ahead log and \
         on its standbys.",
    ),
    (
        "backups",
        "Backups from before hold everything. Where the workspace is encrypted, a backup holds the bodies' key as well, \
         wrapped by the master key. After a restore the purge has to be done again.",
    ),
    (
        "exports",
        "What was downloaded of exports, or recorded, before is outside of this server; files that are here have it no more.",
    ),
    ("dicom", "This server has no DICOM service yet: images in other systems are not touched."),
];

/// `POST /Patient/1/$purge`
pub(in crate::api) fn run(call: &Call, invocation: Invocation) -> Work<'_> {
    Box::pin(purge(call, invocation))
}

async fn purge(call: &Call, invocation: Invocation) -> Result<Answer, Failure> {
    let Level::Instance(key) = &invocation.level else { return Err(Failure::internal()) };
    refuse_headers(call, "$purge")?;
    read(call, invocation.body, &TAKES).await?;
    let request = PurgeRequest {
        compartment: key.to_string(),
        key: key.clone(),
        agent: call.provenance().agent,
        source: None,
        spares: SPARED.map(str::to_owned).to_vec(),
    };
    let report = call.service.purges()?.purge(request).await?;
    if let Some(ended) = report.ended {
        call.access.reaches(ended);
    }
    let log = &call.service.log;
    let groups = log.mentions(&key.to_string(), ("Group", true), NAMED_MAX).await?;
    let others = log.mentions(&key.to_string(), ("Group", false), NAMED_MAX).await?;
    let shown = shown(key, &report, [&others, &groups]);
    Ok(Answer {
        position: report.ended,
        recorded: !report.was_done,
        ..Answer::ok(json!({ "resourceType": "Parameters", "parameter": shown }).to_string())
    })
}

/// What came with a call, where nothing of it is unknown.
///
/// # Errors
/// 400.
pub(super) async fn read<'a>(call: &'a Call, body: Body, takes: &Takes) -> Result<Input<'a>, Failure> {
    let input = Input::read(call, body).await?;
    let issues = takes.check(call, &input)?;
    if issues.is_empty() { Ok(input) } else { Err(Failure::with_issues(FailureKind::Invalid, issues)) }
}

/// Refuses what would go unheard. A purge that is asked for again says that it is done: no key is needed for that.
///
/// # Errors
/// 400.
pub(super) fn refuse_headers(call: &Call, operation: &str) -> Result<(), Failure> {
    if call.once.is_some() {
        return Err(idempotency::not_taken(
            "This operation takes no Idempotency-Key: it can be asked for again.",
        ));
    }
    if call.sent_provenance.is_some() {
        let text = format!("{operation} takes no X-Provenance: it makes no version that one could be about.");
        return Err(Failure::new(FailureKind::Invalid, IssueCode::NotSupported, text));
    }
    Ok(())
}

fn shown(key: &ResourceKey, report: &PurgeReport, [others, groups]: [&Mentions; 2]) -> Vec<Value> {
    let status = match (report.was_done, report.ended) {
        (false, _) => "purged",
        (true, Some(_)) => "purged-before",
        (true, None) => "nothing-left",
    };
    let mut shown = vec![
        json!({ "name": "patient", "valueReference": { "reference": key.to_string() } }),
        json!({ "name": "status", "valueCode": status }),
        json!({ "name": "resources", "valueDecimal": report.resources }),
        json!({ "name": "versions", "valueDecimal": report.versions }),
        json!({ "name": "keyDestroyed", "valueBoolean": report.key_destroyed }),
    ];
    for (name, position) in [("begun", report.begun), ("ended", report.ended)] {
        shown.extend(position.map(|at| json!({ "name": name, "valueDecimal": at.get() })));
    }
    let ended_at = report.ended_at.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Micros, true));
    shown.extend(ended_at.map(|at| json!({ "name": "endedAt", "valueInstant": at })));
    shown.push(told(
        "shared",
        ("records-of-others", &report.shared),
        "Erased resources that were in the records of other patients as well, such as appointments with several of them.",
    ));
    shown.push(mentioned(
        ("references", others),
        "Resources of other compartments that name this patient where the definition of the patient compartment looks, or that \
         have left it by their last write.",
    ));
    shown.push(mentioned(("groups", groups), "Groups of which this patient is a member."));
    let remaining = |(what, text): (&str, &str)| {
        let part =
            json!([{ "name": "what", "valueCode": what }, { "name": "description", "valueString": text }]);
        json!({ "name": "remains", "part": part })
    };
    shown.extend(REMAINS.map(remaining));
    shown
}

fn mentioned(what: (&str, &Mentions), text: &str) -> Value {
    told("remains", what, text)
}

fn told(name: &str, (what, mentions): (&str, &Mentions), text: &str) -> Value {
    let mut part = vec![
        json!({ "name": "what", "valueCode": what }),
        json!({ "name": "description", "valueString": text }),
        json!({ "name": "count", "valueDecimal": mentions.count }),
    ];
    part.extend(
        mentions
            .first
            .iter()
            .map(|key| json!({ "name": "resource", "valueReference": { "reference": key.to_string() } })),
    );
    json!({ "name": name, "part": part })
}
