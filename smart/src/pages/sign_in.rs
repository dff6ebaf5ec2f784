//! The page of sign-in.

use super::frame::{Frame, Mark, Problem, described, problem};
use super::html::Html;

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SignIn<'a> {
    pub(crate) mark: Mark<'a>,
    /// The app's name.
    pub(crate) client: &'a str,
    /// The user name that was typed, or that the app has named.
    pub(crate) name: &'a str,
    /// Where else users may sign in.
    pub(crate) elsewhere: Option<&'a str>,
    pub(crate) problem: Option<Problem>,
}

/// Signing in elsewhere did not work.
pub(crate) const ELSEWHERE: Problem = Problem {
    field: "elsewhere",
    words: "Signing in there did not work, or you have no account here. Try again, or ask those who run this service.",
};

/// A wrong name, a wrong password, and too many of them are told in the same words.
pub(crate) const WRONG: Problem = Problem {
    field: "name",
    words: "The user name or the password is not right, or there were too many attempts. Try again, or wait a quarter of an hour.",
};

/// The page.
pub(crate) fn page(frame: Frame<'_>, shown: SignIn<'_>) -> Html {
    let main = Html::new()
        .add(&problem(shown.problem))
        .raw("<h1>Sign in</h1>\n<p>The app ")
        .name(shown.client)
        .raw(" asks to be let in to ")
        .name(frame.service)
        .raw(". Sign in to decide. The app does not learn your password.</p>\n")
        .add(&frame.form("sign-in", shown.mark))
        .raw("<p><label for=\"name\">User name</label>\n<input id=\"name\" name=\"name\" type=\"text\" ")
        .raw("autocomplete=\"username\" autocapitalize=\"none\" spellcheck=\"false\" required value=\"")
        .text(shown.name)
        .raw("\"")
        .add(&described(shown.problem, "name"))
        .raw("></p>\n<p><label for=\"password\">Password</label>\n<input id=\"password\" name=\"password\" ")
        .raw("type=\"password\" autocomplete=\"current-password\" required")
        .add(&described(shown.problem, "name"))
        .raw("></p>\n<p><button type=\"submit\">Sign in</button></p>\n</form>\n")
        .add(&elsewhere(frame, shown))
        .add(&frame.cancel(shown.mark, "Cancel and go back to the app"));
    frame.page("Sign in", shown.problem, &main)
}

/// The link to the provider. It is none of a form: see there.
fn elsewhere(frame: Frame<'_>, shown: SignIn<'_>) -> Html {
    let Some(name) = shown.elsewhere else { return Html::new() };
    Html::new()
        .raw("<p><a class=\"button\" id=\"elsewhere\" href=\"")
        .text(frame.path)
        .raw("/auth/upstream?request=")
        .text(shown.mark.request)
        .raw("\"")
        .add(&described(shown.problem, "elsewhere"))
        .raw(">Sign in with ")
        .name(name)
        .raw("</a></p>\n")
}
