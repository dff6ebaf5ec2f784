//! Whether two versions of a resource say the same, apart from what the server writes into `meta`.

use anamnesis_fhir::json::{Kind, Value};

/// Members of `meta` that the server sets (R4 resource.html section 2.26.3.1).
const SERVER_SET: [&str; 2] = ["versionId", "lastUpdated"];

/// Compares a recorded resource with one that a client sent. The order of members does not matter, the literal of
/// a number does: `1.10` is not `1.1`. The id is not compared: both are of one resource.
pub(super) fn same_but_for_version(recorded: Value<'_>, sent: Value<'_>) -> bool {
    let counted = |resource: Value<'_>| {
        resource
            .members()
            .filter(|(name, value)| name != "id" && !(name == "meta" && is_servers_own(*value)))
            .count()
    };
    counted(recorded) == counted(sent)
        && recorded.members().filter(|(name, _)| name != "id").all(|(name, value)| match sent.get(&name) {
            Some(other) if name == "meta" => same_meta(value, other),
            Some(other) => same(value, other),
            None => name == "meta" && is_servers_own(value),
        })
}

/// The same, whatever `meta` says.
pub(super) fn same_but_for_meta(recorded: Value<'_>, sent: Value<'_>) -> bool {
    let counts = |name: &str| name != "id" && name != "meta";
    let counted = |resource: Value<'_>| resource.members().filter(|(name, _)| counts(name)).count();
    counted(recorded) == counted(sent)
        && recorded
            .members()
            .filter(|(name, _)| counts(name))
            .all(|(name, value)| sent.get(&name).is_some_and(|other| same(value, other)))
}

/// Whether a `meta` holds nothing but what the server sets.
fn is_servers_own(meta: Value<'_>) -> bool {
    meta.members().all(|(name, _)| SERVER_SET.contains(&name.as_ref()))
}

fn same_meta(recorded: Value<'_>, sent: Value<'_>) -> bool {
    let of_client = |(name, _): &(std::borrow::Cow<'_, str>, Value<'_>)| !SERVER_SET.contains(&name.as_ref());
    recorded.members().filter(of_client).count() == sent.members().filter(of_client).count()
        && recorded
            .members()
            .filter(of_client)
            .all(|(name, value)| sent.get(&name).is_some_and(|other| same(value, other)))
}

/// Structural equality. The depth is bounded by the parser's limit.
fn same(left: Value<'_>, right: Value<'_>) -> bool {
    if left.kind() != right.kind() {
        return false;
    }
    match left.kind() {
        Kind::Null => true,
        Kind::Bool | Kind::Number => left.raw() == right.raw(),
        Kind::String => left.raw() == right.raw() || left.as_str() == right.as_str(),
        Kind::Array => left.len() == right.len() && left.items().zip(right.items()).all(|(l, r)| same(l, r)),
        Kind::Object => {
            left.len() == right.len()
                && left.members().all(|(name, l)| right.get(&name).is_some_and(|r| same(l, r)))
        }
    }
}
