//! Modifiers of search parameters (R4 search.html#modifiers).

use std::fmt;

use anamnesis_fhir::definitions;

/// What stands behind the colon of a parameter's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Modifier {
    None,
    Missing,
    Exact,
    Contains,
    Not,
    Above,
    Below,
    Identifier,
    OfType,
    In,
    NotIn,
    Text,
    /// A resource type: what a reference points at.
    Type(String),
    /// Any other: known to R4 or not, it is not supported.
    Other(String),
}

impl Modifier {
    pub(crate) fn parse(text: &str) -> Self {
        match text {
            "missing" => Self::Missing,
            "exact" => Self::Exact,
            "contains" => Self::Contains,
            "not" => Self::Not,
            "above" => Self::Above,
            "below" => Self::Below,
            "identifier" => Self::Identifier,
            "of-type" => Self::OfType,
            "in" => Self::In,
            "not-in" => Self::NotIn,
            "text" => Self::Text,
            name if definitions::r4().resource_types().contains(&name) => Self::Type(name.to_owned()),
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for Modifier {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::None => "",
            Self::Missing => "missing",
            Self::Exact => "exact",
            Self::Contains => "contains",
            Self::Not => "not",
            Self::Above => "above",
            Self::Below => "below",
            Self::Identifier => "identifier",
            Self::OfType => "of-type",
            Self::In => "in",
            Self::NotIn => "not-in",
            Self::Text => "text",
            Self::Type(text) | Self::Other(text) => text,
        })
    }
}
