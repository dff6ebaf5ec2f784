//! The pages of sign-out: before and after.

use super::frame::{Frame, Mark};
use super::html::Html;

/// Asks whether to sign out.
pub(crate) fn ask(frame: Frame<'_>, mark: Mark<'_>, display: &str) -> Html {
    let main = Html::new()
        .raw("<h1>Sign out</h1>\n<p>You are signed in as ")
        .name(display)
        .raw(".</p>\n")
        .add(&frame.form("sign-out", mark))
        .raw("<p><button type=\"submit\">Sign out</button></p>\n</form>\n");
    frame.page("Sign out", None, &main)
}

/// Nobody is signed in any more.
pub(crate) fn done(frame: Frame<'_>) -> Html {
    let main = Html::new()
        .raw("<h1>You are signed out</h1>\n")
        .raw("<p>Nobody is signed in with this browser. Apps that you have let in stay let in: sign out of them as well.</p>\n");
    frame.page("Signed out", None, &main)
}
