//! HTML that cannot be broken by what is shown in it: markup is written in this program, everything else is escaped.

/// A piece of HTML.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Html(String);

impl Html {
    /// Nothing yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Markup. It is part of this program, which the type demands: nothing that came from outside gets here.
    pub(crate) fn raw(mut self, markup: &'static str) -> Self {
        self.0.push_str(markup);
        self
    }

    /// Text, or the value of an attribute that stands in quotation marks.
    pub(crate) fn text(mut self, text: &str) -> Self {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // An old browser took it for a quotation mark.
                '`' => self.0.push_str("&#96;"),
                other if is_deceptive(other) => self.0.push('\u{FFFD}'),
                other => self.0.push(other),
            }
        }
        self
    }

    /// A name that somebody else has chosen: set apart, so that its direction of writing does not reach what stands around it.
    pub(crate) fn name(self, name: &str) -> Self {
        self.raw("<bdi>").text(name).raw("</bdi>")
    }

    /// Another piece.
    pub(crate) fn add(mut self, other: &Html) -> Self {
        self.0.push_str(&other.0);
        self
    }

    /// One piece for each of several things.
    pub(crate) fn each<T>(
        self,
        things: impl IntoIterator<Item = T>,
        piece: impl Fn(Self, T) -> Self,
    ) -> Self {
        things.into_iter().fold(self, piece)
    }

    /// A piece that is there only sometimes.
    pub(crate) fn when(self, condition: bool, piece: impl FnOnce(Self) -> Self) -> Self {
        if condition { piece(self) } else { self }
    }

    /// As it is sent.
    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

/// Characters that show nothing, or turn the direction of what is shown after them: what people read would not be what is there.
fn is_deceptive(character: char) -> bool {
    let is_space = matches!(character, '\n' | '\t');
    let turns = matches!(character, '\u{200E}' | '\u{200F}' | '\u{061C}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    character.is_control() && !is_space || turns
}
