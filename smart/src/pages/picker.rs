//! The page on which a patient is chosen.

use super::frame::{Frame, Mark, Problem, described, problem};
use super::html::Html;
use crate::host::{PatientPage, PatientShown};

/// What the page shows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Picker<'a> {
    pub(crate) mark: Mark<'a>,
    /// The app's name.
    pub(crate) client: &'a str,
    /// Who chooses.
    pub(crate) display: &'a str,
    /// What was searched for.
    pub(crate) words: &'a str,
    pub(crate) page: &'a PatientPage,
    /// Whether all patients are offered, in an emergency.
    pub(crate) is_emergency: bool,
    pub(crate) problem: Option<Problem>,
}

/// No patient was chosen.
pub(crate) const NONE_CHOSEN: Problem = Problem { field: "patients", words: "Choose a patient." };
/// What was chosen may not be chosen.
pub(crate) const NOT_OFFERED: Problem =
    Problem { field: "patients", words: "This patient cannot be chosen. Choose another one." };
/// What is searched for is too long.
pub(crate) const TOO_LONG: Problem = Problem { field: "words", words: "Search for 200 characters at most." };

/// The page.
pub(crate) fn page(frame: Frame<'_>, shown: Picker<'_>) -> Html {
    let main = Html::new()
        .add(&problem(shown.problem))
        .raw("<h1>Choose a patient</h1>\n")
        .when(shown.is_emergency, |html| {
            html.raw("<p class=\"warning\"><strong>Emergency.</strong> All patients are offered. Each look is recorded and reported.</p>\n")
        })
        .raw("<p>The app ")
        .name(shown.client)
        .raw(" asks for the record of one patient. It sees this one only.</p>\n")
        .add(&search(frame, shown))
        .add(&choice(frame, shown))
        .add(&frame.cancel(shown.mark, "Cancel and go back to the app"))
        .add(&frame.account(shown.mark, shown.display));
    frame.page("Choose a patient", shown.problem, &main)
}

fn search(frame: Frame<'_>, shown: Picker<'_>) -> Html {
    frame
        .form("patient", shown.mark)
        .raw("<p><label for=\"words\">Beginning of a name, or an identifier</label>\n")
        .raw("<input id=\"words\" name=\"words\" type=\"search\" autocomplete=\"off\" spellcheck=\"false\" value=\"")
        .text(shown.words)
        .raw("\"")
        .add(&described(shown.problem, "words"))
        .raw("></p>\n<p><button type=\"submit\" class=\"second\">Search</button></p>\n</form>\n")
}

fn choice(frame: Frame<'_>, shown: Picker<'_>) -> Html {
    if shown.page.patients.is_empty() {
        return Html::new().raw("<p id=\"patients\" role=\"status\">No patient was found.</p>\n");
    }
    frame
        .form("patient", shown.mark)
        .raw("<input type=\"hidden\" name=\"choose\" value=\"yes\">\n<fieldset id=\"patients\"")
        .add(&described(shown.problem, "patients"))
        .raw(">\n<legend>Patients</legend>\n")
        .each(shown.page.patients.iter().enumerate(), |html, (at, patient)| html.add(&row(at, patient)))
        .raw("</fieldset>\n")
        .when(shown.page.has_more, |html| {
            html.raw(
                "<p role=\"status\">There are more. Search for more of the name, or for an identifier.</p>\n",
            )
        })
        .raw("<p><button type=\"submit\">Go on with this patient</button></p>\n</form>\n")
}

fn row(at: usize, patient: &PatientShown) -> Html {
    let id = format!("patient-{at}");
    Html::new()
        .raw("<p class=\"choice\"><input type=\"radio\" name=\"patient\" id=\"")
        .text(&id)
        .raw("\" value=\"")
        .text(&patient.id)
        .raw("\"><label for=\"")
        .text(&id)
        .raw("\">")
        .add(&described_patient(patient))
        .raw("</label></p>\n")
}

/// A patient so that two of one name are told apart.
pub(crate) fn described_patient(patient: &PatientShown) -> Html {
    let name = if patient.name.is_empty() { "Name not known" } else { &patient.name };
    let facts = [("born ", &patient.birth_date), ("", &patient.gender), ("identifier ", &patient.identifier)];
    Html::new()
        .raw("<strong>")
        .name(name)
        .raw("</strong>")
        .each(facts.into_iter().filter(|(_, fact)| !fact.is_empty()), |html, (words, fact)| {
            html.raw(", ").raw(words).name(fact)
        })
}
