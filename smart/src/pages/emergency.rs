//! The page on which an emergency is declared ("break the glass").

use super::frame::{Frame, Mark, Problem, described, problem};
use super::html::Html;

/// Characters of a reason at least, so that it says something.
pub(crate) const REASON_MIN: usize = 10;
/// Characters of a reason at most: it stands in each audit record of the emergency.
pub(crate) const REASON_MAX: usize = 500;

/// The reason is too short or too long.
pub(crate) const NO_REASON: Problem = Problem { field: "reason", words: "Say why, in 10 to 500 characters." };

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Emergency<'a> {
    pub(crate) mark: Mark<'a>,
    /// The app's name.
    pub(crate) client: &'a str,
    /// Who declares.
    pub(crate) display: &'a str,
    /// What was typed.
    pub(crate) reason: &'a str,
    pub(crate) problem: Option<Problem>,
}

/// The page.
pub(crate) fn page(frame: Frame<'_>, shown: Emergency<'_>) -> Html {
    let main = Html::new()
        .add(&problem(shown.problem))
        .raw("<h1>Emergency access</h1>\n<p class=\"warning\"><strong>This is recorded and reported.</strong> ")
        .raw("With the app ")
        .name(shown.client)
        .raw(" you are about to open the record of a patient who is not in your care, for some minutes. ")
        .raw("Your name, the time, the patient and the reason are kept and shown to those who look after data protection.</p>\n")
        .add(&frame.form("emergency", shown.mark))
        .raw("<p><label for=\"reason\">Why is it an emergency? 10 to 500 characters.</label>\n")
        .raw("<textarea id=\"reason\" name=\"reason\" rows=\"4\" required")
        .add(&described(shown.problem, "reason"))
        // A browser leaves out a first line break of a text area.
        .raw(">\n")
        .text(shown.reason)
        .raw("</textarea></p>\n<p><button type=\"submit\" class=\"danger\" name=\"declare\" value=\"yes\">It is an emergency: go on</button></p>\n</form>\n")
        .add(&frame.form("emergency", shown.mark))
        .raw("<p><button type=\"submit\" class=\"second\" name=\"declare\" value=\"no\">It is none: go on without emergency access</button></p>\n</form>\n")
        .add(&frame.cancel(shown.mark, "Cancel and go back to the app"))
        .add(&frame.account(shown.mark, shown.display));
    frame.page("Emergency access", shown.problem, &main)
}
