//! Reads pages as far as browsers need them to go on: tags with their attributes, forms with their fields.

/// A tag with its attributes, as they are after what was escaped is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    /// The text up to the next tag.
    pub(crate) text: String,
}

/// A form: where it leads, and what is sent with it when nothing is changed.
#[derive(Debug, Clone)]
pub(crate) struct Form {
    pub(crate) action: String,
    pub(crate) fields: Vec<(String, String)>,
}

impl Tag {
    /// The value of an attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether it is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.attribute(name).is_some()
    }
}

/// All tags of a page, closing ones as `/name`.
#[track_caller]
pub(crate) fn tags(page: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = page;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let mut name_end = rest.find([' ', '>', '\n']).unwrap_or_else(|| panic!("a tag without end"));
        let name = rest[..name_end].to_lowercase();
        let mut attributes = Vec::new();
        loop {
            rest = rest[name_end..].trim_start();
            if let Some(after) = rest.strip_prefix('>') {
                rest = after;
                break;
            }
            let end = rest.find(['=', ' ', '>', '\n']).unwrap_or_else(|| panic!("a tag without end"));
            let attribute = rest[..end].to_lowercase();
            if rest[end..].starts_with('=') {
                let value = rest[end + 1..].strip_prefix('"').expect("quotation marks around each value");
                let (value, after) = value.split_once('"').expect("a closing quotation mark");
                attributes.push((attribute, unescaped(value)));
                (rest, name_end) = (after, 0);
            } else {
                attributes.push((attribute, String::new()));
                name_end = end;
            }
        }
        let text = unescaped(&rest[..rest.find('<').unwrap_or(rest.len())]);
        tags.push(Tag { name, attributes, text });
    }
    tags
}

/// All forms of a page.
pub(crate) fn forms(page: &str) -> Vec<Form> {
    let mut forms: Vec<Form> = Vec::new();
    for tag in tags(page) {
        let Some(form) = forms.last_mut().filter(|_| tag.name != "form") else {
            if tag.name == "form" {
                let action = tag.attribute("action").unwrap().to_owned();
                assert_eq!(tag.attribute("method"), Some("post"));
                forms.push(Form { action, fields: Vec::new() });
            }
            continue;
        };
        let Some(name) = tag.attribute("name") else { continue };
        let value = tag.attribute("value").unwrap_or_default().to_owned();
        match (tag.name.as_str(), tag.attribute("type")) {
            ("input", Some("radio" | "checkbox")) if !tag.has("checked") => {}
            ("input", _) => form.fields.push((name.to_owned(), value)),
            ("textarea", _) => form.fields.push((name.to_owned(), tag.text.clone())),
            _ => {}
        }
    }
    forms
}

/// What people read.
pub(crate) fn words(page: &str) -> String {
    let text: Vec<String> = tags(page).into_iter().map(|tag| tag.text).collect();
    text.join("").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn unescaped(text: &str) -> String {
    let mut text = text.to_owned();
    for (entity, character) in
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&#96;", "`"), ("&amp;", "&")]
    {
        text = text.replace(entity, character);
    }
    text
}
