//! Who asks: nobody in particular, or somebody with a token, whose accesses are put on record or not.

use std::path::Path;

use anamnesis::clock;
use anyhow::bail;
use serde_json::json;

use crate::authority::{AUDIENCE, Authority, Key};

/// How the server of a run is guarded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// By nothing.
    Open,
    /// Tokens are checked.
    Token,
    /// Accesses are put on record.
    Audited,
    /// Both.
    Both,
}

/// How long the token lasts, in seconds: longer than any run.
const TOKEN_S: i64 = 86_400;

impl Access {
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        Ok(match name {
            "open" => Self::Open,
            "token" => Self::Token,
            "audited" => Self::Audited,
            "both" => Self::Both,
            other => bail!("--access is open, token, audited or both, not {other}"),
        })
    }
}

/// What the server is configured with, and the token that it is asked with.
pub(crate) struct Guarded {
    pub(crate) settings: String,
    pub(crate) token: Option<String>,
    /// Answers while the server runs.
    _authority: Option<Authority>,
}

impl Guarded {
    /// Starts an authority where one is needed.
    pub(crate) fn start(access: Access) -> Self {
        let is_audited = matches!(access, Access::Audited | Access::Both);
        let mut settings = format!("[workspaces.default.audit]\nenabled = {is_audited}\n");
        settings.push_str("[workspaces.default.services.fhir]\nkind = \"fhir\"\n");
        if !matches!(access, Access::Token | Access::Both) {
            return Self { settings, token: None, _authority: None };
        }
        let key = Key::rsa("bench");
        let authority = Authority::start(&[&key]);
        settings.push_str(&format!(
            "[workspaces.default.services.fhir.authenticationConfiguration]\nauthority = \"{}\"\naudience = \"{AUDIENCE}\"\n\
             [[workspaces.default.role_assignments]]\nrole = \"FHIR Data Contributor\"\nprincipalId = \"bench\"\n\
             principalType = \"User\"\n\
             [[workspaces.default.role_assignments]]\nrole = \"Operator\"\nprincipalId = \"bench\"\nprincipalType = \"User\"\n",
            authority.address
        ));
        let mut claims = authority.claims("bench");
        if let Some(ends) = claims.get_mut("exp") {
            *ends = json!(clock::now().timestamp() + TOKEN_S);
        }
        Self { settings, token: Some(key.sign(&claims)), _authority: Some(authority) }
    }

    /// Writes the settings into a file of the folder.
    pub(crate) fn write(&self, folder: &Path) -> anyhow::Result<std::path::PathBuf> {
        std::fs::create_dir_all(folder)?;
        let path = folder.join("load.toml");
        std::fs::write(&path, &self.settings)?;
        Ok(path)
    }
}
