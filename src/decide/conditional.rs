//! Conditional interactions: what the number of matches means (R4 http.html sections 3.1.0.5.3, 3.1.0.4.3, 3.1.0.7.1).

/// What a conditional create does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionalCreate {
    /// Nothing matches: create.
    Create,
    /// One matches: answer with it, 200.
    Found(String),
}

/// What a conditional update does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConditionalUpdate {
    /// Nothing matches and the body names no id: create under an id of the server's.
    Create,
    /// Nothing matches and the body names an id: create under it, where nothing is yet.
    CreateAs(String),
    /// One matches: update it.
    Update(String),
}

/// Why a conditional interaction is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConditionalRefusal {
    /// 412.
    #[error("the criteria match more than one resource; they must match one at most")]
    Many,
    /// 400.
    #[error("the criteria match a resource with another id than the one in the body")]
    OtherId,
    /// 404.
    #[error("no resource matches the criteria")]
    None,
}

/// Decides a conditional create from the ids that match.
///
/// # Errors
/// More than one match.
pub fn create(matches: &[String]) -> Result<ConditionalCreate, ConditionalRefusal> {
    match matches {
        [] => Ok(ConditionalCreate::Create),
        [one] => Ok(ConditionalCreate::Found(one.clone())),
        _ => Err(ConditionalRefusal::Many),
    }
}

/// Decides a conditional update from the ids that match and the id in the body.
///
/// # Errors
/// More than one match, or one with another id than the body's.
pub fn update(matches: &[String], body_id: Option<&str>) -> Result<ConditionalUpdate, ConditionalRefusal> {
    match (matches, body_id) {
        ([], None) => Ok(ConditionalUpdate::Create),
        ([], Some(id)) => Ok(ConditionalUpdate::CreateAs(id.to_owned())),
        ([one], Some(id)) if one != id => Err(ConditionalRefusal::OtherId),
        ([one], _) => Ok(ConditionalUpdate::Update(one.clone())),
        _ => Err(ConditionalRefusal::Many),
    }
}

/// Decides a conditional patch from the ids that match: the one to patch.
///
/// # Errors
/// No match, or more than one.
pub fn patch(matches: &[String]) -> Result<String, ConditionalRefusal> {
    match matches {
        [] => Err(ConditionalRefusal::None),
        [one] => Ok(one.clone()),
        _ => Err(ConditionalRefusal::Many),
    }
}

/// Decides a conditional delete: the ids to delete. `count_max` is the client's `_count`, 1 without it.
///
/// # Errors
/// More matches than the client allows to delete, where it did not give a count.
pub fn delete(matches: &[String], count_max: Option<usize>) -> Result<&[String], ConditionalRefusal> {
    match count_max {
        None if matches.len() > 1 => Err(ConditionalRefusal::Many),
        None => Ok(matches),
        Some(count) => Ok(matches.get(..count.min(matches.len())).unwrap_or(matches)),
    }
}
