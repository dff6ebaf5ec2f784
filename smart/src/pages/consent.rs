//! The page on which an app is let in.

use url::Url;

use super::frame::{Frame, Mark, Problem, described, problem};
use super::html::Html;
use super::picker::described_patient;
use crate::host::{PatientShown, ScopeShown};

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Consent<'a> {
    pub(crate) mark: Mark<'a>,
    /// Of the form that lets the app in: bound to what the page shows.
    pub(crate) agreed: Mark<'a>,
    /// The app's name.
    pub(crate) client: &'a str,
    /// The app's home page.
    pub(crate) client_uri: Option<&'a Url>,
    /// Where the app is sent the answer.
    pub(crate) answers_to: &'a str,
    /// Whether the app has registered itself.
    pub(crate) is_unproven: bool,
    /// Who decides.
    pub(crate) display: &'a str,
    /// Whose record is opened.
    pub(crate) patient: Option<&'a PatientShown>,
    /// What the app asks for and may be left out.
    pub(crate) optional: &'a [ScopeShown],
    /// What comes with it.
    pub(crate) fixed: &'a [ScopeShown],
    /// What the app asks for and this user cannot give.
    pub(crate) withheld: &'a [ScopeShown],
    /// Why it is an emergency.
    pub(crate) reason: Option<&'a str>,
    pub(crate) problem: Option<Problem>,
}

/// Everything was left out.
pub(crate) const NOTHING_CHOSEN: Problem =
    Problem { field: "scopes", words: "Choose at least one thing that the app may do, or do not let it in." };

/// The page.
pub(crate) fn page(frame: Frame<'_>, shown: Consent<'_>) -> Html {
    let main = Html::new()
        .add(&problem(shown.problem))
        .raw("<h1>Let this app in?</h1>\n<dl>\n<dt>App</dt><dd>")
        .name(shown.client)
        .add(&home(shown.client_uri))
        .raw("</dd>\n<dt>The answer goes to</dt><dd>")
        .name(shown.answers_to)
        .raw("</dd>\n")
        .add(&whose(shown.patient))
        .add(&why(shown.reason))
        .raw("</dl>\n")
        .when(shown.is_unproven, |html| {
            html.raw(
                "<p class=\"warning\">This app has registered itself. Nobody has checked who it is.</p>\n",
            )
        })
        .add(&frame.form("consent", shown.agreed))
        .add(&scopes(shown))
        .add(&listed("This comes with it:", shown.fixed))
        .add(&listed("It asks for this as well, which your account cannot give:", shown.withheld))
        .raw("<p><button type=\"submit\">Let it in</button></p>\n</form>\n")
        .add(&frame.cancel(shown.mark, "Do not let it in"))
        .add(&frame.account(shown.mark, shown.display));
    frame.page("Let this app in?", shown.problem, &main)
}

/// The app's home page; only where it is one: other schemes could do anything.
fn home(address: Option<&Url>) -> Html {
    let Some(address) = address.filter(|address| matches!(address.scheme(), "https" | "http")) else {
        return Html::new();
    };
    Html::new()
        .raw(" (<a href=\"")
        .text(address.as_str())
        .raw("\" rel=\"noopener noreferrer nofollow\">")
        .text(address.host_str().unwrap_or_default())
        .raw("</a>)")
}

fn whose(patient: Option<&PatientShown>) -> Html {
    let Some(patient) = patient else { return Html::new() };
    Html::new().raw("<dt>Patient</dt><dd>").add(&described_patient(patient)).raw("</dd>\n")
}

fn why(reason: Option<&str>) -> Html {
    let Some(reason) = reason else { return Html::new() };
    Html::new().raw("<dt>Emergency</dt><dd>").name(reason).raw("</dd>\n")
}

fn scopes(shown: Consent<'_>) -> Html {
    if shown.optional.is_empty() {
        return Html::new();
    }
    Html::new()
        .raw("<fieldset id=\"scopes\"")
        .add(&described(shown.problem, "scopes"))
        .raw(">\n<legend>It may do this. Leave out what you do not want.</legend>\n")
        .each(shown.optional.iter().enumerate(), |html, (at, scope)| html.add(&row(at, scope)))
        .raw("</fieldset>\n")
}

fn row(at: usize, scope: &ScopeShown) -> Html {
    let id = format!("scope-{at}");
    Html::new()
        .raw("<p class=\"choice\"><input type=\"checkbox\" name=\"scope\" checked id=\"")
        .text(&id)
        .raw("\" value=\"")
        .text(&scope.text)
        .raw("\"><label for=\"")
        .text(&id)
        .raw("\">")
        .text(&scope.words)
        .raw(" <code>")
        .text(&scope.text)
        .raw("</code></label></p>\n")
}

fn listed(title: &'static str, scopes: &[ScopeShown]) -> Html {
    if scopes.is_empty() {
        return Html::new();
    }
    Html::new()
        .raw("<p>")
        .raw(title)
        .raw("</p>\n<ul>\n")
        .each(scopes, |html, scope| html.raw("<li>").text(&scope.words).raw("</li>\n"))
        .raw("</ul>\n")
}
