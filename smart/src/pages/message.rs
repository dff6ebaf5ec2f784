//! The page that says why it does not go on.

use super::frame::Frame;
use super::html::Html;

/// What cannot be gone on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) title: &'static str,
    pub(crate) words: &'static str,
}

/// The page.
pub(crate) fn page(frame: Frame<'_>, message: Message) -> Html {
    let main = Html::new()
        .raw("<h1>")
        .raw(message.title)
        .raw("</h1>\n<p role=\"alert\">")
        .raw(message.words)
        .raw("</p>\n");
    frame.page(message.title, None, &main)
}
