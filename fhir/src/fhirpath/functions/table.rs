//! The table of functions: name, number of arguments, what is known of the result, body.

use super::{Arguments, Body, Function};
use super::{
    aggregates, boundaries, collections, conversions, existence, fhir, iteration, mathematics, moments,
    references, strings, text_formats, utilities,
};

/// What is known of the type of a function's result, for the check at compile time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::fhirpath) enum Shape {
    /// The input's type, in the input's order.
    Input,
    /// The input's type; the function has a meaning only where the input has an order.
    Ordered,
    /// A System type.
    System,
    /// A System type; the argument is evaluated for each item.
    Criterion,
    /// The type that the argument names.
    Named,
    /// The argument's type, evaluated for each item.
    Projection,
    /// The types of the input and the argument together.
    Union,
    /// The types of the second and third argument together.
    Branches,
    /// The input's type; the arguments are evaluated for each item.
    Filter,
    /// Anything, without an order.
    Unordered,
    /// Extensions.
    Extensions,
    /// Anything.
    Unknown,
}

const fn plain(name: &'static str, minimum: usize, maximum: usize, shape: Shape, body: Body) -> Function {
    let arguments = Arguments::Plain;
    Function { name, minimum, maximum, arguments, pattern_flags: 0, pattern_is_full: false, shape, body }
}

const fn typed(name: &'static str, minimum: usize, shape: Shape, body: Body) -> Function {
    Function { arguments: Arguments::Type, ..plain(name, minimum, 1, shape, body) }
}

const fn matching(name: &'static str, flags: usize, full: bool, body: Body) -> Function {
    Function {
        arguments: Arguments::Pattern,
        pattern_flags: flags,
        pattern_is_full: full,
        ..plain(name, flags, flags + 1, Shape::System, body)
    }
}

/// Finds a function by name.
pub(in crate::fhirpath) fn find(name: &str) -> Option<&'static Function> {
    FUNCTIONS.iter().find(|function| function.name == name)
}

static FUNCTIONS: &[Function] = &[
    // Existence (FHIRPath 2.0.0 section 5.1)
    plain("empty", 0, 0, Shape::System, existence::empty),
    plain("exists", 0, 1, Shape::Criterion, existence::exists),
    plain("all", 1, 1, Shape::Criterion, existence::all),
    plain("allTrue", 0, 0, Shape::System, existence::all_true),
    plain("anyTrue", 0, 0, Shape::System, existence::any_true),
    plain("allFalse", 0, 0, Shape::System, existence::all_false),
    plain("anyFalse", 0, 0, Shape::System, existence::any_false),
    plain("subsetOf", 1, 1, Shape::System, existence::subset_of),
    plain("supersetOf", 1, 1, Shape::System, existence::superset_of),
    plain("count", 0, 0, Shape::System, existence::count),
    plain("not", 0, 0, Shape::System, existence::not),
    plain("isDistinct", 0, 0, Shape::System, existence::is_distinct),
    // Filtering and projection (5.2), subsetting (5.3), combining (5.4)
    plain("distinct", 0, 0, Shape::Input, collections::distinct),
    plain("where", 1, 1, Shape::Filter, iteration::filter),
    plain("select", 1, 1, Shape::Projection, iteration::select),
    plain("repeat", 1, 1, Shape::Unknown, iteration::repeat),
    plain("repeatAll", 1, 1, Shape::Unknown, iteration::repeat_all),
    plain("aggregate", 1, 2, Shape::Unknown, iteration::aggregate),
    plain("iif", 2, 3, Shape::Branches, iteration::iif),
    plain("sort", 0, 8, Shape::Filter, iteration::sort),
    typed("ofType", 1, Shape::Named, collections::of_type),
    typed("is", 1, Shape::System, collections::is),
    typed("as", 1, Shape::Named, collections::cast),
    plain("single", 0, 0, Shape::Input, collections::single_item),
    plain("first", 0, 0, Shape::Ordered, collections::first),
    plain("last", 0, 0, Shape::Ordered, collections::last),
    plain("tail", 0, 0, Shape::Ordered, collections::tail),
    plain("skip", 1, 1, Shape::Ordered, collections::skip),
    plain("take", 1, 1, Shape::Ordered, collections::take),
    plain("intersect", 1, 1, Shape::Input, collections::intersect),
    plain("exclude", 1, 1, Shape::Input, collections::exclude),
    plain("union", 1, 1, Shape::Union, collections::union),
    plain("combine", 1, 2, Shape::Union, collections::combine),
    plain("coalesce", 1, 8, Shape::Unknown, collections::coalesce),
    plain("children", 0, 0, Shape::Unordered, collections::children),
    plain("descendants", 0, 0, Shape::Unordered, collections::descendants),
    // Conversion (5.5)
    plain("toBoolean", 0, 0, Shape::System, conversions::to_boolean),
    plain("convertsToBoolean", 0, 0, Shape::System, conversions::converts_to_boolean),
    plain("toInteger", 0, 0, Shape::System, conversions::to_integer),
    plain("convertsToInteger", 0, 0, Shape::System, conversions::converts_to_integer),
    plain("toDecimal", 0, 0, Shape::System, conversions::to_decimal),
    plain("convertsToDecimal", 0, 0, Shape::System, conversions::converts_to_decimal),
    plain("toString", 0, 0, Shape::System, conversions::to_string),
    plain("convertsToString", 0, 0, Shape::System, conversions::converts_to_string),
    plain("toDate", 0, 0, Shape::System, conversions::to_date),
    plain("convertsToDate", 0, 0, Shape::System, conversions::converts_to_date),
    plain("toDateTime", 0, 0, Shape::System, conversions::to_date_time),
    plain("convertsToDateTime", 0, 0, Shape::System, conversions::converts_to_date_time),
    plain("toTime", 0, 0, Shape::System, conversions::to_time),
    plain("convertsToTime", 0, 0, Shape::System, conversions::converts_to_time),
    plain("toQuantity", 0, 1, Shape::System, conversions::to_quantity),
    plain("convertsToQuantity", 0, 1, Shape::System, conversions::converts_to_quantity),
    // Text (5.6)
    plain("indexOf", 1, 1, Shape::System, strings::index_of),
    plain("lastIndexOf", 1, 1, Shape::System, strings::last_index_of),
    plain("substring", 1, 2, Shape::System, strings::substring),
    plain("startsWith", 1, 1, Shape::System, strings::starts_with),
    plain("endsWith", 1, 1, Shape::System, strings::ends_with),
    plain("contains", 1, 1, Shape::System, strings::contains),
    plain("upper", 0, 0, Shape::System, strings::upper),
    plain("lower", 0, 0, Shape::System, strings::lower),
    plain("replace", 2, 2, Shape::System, strings::replace),
    matching("matches", 1, false, strings::matches),
    matching("matchesFull", 1, true, strings::matches),
    matching("replaceMatches", 2, false, strings::replace_matches),
    plain("length", 0, 0, Shape::System, strings::length),
    plain("toChars", 0, 0, Shape::System, strings::to_chars),
    plain("trim", 0, 0, Shape::System, strings::trim),
    plain("split", 1, 1, Shape::System, strings::split),
    plain("join", 0, 1, Shape::System, strings::join),
    plain("encode", 1, 1, Shape::System, text_formats::encode),
    plain("decode", 1, 1, Shape::System, text_formats::decode),
    plain("escape", 1, 1, Shape::System, text_formats::escape),
    plain("unescape", 1, 1, Shape::System, text_formats::unescape),
    // Mathematics (5.7) and aggregates (7)
    plain("abs", 0, 0, Shape::System, mathematics::abs),
    plain("ceiling", 0, 0, Shape::System, mathematics::ceiling),
    plain("floor", 0, 0, Shape::System, mathematics::floor),
    plain("truncate", 0, 0, Shape::System, mathematics::truncate),
    plain("round", 0, 1, Shape::System, mathematics::round),
    plain("exp", 0, 0, Shape::System, mathematics::exp),
    plain("ln", 0, 0, Shape::System, mathematics::ln),
    plain("log", 1, 1, Shape::System, mathematics::log),
    plain("power", 1, 1, Shape::System, mathematics::power),
    plain("sqrt", 0, 0, Shape::System, mathematics::sqrt),
    plain("sum", 0, 0, Shape::System, aggregates::sum),
    plain("min", 0, 0, Shape::Input, aggregates::min),
    plain("max", 0, 0, Shape::Input, aggregates::max),
    plain("avg", 0, 0, Shape::System, aggregates::avg),
    // Utility (5.9), boundaries and parts of moments (later drafts)
    plain("trace", 1, 2, Shape::Filter, utilities::trace),
    plain("now", 0, 0, Shape::System, utilities::now),
    plain("today", 0, 0, Shape::System, utilities::today),
    plain("timeOfDay", 0, 0, Shape::System, utilities::time_of_day),
    plain("type", 0, 0, Shape::Unknown, utilities::type_of),
    plain("comparable", 1, 1, Shape::System, utilities::comparable),
    plain("lowBoundary", 0, 1, Shape::System, boundaries::low),
    plain("highBoundary", 0, 1, Shape::System, boundaries::high),
    plain("precision", 0, 0, Shape::System, boundaries::precision),
    plain("yearOf", 0, 0, Shape::System, moments::year),
    plain("monthOf", 0, 0, Shape::System, moments::month),
    plain("dayOf", 0, 0, Shape::System, moments::day),
    plain("hourOf", 0, 0, Shape::System, moments::hour),
    plain("minuteOf", 0, 0, Shape::System, moments::minute),
    plain("secondOf", 0, 0, Shape::System, moments::second),
    plain("millisecondOf", 0, 0, Shape::System, moments::millisecond),
    plain("timezoneOffsetOf", 0, 0, Shape::System, moments::timezone_offset),
    plain("dateOf", 0, 0, Shape::System, moments::date),
    plain("timeOf", 0, 0, Shape::System, moments::time),
    // FHIR (R4 fhirpath.html section 2.1.9.1.5) and SQL on FHIR
    plain("extension", 1, 1, Shape::Extensions, fhir::extension),
    plain("hasExtension", 1, 1, Shape::System, fhir::has_extension),
    plain("hasValue", 0, 0, Shape::System, fhir::has_value),
    plain("getValue", 0, 0, Shape::System, fhir::get_value),
    plain("checkModifiers", 0, 8, Shape::Input, fhir::check_modifiers),
    plain("memberOf", 1, 1, Shape::System, fhir::member_of),
    plain("conformsTo", 1, 1, Shape::System, fhir::conforms_to),
    plain("htmlChecks", 0, 0, Shape::System, fhir::html_checks),
    plain("resolve", 0, 0, Shape::Unknown, references::resolve),
    plain("getResourceKey", 0, 0, Shape::System, references::resource_key),
    typed("getReferenceKey", 0, Shape::System, references::reference_key),
];
