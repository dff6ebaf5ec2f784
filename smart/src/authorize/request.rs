//! Reading a request for authorization: the client and where it is answered first, then everything else.

use actix_web::HttpRequest;

use super::pending::{Pending, PendingLaunch, Progress, Prompt};
use super::redirect::Return;
use super::redirect_uri::is_registered;
use super::scopes;
use crate::client::{Client, GrantType};
use crate::error::{OAuthError, OAuthErrorCode as Code, SmartError};
use crate::host::{Happened, Occurrence, ScopeContext, ScopesRead};
use crate::launch::Launch;
use crate::people::answer::Trouble;
use crate::people::form::Parameters;
use crate::secret::digest_of;
use crate::server::SmartServer;

/// Bytes of `state` at most: it is stored, and comes back in an address.
const STATE_MAX: usize = 2_048;
/// Bytes of `nonce` at most: it stands in the id token.
const NONCE_MAX: usize = 512;
/// Bytes of `login_hint` at most.
const HINT_MAX: usize = 200;
/// Characters of a SHA-256 in base64url (RFC 7636 section 4.2).
const CHALLENGE: usize = 43;

/// Why a request is refused.
pub(super) enum Refusal {
    /// The client or its address is no good: nobody is sent anywhere (RFC 6749 section 4.1.2.1).
    Page(&'static str),
    /// The app is told.
    Back(Box<Return>, String, OAuthError),
    Failed(SmartError),
}

impl<E: Into<SmartError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Refusal {
    /// Puts the refusal on record.
    pub(super) async fn on_record(
        self,
        server: &SmartServer,
        request: &HttpRequest,
    ) -> Result<Trouble, Trouble> {
        let refused = |why| Occurrence::refused(Happened::Consent, why);
        Ok(match self {
            Self::Page(words) => {
                server
                    .host
                    .record(request, refused("the client or where it is answered is not known"))
                    .await?;
                Trouble::page("The app has made a mistake", words)
            }
            Self::Back(back, client, error) => {
                let occurrence =
                    Occurrence { client: Some(client), ..refused("the request cannot be granted") };
                server.host.record(request, occurrence).await?;
                Trouble::Back(back, error)
            }
            Self::Failed(error) => Trouble::Failed(error),
        })
    }
}

/// Reads a request.
pub(super) async fn read(server: &SmartServer, asked: &Parameters) -> Result<Pending, Refusal> {
    let client =
        asked.one("client_id").ok().flatten().ok_or(Refusal::Page("It does not say which app it is."))?;
    let client = server.find_client(client).await?.ok_or(Refusal::Page("This app is not known here."))?;
    let address = asked.one("redirect_uri").ok().flatten();
    let redirect_uri = address.ok_or(Refusal::Page("It does not say where it is answered."))?.to_owned();
    if !is_registered(&redirect_uri, &client.redirect_uris) {
        return Err(Refusal::Page("It wants to be answered at an address that is not registered for it."));
    }
    // From here on the app is told what is wrong.
    let state = asked.one("state").ok().flatten().filter(|state| state.len() <= STATE_MAX);
    let back = Box::new(Return { redirect_uri: redirect_uri.clone(), state: state.map(str::to_owned) });
    match rest(server, asked, &client, &redirect_uri).await {
        Ok(Ok(pending)) => Ok(pending),
        Ok(Err(error)) => Err(Refusal::Back(back, client.id, error)),
        Err(error) => Err(Refusal::Failed(error)),
    }
}

fn invalid(words: &'static str) -> OAuthError {
    OAuthError::new(Code::InvalidRequest, words)
}

/// Reads everything beside the client.
async fn rest(
    server: &SmartServer,
    asked: &Parameters,
    client: &Client,
    redirect_uri: &str,
) -> Result<Result<Pending, OAuthError>, SmartError> {
    let said = match Said::read(asked, client) {
        Ok(said) => said,
        Err(error) => return Ok(Err(error)),
    };
    let launch = match said.launch {
        None => None,
        Some(value) => match launched(server, value, client).await? {
            Ok(launch) => Some(launch),
            Err(error) => return Ok(Err(error)),
        },
    };
    let scope = match said.scopes(server, client) {
        Ok(scope) => scope,
        Err(error) => return Ok(Err(error)),
    };
    Ok(Ok(Pending {
        service: server.options.service.clone(),
        client: client.id.clone(),
        redirect_uri: redirect_uri.to_owned(),
        state: said.state.map(str::to_owned),
        scope,
        code_challenge: said.code_challenge.to_owned(),
        nonce: said.nonce.map(str::to_owned),
        prompt: said.prompt,
        max_age: said.max_age,
        login_hint: said.login_hint.map(str::to_owned),
        launch,
        made_at: server.host.now(),
        browser: None,
        progress: Progress::default(),
        leg: None,
    }))
}

/// The launch that the app was given, checked to be of this service and for this client.
async fn launched(
    server: &SmartServer,
    value: &str,
    client: &Client,
) -> Result<Result<PendingLaunch, OAuthError>, SmartError> {
    let digest = digest_of(value);
    let found = server.store.launch(&digest).await?;
    let now = server.host.now();
    let is_ours = |launch: &Launch| {
        launch.good_until > now
            && launch.service == server.options.service
            && launch.client.as_ref().is_none_or(|launched| *launched == client.id)
    };
    Ok(match found.filter(is_ours) {
        Some(launch) => Ok(PendingLaunch { digest, launch }),
        None => Err(invalid("launch is not known, was used, or is over")),
    })
}

/// The parameters, each by itself.
struct Said<'a> {
    state: Option<&'a str>,
    scope: &'a str,
    aud: Option<&'a str>,
    code_challenge: &'a str,
    nonce: Option<&'a str>,
    prompt: Prompt,
    max_age: Option<u32>,
    login_hint: Option<&'a str>,
    launch: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn read(asked: &'a Parameters, client: &Client) -> Result<Self, OAuthError> {
        if asked.has_repeated() {
            return Err(invalid("a parameter is there more than once"));
        }
        let one = |name| asked.one(name).ok().flatten();
        for (name, code) in
            [("request", Code::RequestNotSupported), ("request_uri", Code::RequestUriNotSupported)]
        {
            if one(name).is_some() {
                return Err(OAuthError::new(code, "requests have to be made of parameters"));
            }
        }
        if one("response_type").ok_or(invalid("response_type is missing"))? != "code" {
            return Err(OAuthError::new(Code::UnsupportedResponseType, "response_type has to be code"));
        }
        if !client.may(GrantType::AuthorizationCode) {
            return Err(OAuthError::new(Code::UnauthorizedClient, "the client may not ask users"));
        }
        if one("response_mode").is_some_and(|mode| mode != "query") {
            return Err(invalid("response_mode has to be query"));
        }
        let bounded = |name, most, words| match one(name) {
            Some(value) if value.len() > most => Err(invalid(words)),
            value => Ok(value),
        };
        Ok(Self {
            state: bounded("state", STATE_MAX, "state is too long")?,
            scope: one("scope").ok_or(OAuthError::new(Code::InvalidScope, "scope is missing"))?,
            aud: one("aud"),
            code_challenge: challenge(one("code_challenge"), one("code_challenge_method"))?,
            nonce: bounded("nonce", NONCE_MAX, "nonce is too long")?,
            prompt: prompt(one("prompt").unwrap_or_default())?,
            max_age: one("max_age")
                .map(|age| age.parse().map_err(|_| invalid("max_age has to be a number of seconds")))
                .transpose()?,
            // Only fills a field in, so one that is too long is left out.
            login_hint: one("login_hint").filter(|hint| hint.len() <= HINT_MAX),
            launch: one("launch"),
        })
    }

    /// The scopes that the client may have of those that it asks for.
    fn scopes(&self, server: &SmartServer, client: &Client) -> Result<String, OAuthError> {
        let refused = |error: crate::host::ScopeRefused| OAuthError::new(Code::InvalidScope, error.0);
        server.host.read_scopes(self.scope).map_err(refused)?;
        let narrowed = server.host.narrow(self.scope, &client.scope).map_err(refused)?;
        let read = server.host.read_scopes(&narrowed).map_err(refused)?;
        let grantable = scopes::for_users(read, client, self.launch.is_some());
        if !scopes::says_anything(&grantable) {
            return Err(OAuthError::new(Code::InvalidScope, "the client may have none of these scopes"));
        }
        let has_launch = grantable.iter().any(|scope| scope.text == "launch");
        if has_launch != self.launch.is_some() {
            return Err(invalid("the parameter launch and the scope launch go together"));
        }
        self.audience(server, &ScopesRead { shown: grantable.clone() })?;
        Ok(scopes::joined(&grantable))
    }

    /// SMART demands `aud`, so that an app that was led to a false server does not send its token there. Who only wants to know who
    /// somebody is (OpenID Connect) sends the token nowhere, and knows no `aud`.
    fn audience(&self, server: &SmartServer, scopes: &ScopesRead) -> Result<(), OAuthError> {
        let opens_data = scopes
            .shown
            .iter()
            .any(|scope| !matches!(scope.context, ScopeContext::Identity | ScopeContext::Duration));
        match self.aud {
            Some(aud) if server.options.is_audience(aud) => Ok(()),
            Some(_) => Err(invalid("aud is not this service")),
            None if opens_data => Err(invalid("aud is missing")),
            None => Ok(()),
        }
    }
}

/// PKCE (RFC 7636), which SMART demands with S256.
fn challenge<'a>(challenge: Option<&'a str>, method: Option<&str>) -> Result<&'a str, OAuthError> {
    let challenge = challenge.ok_or(invalid("code_challenge is missing"))?;
    if method != Some("S256") {
        return Err(invalid("code_challenge_method has to be S256"));
    }
    let is_digest = challenge.len() == CHALLENGE
        && challenge.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if is_digest { Ok(challenge) } else { Err(invalid("code_challenge is no SHA-256 in base64url")) }
}

fn prompt(said: &str) -> Result<Prompt, OAuthError> {
    let mut prompt = Prompt::default();
    let mut count = 0;
    for word in said.split(' ').filter(|word| !word.is_empty()) {
        count += 1;
        match word {
            "none" => prompt.none = true,
            // Another account is chosen by signing in with it.
            "login" | "select_account" => prompt.login = true,
            "consent" => prompt.consent = true,
            _ => return Err(invalid("prompt is not known")),
        }
    }
    if prompt.none && count > 1 {
        return Err(invalid("prompt none goes with nothing else"));
    }
    Ok(prompt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompts_and_challenges_are_read_strictly() {
        assert_eq!(prompt("").unwrap(), Prompt::default());
        assert!(prompt("login consent").is_ok_and(|prompt| prompt.login && prompt.consent && !prompt.none));
        assert!(prompt("none").is_ok_and(|prompt| prompt.none));
        assert!(prompt("none login").is_err());
        assert!(prompt("none none").is_err());
        assert!(prompt("create").is_err());
        let digest = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert_eq!(challenge(Some(digest), Some("S256")), Ok(digest));
        for (value, method) in [
            (Some(digest), None),
            (Some(digest), Some("plain")),
            (None, Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c"), Some("S256")),
            (Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM"), Some("S256")),
        ] {
            assert!(challenge(value, method).is_err());
        }
    }
}
