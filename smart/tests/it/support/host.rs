//! A host for tests: scopes by their text, a clock that can be set, and a memory of what was put on record.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use actix_web::HttpRequest;
use anamnesis_smart::{
    Caller, Host, HostError, Occurrence, PatientPage, PatientQuestion, PatientShown, ScopeContext,
    ScopeRefused, ScopeShown, ScopesRead,
};
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::{BoxFuture, LocalBoxFuture};
use uuid::Uuid;

/// A host that remembers.
#[derive(Debug, Default)]
pub(crate) struct TestHost {
    records: Mutex<Vec<Occurrence>>,
    /// How far its clock is ahead, in seconds.
    ahead_s: AtomicI64,
    /// Whether nothing can be put on record.
    is_mute: AtomicBool,
    /// Who may do what, and which patients there are.
    settings: Mutex<Settings>,
    questions: Mutex<Vec<PatientQuestion>>,
}

/// Who may do what, and which patients there are.
#[derive(Debug, Default, Clone)]
pub(crate) struct Settings {
    /// Users without a role.
    pub(crate) no_role: Vec<Uuid>,
    /// Users who may not break the glass.
    pub(crate) no_glass: Vec<Uuid>,
    /// Patients, and whether they are seen in emergencies only; Ada where there are none.
    pub(crate) patients: Vec<(PatientShown, bool)>,
    /// Whether patients cannot be had.
    pub(crate) is_down: bool,
}

impl TestHost {
    /// Another one with the same clock.
    pub(crate) fn beside(&self) -> Self {
        let other = Self::default();
        other.ahead_s.store(self.ahead_s.load(Ordering::Relaxed), Ordering::Relaxed);
        other
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: TimeDelta) {
        self.ahead_s.fetch_add(time.num_seconds(), Ordering::Relaxed);
    }

    /// Lets it fail to put anything on record, or no more.
    pub(crate) fn mute(&self, is_mute: bool) {
        self.is_mute.store(is_mute, Ordering::Relaxed);
    }

    /// Changes who may do what.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings.lock().unwrap());
    }

    /// Which patients were asked for since the last time that this was asked.
    pub(crate) fn questions(&self) -> Vec<PatientQuestion> {
        std::mem::take(&mut *self.questions.lock().unwrap())
    }

    /// What was put on record since the last time that this was asked.
    pub(crate) fn records(&self) -> Vec<Occurrence> {
        std::mem::take(&mut *self.records.lock().unwrap())
    }
}

impl Host for TestHost {
    fn now(&self) -> DateTime<Utc> {
        Utc::now() + TimeDelta::seconds(self.ahead_s.load(Ordering::Relaxed))
    }

    fn read_registered(&self, text: &str) -> Result<ScopesRead, ScopeRefused> {
        self.read_scopes(text)
    }

    fn read_scopes(&self, text: &str) -> Result<ScopesRead, ScopeRefused> {
        let mut shown: Vec<ScopeShown> = Vec::new();
        for (index, scope) in text.split(' ').filter(|scope| !scope.is_empty()).enumerate() {
            let context = context(scope).ok_or_else(|| ScopeRefused(format!("scope {index} is unknown")))?;
            if shown.iter().all(|other| other.text != scope) {
                shown.push(ScopeShown { text: scope.into(), context, words: format!("Do {scope}") });
            }
        }
        Ok(ScopesRead { shown })
    }

    fn narrow(&self, asked: &str, allowed: &str) -> Result<String, ScopeRefused> {
        let (asked, allowed) = (self.read_scopes(asked)?, self.read_scopes(allowed)?);
        let is_allowed = |scope: &&str| allowed.shown.iter().any(|other| covers(&other.text, scope));
        let texts = asked.shown.iter().map(|scope| scope.text.as_str());
        Ok(texts.filter(is_allowed).collect::<Vec<_>>().join(" "))
    }

    fn has_role(&self, user: Uuid) -> bool {
        !self.settings.lock().unwrap().no_role.contains(&user)
    }

    fn may_break_glass(&self, user: Uuid) -> bool {
        !self.settings.lock().unwrap().no_glass.contains(&user)
    }

    fn patients(&self, asked: PatientQuestion) -> LocalBoxFuture<'_, Result<PatientPage, HostError>> {
        let settings = self.settings.lock().unwrap().clone();
        self.questions.lock().unwrap().push(asked.clone());
        Box::pin(async move {
            if settings.is_down {
                return Err(HostError::Unavailable);
            }
            let ada = PatientShown { id: "p1".into(), name: "Ada".into(), ..PatientShown::default() };
            let all = if settings.patients.is_empty() { vec![(ada, false)] } else { settings.patients };
            let own = asked.fhir_user.as_deref().and_then(|user| user.strip_prefix("Patient/"));
            let is_wanted = |(patient, is_hidden): &&(PatientShown, bool)| {
                (asked.is_emergency || !is_hidden)
                    && own.is_none_or(|own| own == patient.id)
                    && asked.id.as_ref().is_none_or(|id| *id == patient.id)
                    && (patient.name.starts_with(&asked.words) || patient.identifier == asked.words)
            };
            let mut patients: Vec<PatientShown> =
                all.iter().filter(is_wanted).map(|(patient, _)| patient.clone()).collect();
            let has_more = patients.len() > asked.count;
            patients.truncate(asked.count);
            Ok(PatientPage { patients, has_more })
        })
    }

    fn record<'a>(
        &'a self,
        _: &'a HttpRequest,
        what: Occurrence,
    ) -> LocalBoxFuture<'a, Result<(), HostError>> {
        let is_mute = self.is_mute.load(Ordering::Relaxed);
        if !is_mute {
            self.records.lock().unwrap().push(what);
        }
        Box::pin(async move { if is_mute { Err(HostError::Unavailable) } else { Ok(()) } })
    }

    fn seal<'a>(&'a self, context: &'a str, clear: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        let sealed = [context.as_bytes(), b"|", &turned(clear)].concat();
        Box::pin(async { Ok(sealed) })
    }

    fn open<'a>(&'a self, context: &'a str, sealed: &'a [u8]) -> BoxFuture<'a, Result<Vec<u8>, HostError>> {
        let sealed = sealed.strip_prefix(format!("{context}|").as_bytes()).map(turned);
        Box::pin(async { sealed.ok_or(HostError::Refused) })
    }

    fn address(&self, request: &HttpRequest) -> String {
        let said = request.headers().get("x-test-address").and_then(|value| value.to_str().ok());
        said.unwrap_or("192.0.2.7").into()
    }

    fn caller<'a>(&'a self, request: &'a HttpRequest) -> LocalBoxFuture<'a, Result<Caller, HostError>> {
        let header = request.headers().get("authorization").and_then(|value| value.to_str().ok());
        let caller = |subject: &str| Caller {
            subject: subject.into(),
            is_operator: subject == "operator",
            may_launch: subject == "clinician",
        };
        let found = match header {
            Some("Bearer operator") => Ok(caller("operator")),
            Some("Bearer clinician") => Ok(caller("clinician")),
            Some("Bearer nobody") => Ok(caller("nobody")),
            _ => Err(HostError::Refused),
        };
        Box::pin(async { found })
    }
}

/// What was sealed for something, for something else.
pub(crate) fn sealed_for(context: &str, other: &str, sealed: &[u8]) -> Vec<u8> {
    let rest = sealed.strip_prefix(context.as_bytes()).unwrap();
    [other.as_bytes(), rest].concat()
}

/// Something else, from which the first is had again in the same way.
fn turned(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x5a).collect()
}

fn context(scope: &str) -> Option<ScopeContext> {
    let of = |prefix: &str| scope.strip_prefix(prefix).is_some_and(|rest| rest.contains('.'));
    Some(match scope {
        "openid" | "fhirUser" | "profile" | "email" => ScopeContext::Identity,
        "offline_access" | "online_access" => ScopeContext::Duration,
        "break-glass" => ScopeContext::Emergency,
        "launch" | "launch/patient" | "launch/encounter" => ScopeContext::Launch,
        _ if of("patient/") => ScopeContext::Patient,
        _ if of("user/") => ScopeContext::User,
        _ if of("system/") => ScopeContext::System,
        _ => return None,
    })
}

/// Whether a scope is the same as another, or of one type where the other is of all.
fn covers(allowed: &str, asked: &str) -> bool {
    let parts = |scope: &str| {
        let (context, rest) = scope.split_once('/')?;
        let (of, letters) = rest.split_once('.')?;
        Some((context.to_owned(), of.to_owned(), letters.to_owned()))
    };
    match (parts(allowed), parts(asked)) {
        (Some((context, of, letters)), Some((asked_context, asked_of, asked_letters))) => {
            context == asked_context
                && (of == "*" || of == asked_of)
                && asked_letters.chars().all(|letter| letters.contains(letter))
        }
        _ => allowed == asked,
    }
}
