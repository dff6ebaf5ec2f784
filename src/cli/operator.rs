//! Requests to the operators' addresses of a running server.

use std::time::Duration;

use anyhow::{Context as _, bail};
use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::token::Token;

/// How long connecting may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);
/// How long an answer may take: un-parking a hundred resources beside much writing.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);

/// Talks to one workspace.
pub(super) struct Operator {
    client: reqwest::Client,
    workspace: Url,
}

/// What came back.
pub(super) enum Answer {
    /// The JSON of a success.
    Done(Value),
    /// 404, with the reason.
    Missing(String),
}

impl Operator {
    pub(super) fn new(workspace: Url, token: &Token) -> anyhow::Result<Self> {
        if !matches!(workspace.scheme(), "http" | "https") || workspace.cannot_be_a_base() {
            bail!("--workspace: {workspace} is not an http or https address");
        }
        let client = reqwest::Client::builder().connect_timeout(CONNECT_WITHIN).timeout(ANSWER_WITHIN);
        let client = client.default_headers(token.headers()?);
        Ok(Self { client: client.build().context("cannot speak HTTP")?, workspace })
    }

    /// Sends a request to `$rebuild?projection=search` or the like.
    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}/{path}", self.workspace.as_str().trim_end_matches('/'));
        let mut request = self.client.request(method, url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.context("the server cannot be reached")?;
        let status = response.status();
        let answer: Value = response.json().await.unwrap_or_default();
        let said = answer.pointer("/issue/0/diagnostics").and_then(Value::as_str).unwrap_or_default();
        match status.as_u16() {
            200..300 => Ok(Answer::Done(answer)),
            404 => Ok(Answer::Missing(said.to_owned())),
            _ => bail!("the server answered {status} {said}"),
        }
    }

    /// The same where 404 is a failure.
    pub(super) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        match self.send(method, path, body).await? {
            Answer::Done(value) => Ok(value),
            Answer::Missing(reason) => bail!("the server answered 404 {reason}"),
        }
    }
}

/// The number at a place of an answer; 0 where there is none.
pub(super) fn number(value: &Value, name: &str) -> u64 {
    value.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// The text at a place of an answer; empty where there is none.
pub(super) fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}
