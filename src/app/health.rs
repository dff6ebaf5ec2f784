//! Whether the server lives, and whether it can do its work.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use futures::future::join_all;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tokio_postgres::NoTls;
use url::Url;

use super::Parts;
use crate::{api, clock};

/// How long a part may take to answer a check.
const CHECK_WITHIN: Duration = Duration::from_secs(2);
/// How long an answer is repeated, so that eager probes cost nothing.
const VALID_FOR: Duration = Duration::from_secs(1);
/// The port of NATS where its address names none.
const NATS_PORT: u16 = 4222;

type Outcome = Result<(), String>;
type CheckFuture = Pin<Box<dyn Future<Output = Outcome> + Send>>;

/// A named question to a part: can you work? An answer names no person and no password.
#[derive(Clone)]
pub struct Check {
    name: &'static str,
    required: bool,
    ask: Arc<dyn Fn() -> CheckFuture + Send + Sync>,
}

impl Check {
    /// A check that asks with `ask`, within two seconds.
    pub fn new<F>(name: &'static str, ask: impl Fn() -> F + Send + Sync + 'static) -> Check
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        Check { name, required: true, ask: Arc::new(move || Box::pin(ask())) }
    }

    /// The same check for a part without which requests are still answered, if not as well.
    #[must_use]
    pub fn optional(self) -> Check {
        Check { required: false, ..self }
    }
}

/// What a part said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// The part.
    pub name: &'static str,
    /// Whether requests cannot be answered without it.
    pub required: bool,
    /// Well, or why not.
    pub outcome: Result<(), String>,
}

/// The checks of a server and the last answers to them.
pub struct Health {
    checks: Vec<Check>,
    last: Mutex<Option<(Duration, Vec<Condition>)>>,
}

impl std::fmt::Debug for Health {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Health").finish_non_exhaustive()
    }
}

impl Health {
    /// A server that can work when all checks are well.
    #[must_use]
    pub fn new(checks: Vec<Check>) -> Health {
        Health { checks, last: Mutex::new(None) }
    }

    /// Asks all parts, or repeats what they said within the last second.
    pub async fn ask(&self) -> Vec<Condition> {
        let mut last = self.last.lock().await;
        if let Some((when, outcomes)) = last.as_ref()
            && clock::elapsed().saturating_sub(*when) < VALID_FOR
        {
            return outcomes.clone();
        }
        let asked = self.checks.iter().map(async |check| {
            let late = |_| format!("no answer within {} s", CHECK_WITHIN.as_secs());
            let outcome = timeout(CHECK_WITHIN, (check.ask)()).await.map_err(late);
            Condition { name: check.name, required: check.required, outcome: outcome.flatten() }
        });
        let outcomes = join_all(asked).await;
        *last = Some((clock::elapsed(), outcomes.clone()));
        outcomes
    }
}

/// `GET /health/live`: the process answers. Restarting it helps when it does not.
pub(super) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "status": "ok" }))
}

/// `GET /health/ready`: every part can work. 503 with the reason when one cannot that is needed for requests;
/// restarting will not help. `degraded` when another cannot, which delays searches and subscribers.
pub(super) async fn ready(parts: web::Data<Parts>) -> HttpResponse {
    let conditions = parts.health().ask().await;
    let (status, mut response) = match Overall::of(&conditions) {
        Overall::Well => ("ok", HttpResponse::Ok()),
        Overall::Degraded => ("degraded", HttpResponse::Ok()),
        Overall::Unwell => ("not ready", HttpResponse::ServiceUnavailable()),
    };
    let describe = |condition: &Condition| {
        let text = condition.outcome.as_ref().err().map_or("ok", String::as_str);
        (condition.name.to_owned(), Value::from(text))
    };
    let checks: Map<String, Value> = conditions.iter().map(describe).collect();
    response.json(json!({ "status": status, "checks": checks }))
}

/// `GET /{workspace}/{service}/health/check`: what [`ready`] says, in the words of AHDS, for probes that know its address
/// only. All services of a server are as well as it is.
pub(super) async fn check(
    parts: web::Data<Parts>,
    place: web::Path<(String, String)>,
    request: HttpRequest,
) -> HttpResponse {
    let (workspace, service) = place.into_inner();
    if parts.services().find(&workspace, &service).is_none() {
        return api::not_found(request).await;
    }
    let conditions = parts.health().ask().await;
    let overall = Overall::of(&conditions);
    let mut response = match overall {
        Overall::Well | Overall::Degraded => HttpResponse::Ok(),
        Overall::Unwell => HttpResponse::ServiceUnavailable(),
    };
    let describe = |condition: &Condition| {
        let status = Overall::of(std::slice::from_ref(condition)).word();
        let text = condition.outcome.as_ref().err().map_or("It can work.", String::as_str);
        json!({ "name": condition.name, "status": status, "description": text })
    };
    let details: Vec<Value> = conditions.iter().map(describe).collect();
    response.json(json!({ "overallStatus": overall.word(), "details": details }))
}

/// What the conditions of the parts come to.
#[derive(Debug, Clone, Copy)]
enum Overall {
    Well,
    /// A part cannot work without which requests are answered, if not as well.
    Degraded,
    Unwell,
}

impl Overall {
    fn of(conditions: &[Condition]) -> Self {
        let mut ill = conditions.iter().filter(|condition| condition.outcome.is_err()).peekable();
        match (ill.peek().is_some(), ill.any(|condition| condition.required)) {
            (false, _) => Self::Well,
            (true, false) => Self::Degraded,
            (true, true) => Self::Unwell,
        }
    }

    /// As AHDS has it.
    fn word(self) -> &'static str {
        match self {
            Self::Well => "Healthy",
            Self::Degraded => "Degraded",
            Self::Unwell => "Unhealthy",
        }
    }
}

/// Whether the database lets us in and answers.
pub(super) fn database(url: String) -> Check {
    Check::new("database", move || {
        let url = url.clone();
        async move {
            let unwell = |error: tokio_postgres::Error| error.to_string();
            let (client, connection) = tokio_postgres::connect(&url, NoTls).await.map_err(unwell)?;
            tokio::select! {
                answer = client.simple_query("SELECT 1") => answer.map(|_| ()).map_err(unwell),
                ended = connection => ended.map_err(unwell),
            }
        }
    })
}

/// Whether NATS greets us. What it lets us do, the relay knows. Postgres decides what happened and NATS only
/// carries it, so requests are answered without it.
pub(super) fn nats(url: String) -> Check {
    Check::new("nats", move || {
        let url = url.clone();
        async move {
            let url = Url::parse(&url).map_err(|error| format!("its address is wrong: {error}"))?;
            let host = url.host_str().unwrap_or("localhost");
            let stream = TcpStream::connect((host, url.port().unwrap_or(NATS_PORT))).await;
            let stream = stream.map_err(|error| error.to_string())?;
            let mut line = String::new();
            BufReader::new(stream).read_line(&mut line).await.map_err(|error| error.to_string())?;
            if line.starts_with("INFO ") { Ok(()) } else { Err("it does not greet as NATS does".to_owned()) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[actix_web::test]
    async fn parts_are_asked_together_and_not_again_within_a_second() {
        let asked = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&asked);
        let health = Health::new(vec![
            Check::new("well", move || {
                count.fetch_add(1, Ordering::Relaxed);
                async { Ok(()) }
            }),
            Check::new("ill", || async { Err("broken".to_owned()) }).optional(),
        ]);
        for _ in 0..3 {
            let conditions = health.ask().await;
            assert_eq!(conditions[0].outcome, Ok(()));
            assert_eq!(conditions[1].outcome, Err("broken".to_owned()));
            assert!(conditions[0].required && !conditions[1].required);
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }

    #[actix_web::test]
    async fn engines_that_are_not_there_are_unwell() {
        let unreachable = || TcpStream::connect("127.0.0.1:1");
        assert!(unreachable().await.is_err());
        let health = Health::new(vec![
            database("postgresql://nobody@127.0.0.1:1/none".to_owned()),
            nats("nats://127.0.0.1:1".to_owned()),
        ]);
        assert!(health.ask().await.iter().all(|condition| condition.outcome.is_err()));
    }
}
