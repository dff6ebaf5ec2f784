//! What all pages have in common: the frame, forms, and how problems are told.

use super::html::Html;

/// What every page knows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    /// The path of the service's base, without a last slash.
    pub(crate) path: &'a str,
    /// The name of the service.
    pub(crate) service: &'a str,
}

/// What a form carries so that it is known whose it is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark<'a> {
    /// The request for authorization; empty where there is none.
    pub(crate) request: &'a str,
    /// The token against forged requests.
    pub(crate) token: &'a str,
}

/// A problem with what was typed or chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The field's id.
    pub(crate) field: &'static str,
    /// What to do about it.
    pub(crate) words: &'static str,
}

impl Frame<'_> {
    /// A whole page.
    pub(crate) fn page(&self, title: &'static str, problem: Option<Problem>, main: &Html) -> Html {
        Html::new()
            .raw("<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n")
            .raw("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n")
            .raw("<meta name=\"robots\" content=\"noindex\">\n<title>")
            .when(problem.is_some(), |html| html.raw("Error: "))
            .text(title)
            .raw(" – ")
            .text(self.service)
            .raw("</title>\n<link rel=\"stylesheet\" href=\"")
            .text(self.path)
            .raw("/auth/style.css\">\n</head>\n<body>\n<main>\n")
            .add(main)
            .raw("</main>\n<footer><p>")
            .name(self.service)
            .raw("</p></footer>\n</body>\n</html>\n")
    }

    /// The beginning of a form that is sent to one of our addresses.
    pub(crate) fn form(&self, address: &'static str, mark: Mark<'_>) -> Html {
        Html::new()
            .raw("<form method=\"post\" action=\"")
            .text(self.path)
            .raw("/auth/")
            .raw(address)
            .raw("\">\n")
            .raw("<input type=\"hidden\" name=\"request\" value=\"")
            .text(mark.request)
            .raw("\">\n<input type=\"hidden\" name=\"csrf\" value=\"")
            .text(mark.token)
            .raw("\">\n")
    }

    /// The way back to the app without letting it in.
    pub(crate) fn cancel(&self, mark: Mark<'_>, words: &'static str) -> Html {
        self.form("cancel", mark)
            .raw("<p><button type=\"submit\" class=\"quiet\">")
            .raw(words)
            .raw("</button></p>\n</form>\n")
    }

    /// Who is signed in, and the way to be somebody else.
    pub(crate) fn account(&self, mark: Mark<'_>, display: &str) -> Html {
        self.form("sign-out", mark)
            .raw("<p class=\"account\">You are signed in as ")
            .name(display)
            .raw(". <button type=\"submit\" class=\"quiet\">Use another account</button></p>\n</form>\n")
    }
}

/// The problem, before everything else: where it is, and a link to it (WCAG 2.2, 3.3.1).
pub(crate) fn problem(problem: Option<Problem>) -> Html {
    let Some(problem) = problem else { return Html::new() };
    Html::new()
        .raw("<div class=\"problem\" id=\"problem\" role=\"alert\" tabindex=\"-1\" autofocus>\n")
        .raw("<h2>There is a problem</h2>\n<p><a href=\"#")
        .raw(problem.field)
        .raw("\">")
        .raw(problem.words)
        .raw("</a></p>\n</div>\n")
}

/// The attributes of a field that say whether the problem is its own.
pub(crate) fn described(problem: Option<Problem>, field: &str) -> Html {
    let is_own = problem.is_some_and(|problem| problem.field == field);
    Html::new().when(is_own, |html| html.raw(" aria-describedby=\"problem\" aria-invalid=\"true\""))
}
