//! A browser: keeps cookies, follows redirects as long as they stay at this server, fills in forms.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::header::HeaderMap;
use sha2::{Digest, Sha256};
use url::{Url, form_urlencoded};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::html::{Form, forms, words};
use super::{REDIRECT, VERIFIER, World};
use anamnesis_smart::NewUser;

/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse battery staple";
/// What an app usually asks for.
pub(crate) const SCOPE: &str = "launch/patient openid fhirUser patient/*.rs";

/// A browser.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    http: reqwest::Client,
    origin: String,
    /// The path of the base.
    path: String,
    pub(crate) cookies: BTreeMap<String, String>,
    /// The cookies as they were set, with their attributes.
    pub(crate) set: Vec<String>,
    /// Sent with each request.
    pub(crate) headers: Vec<(&'static str, String)>,
}

/// What a browser shows, or where it is sent.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Browser {
    /// One that was never here.
    pub(crate) fn new(world: &World) -> Self {
        let base = Url::parse(&world.base).unwrap();
        Self {
            http: world.http.clone(),
            origin: base.origin().ascii_serialization(),
            path: base.path().to_owned(),
            cookies: BTreeMap::new(),
            set: Vec::new(),
            headers: Vec::new(),
        }
    }

    /// Asks another server for the same addresses.
    pub(crate) fn move_to(&mut self, origin: &str) {
        self.origin = origin.to_owned();
    }

    /// Asks for an address of the server, and goes on as long as it is sent to others of it.
    pub(crate) async fn go(&mut self, path: &str) -> Page {
        let path = path.strip_prefix(&self.origin).unwrap_or(path).to_owned();
        let path = if path.starts_with(&self.path) { path } else { format!("{}{path}", self.path) };
        let request = self.http.get(format!("{}{path}", self.origin));
        let page = self.send(request).await;
        self.follow(page).await
    }

    /// Sends a form as it stands in a page, with other values for some fields; those with none are left out.
    pub(crate) async fn submit(&mut self, page: &Page, action: &str, fields: &[(&str, &str)]) -> Page {
        let form = page.form(action);
        let mut all: Vec<(String, String)> = form.fields;
        all.retain(|(name, _)| fields.iter().all(|(other, _)| other != name));
        let said = fields.iter().filter(|(_, value)| !value.is_empty());
        all.extend(said.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.post(&form.action, &all).await
    }

    /// Sends a form.
    pub(crate) async fn post(&mut self, path: &str, fields: &[(String, String)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.http.post(format!("{}{path}", self.origin)).body(body);
        let page = self.send(request.header("content-type", "application/x-www-form-urlencoded")).await;
        self.follow(page).await
    }

    /// Signs somebody in on the page of sign-in.
    pub(crate) async fn sign_in(&mut self, page: &Page, name: &str) -> Page {
        self.submit(page, "sign-in", &[("name", name), ("password", PASSWORD)]).await
    }

    async fn follow(&mut self, mut page: Page) -> Page {
        for _ in 0..5 {
            let Some(to) = page.location().filter(|to| to.starts_with(&self.path)) else { return page };
            let request = self.http.get(format!("{}{to}", self.origin));
            page = self.send(request).await;
        }
        panic!("redirects without end");
    }

    async fn send(&mut self, mut request: reqwest::RequestBuilder) -> Page {
        if !self.cookies.is_empty() {
            let cookies: Vec<String> =
                self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request = request.header("cookie", cookies.join("; "));
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            self.set.push(cookie.to_owned());
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Page { status, headers, text: response.text().await.unwrap() }
    }
}

impl Page {
    /// Where it leads on.
    pub(crate) fn location(&self) -> Option<String> {
        Some(self.headers.get("location")?.to_str().unwrap().to_owned())
    }

    /// The form that leads to `auth/…`.
    #[track_caller]
    pub(crate) fn form(&self, action: &str) -> Form {
        let end = format!("/auth/{action}");
        let found = forms(&self.text).into_iter().find(|form| form.action.ends_with(&end));
        found.unwrap_or_else(|| panic!("no form for {action} on a page of {}: {}", self.status, self.words()))
    }

    /// What people read.
    pub(crate) fn words(&self) -> String {
        if self.text.is_empty() { format!("sent to {:?}", self.location()) } else { words(&self.text) }
    }

    /// Checks which page it is, by its heading.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, heading: &str) -> &Self {
        let has = self.text.contains(&format!("<h1>{heading}</h1>"));
        assert!(has && self.status == status, "{} {}", self.status, self.words());
        self
    }

    /// What an app is told.
    #[track_caller]
    pub(crate) fn told(&self) -> BTreeMap<String, String> {
        assert_eq!(self.status, 303, "{}", self.words());
        let to = self.location().unwrap();
        assert!(to.starts_with(REDIRECT), "{to}");
        Url::parse(&to).unwrap().query_pairs().into_owned().collect()
    }

    /// Checks that an app is told of an error.
    #[track_caller]
    pub(crate) fn is_error(&self, error: &str) -> &Self {
        let told = self.told();
        assert_eq!(told.get("error").map(String::as_str), Some(error), "{told:?}");
        assert!(!told.contains_key("code"));
        self
    }

    /// The code that an app gets.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let told = self.told();
        told.get("code").unwrap_or_else(|| panic!("no code: {told:?}")).clone()
    }
}

impl World {
    /// Somebody who signs in with [`PASSWORD`].
    pub(crate) async fn person(&self, name: &str, fhir_user: Option<&str>) -> Uuid {
        let new = NewUser {
            name: name.into(),
            display: format!("{name} the person"),
            fhir_user: fhir_user.map(str::to_owned),
            password: Some(Zeroizing::new(PASSWORD.to_owned())),
            ..NewUser::default()
        };
        self.server.users().add(new).await.unwrap().id
    }

    /// The address of a request for authorization; fields with no value are left out.
    pub(crate) fn asking(&self, fields: &[(&str, &str)]) -> String {
        format!("/auth/authorize?{}", self.asked(fields))
    }

    /// The parameters of a request for authorization.
    pub(crate) fn asked(&self, fields: &[(&str, &str)]) -> String {
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let usual = [
            ("response_type", "code"),
            ("client_id", "public"),
            ("redirect_uri", REDIRECT),
            ("scope", SCOPE),
            ("state", "st-1"),
            ("aud", &self.base),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let kept = usual.into_iter().filter(|(name, _)| fields.iter().all(|(other, _)| other != name));
        let said = fields.iter().copied().filter(|(_, value)| !value.is_empty());
        form_urlencoded::Serializer::new(String::new()).extend_pairs(kept.chain(said)).finish()
    }

    /// What was granted last, as it is stored with its family.
    pub(crate) async fn granted(&self) -> serde_json::Value {
        let query =
            "SELECT said::text FROM anamnesis.smart_family WHERE realm = $1 ORDER BY made_at DESC LIMIT 1";
        let row = self.tables().await.query_one(query, &[&self.realm().await]).await.unwrap();
        serde_json::from_str(row.get(0)).unwrap()
    }
}
