//! Settings of searches.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Limits of searches.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SearchSettings {
    /// How long a search waits for the index to reach what had been written when it came in, in milliseconds.
    pub wait_ms: u64,
    /// When a date is equal to the one that a search asks for.
    pub date_equals: DateEqualsSetting,
    /// What happens to a parameter that this server does not know, where the client does not say
    /// (`Prefer: handling=`).
    pub unknown_parameter: UnknownParameter,
    /// Links of a chain (`subject.organization.name` has two), reverse ones included. Each may be a search of its own.
    pub chain_depth_max: usize,
    /// Criteria of one search; beyond it 400.
    #[schemars(range(min = 1))]
    pub criteria_max: usize,
    /// Alternatives of one criterion (`a,b,c`); beyond it 400.
    #[schemars(range(min = 1))]
    pub values_max: usize,
    /// Links of all chained criteria and `_has` of one search together; beyond it 400.
    pub links_max: usize,
    /// `_include` and `_revinclude` of one search; beyond it 400.
    pub includes_max: usize,
    /// Whether `_explain` tells operators how a search is done.
    pub explain: bool,
    /// Whether the words of texts are indexed, for `_text` and `_content`: some 13 bytes for each different word of a resource.
    /// True: an index that lacks them is built again with them. False: the next `$reindex` leaves them out. Not set: the index
    /// stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full_text: Option<bool>,
}

impl Default for SearchSettings {
    fn default() -> Self {
        let date_equals = DateEqualsSetting::Contains;
        let unknown_parameter = UnknownParameter::Ignore;
        SearchSettings {
            wait_ms: 500,
            date_equals,
            unknown_parameter,
            chain_depth_max: 4,
            // Far from what people and generated forms ask for, and near to what one statement still answers well.
            criteria_max: 64,
            values_max: 2000,
            links_max: 24,
            includes_max: 64,
            explain: true,
            full_text: None,
        }
    }
}

/// When a date is equal to the one that a search asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum DateEqualsSetting {
    /// The date that is asked for covers the whole of the resource's, as R4 has it.
    Contains,
    /// The two have some time in common, as Azure Health Data Services has it.
    Overlaps,
}

/// What happens to a parameter that is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum UnknownParameter {
    /// It is left out, and a warning says so, as Azure Health Data Services has it.
    Ignore,
    /// The request is refused.
    Refuse,
}
