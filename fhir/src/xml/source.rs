//! The events of an XML text, checked: only what FHIR allows comes through, each with its place.

use quick_xml::events::{BytesDecl, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{Error, NsReader};

use super::error::XmlErrorKind;
use super::text::attribute_value;
use super::{FHIR_NAMESPACE, XHTML_NAMESPACE};

/// Most attributes of an element. FHIR's have two and some declarations of namespaces; those of a narrative a few more.
pub(super) const ATTRIBUTES_MAX: usize = 16;

/// A fault before its path is known.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) kind: XmlErrorKind,
    pub(super) offset: usize,
}

pub(super) type Read<T> = Result<T, Fault>;

/// Which namespace an element is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Namespace {
    Fhir,
    Xhtml,
    Other,
}

/// A start tag; that of an empty element is followed by its end as well.
#[derive(Debug)]
pub(super) struct Tag<'x> {
    pub(super) namespace: Namespace,
    /// The name without its prefix.
    pub(super) local: &'x str,
    pub(super) start: BytesStart<'x>,
    /// Where the tag begins.
    pub(super) at: usize,
}

/// What FHIR's own elements consist of.
#[derive(Debug)]
pub(super) enum Token<'x> {
    Open(Tag<'x>),
    Close,
    /// Text that is more than white space, which FHIR does not allow here.
    Text,
    /// The end of the text.
    End,
}

/// Reads events from a text.
pub(super) struct Source<'x> {
    text: &'x str,
    reader: NsReader<&'x [u8]>,
    /// Where the newest event begins.
    pub(super) at: usize,
    /// Elements that are open.
    open: usize,
}

impl<'x> Source<'x> {
    pub(super) fn new(text: &'x str) -> Self {
        let mut reader = NsReader::from_str(text);
        let config = reader.config_mut();
        config.check_comments = true;
        config.expand_empty_elements = true;
        reader.resolver_mut().set_max_declarations_per_element(ATTRIBUTES_MAX);
        Self { text, reader, at: 0, open: 0 }
    }

    /// The text from `start` to the end of the newest event.
    pub(super) fn since(&self, start: usize) -> &'x str {
        self.text.get(start..self.position()).unwrap_or_default()
    }

    fn position(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The next event with the namespace of its element; never anything that FHIR does not allow anywhere.
    pub(super) fn event(&mut self) -> Read<(Namespace, Event<'x>)> {
        self.at = self.position();
        let (namespace, event) = match self.reader.read_resolved_event() {
            Ok((resolved, event)) => (namespace(&resolved), event),
            Err(error) => return Err(self.broken(&error)),
        };
        match &event {
            Event::DocType(_) => self.forbidden("document types"),
            Event::PI(_) => self.forbidden("processing instructions"),
            Event::CData(_) => self.forbidden("CDATA"),
            Event::Decl(declaration) => self.declaration(declaration).map(|()| (namespace, event)),
            Event::Start(_) => {
                self.open += 1;
                Ok((namespace, event))
            }
            Event::End(_) => {
                self.open = self.open.saturating_sub(1);
                Ok((namespace, event))
            }
            Event::Eof if self.open > 0 => self.fail(XmlErrorKind::NotWellFormed("an element is not closed")),
            _ => Ok((namespace, event)),
        }
    }

    /// How many elements are open.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Passes over everything until no more than so many elements are open.
    pub(super) fn skip(&mut self, open: usize) -> Read<()> {
        while self.open > open {
            self.event()?;
        }
        Ok(())
    }

    /// The next tag or text; comments and white space are passed over.
    pub(super) fn token(&mut self) -> Read<Token<'x>> {
        // Every event but the last takes at least one byte, or ends an element.
        loop {
            let (namespace, event) = self.event()?;
            match event {
                Event::Start(start) => return Ok(Token::Open(self.tag(namespace, start))),
                Event::End(_) => return Ok(Token::Close),
                Event::Eof => return Ok(Token::End),
                Event::Text(text) if text.iter().all(u8::is_ascii_whitespace) => {}
                Event::Text(_) | Event::GeneralRef(_) => return Ok(Token::Text),
                _ => {}
            }
        }
    }

    pub(super) fn tag(&self, namespace: Namespace, start: BytesStart<'x>) -> Tag<'x> {
        let name = start.name().as_ref().len();
        let name = self.text.get(self.at + 1..self.at + 1 + name).unwrap_or_default();
        let local = name.split_once(':').map_or(name, |(_, local)| local);
        Tag { namespace, local, start, at: self.at }
    }

    /// Calls `take` with each attribute, its name and its value, but for declarations of namespaces.
    pub(super) fn attributes(&self, tag: &Tag<'x>, mut take: impl FnMut(&str, &str) -> Read<()>) -> Read<()> {
        let mut count = 0;
        for attribute in tag.start.attributes() {
            let malformed = XmlErrorKind::NotWellFormed("an attribute is malformed or stands twice");
            let Ok(attribute) = attribute else { return Err(Fault { kind: malformed, offset: tag.at }) };
            count += 1;
            if count > ATTRIBUTES_MAX {
                return Err(Fault { kind: XmlErrorKind::TooManyAttributes, offset: tag.at });
            }
            // Both are parts of a text that is UTF-8.
            let name = std::str::from_utf8(attribute.key.as_ref()).unwrap_or_default();
            let raw = std::str::from_utf8(&attribute.value).unwrap_or_default();
            let value = attribute_value(raw)
                .map_err(|how| Fault { kind: XmlErrorKind::NotWellFormed(how), offset: tag.at })?;
            if name != "xmlns" && !name.starts_with("xmlns:") {
                take(name, &value)?;
            }
        }
        Ok(())
    }

    /// Only at the beginning, only version 1.0, only UTF-8.
    fn declaration(&self, declaration: &BytesDecl<'_>) -> Read<()> {
        if self.at > 0 {
            return self.forbidden("a declaration behind the beginning");
        }
        if declaration.version().ok().as_deref() != Some(b"1.0".as_slice()) {
            return self.forbidden("another version than XML 1.0");
        }
        match declaration.encoding() {
            None => Ok(()),
            Some(Ok(name)) if name.eq_ignore_ascii_case(b"UTF-8") => Ok(()),
            Some(_) => self.fail(XmlErrorKind::NotUtf8),
        }
    }

    pub(super) fn fail<T>(&self, kind: XmlErrorKind) -> Read<T> {
        Err(Fault { kind, offset: self.at })
    }

    pub(super) fn forbidden<T>(&self, what: &'static str) -> Read<T> {
        self.fail(XmlErrorKind::Forbidden(what))
    }

    /// A fault of the reader's, without the names that it quotes.
    fn broken(&self, error: &Error) -> Fault {
        let offset = usize::try_from(self.reader.error_position()).unwrap_or(self.at);
        let how = match error {
            Error::Syntax(_) => "a tag, comment or declaration does not end",
            Error::IllFormed(quick_xml::errors::IllFormedError::MismatchedEndTag { .. }) => {
                "an end tag does not match its start tag"
            }
            Error::IllFormed(quick_xml::errors::IllFormedError::UnmatchedEndTag(_)) => {
                "an end tag has no start tag"
            }
            Error::IllFormed(quick_xml::errors::IllFormedError::DoubleHyphenInComment) => "'--' in a comment",
            Error::IllFormed(quick_xml::errors::IllFormedError::UnclosedReference) => {
                "'&' in text; write &amp;"
            }
            Error::Namespace(quick_xml::name::NamespaceError::TooManyDeclarations(_)) => {
                return Fault { kind: XmlErrorKind::TooManyAttributes, offset };
            }
            Error::Namespace(_) => "a declaration of a namespace is not allowed so",
            Error::InvalidAttr(_) => "an attribute is malformed or stands twice",
            _ => "this is no XML",
        };
        Fault { kind: XmlErrorKind::NotWellFormed(how), offset }
    }
}

fn namespace(resolved: &ResolveResult<'_>) -> Namespace {
    match resolved {
        ResolveResult::Bound(name) if name.as_ref() == FHIR_NAMESPACE.as_bytes() => Namespace::Fhir,
        ResolveResult::Bound(name) if name.as_ref() == XHTML_NAMESPACE.as_bytes() => Namespace::Xhtml,
        _ => Namespace::Other,
    }
}
