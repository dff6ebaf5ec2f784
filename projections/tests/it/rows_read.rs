//! How many rows a search reads, as the database counts them: the same on every machine.

use anamnesis_projections::search::Explained;
use serde_json::Value;

/// The rows that the statements of a search read from the tables of the index: what scans give, and what they throw away.
pub(crate) fn rows_read(explained: &Explained) -> u64 {
    explained.statements.iter().map(|one| of_plan(&one.plan[0]["Plan"])).sum()
}

fn of_plan(plan: &Value) -> u64 {
    let number = |name: &str| plan[name].as_f64().unwrap_or_default();
    let is_of_index = |name: &str| plan[name].as_str().is_some_and(|name| name.starts_with("search_v"));
    let rows = ["Actual Rows", "Rows Removed by Filter", "Rows Removed by Index Recheck"].map(number);
    // What a bitmap is made of counts where it is no row in the end: as far as other bitmaps throw it away.
    let own =
        if is_of_index("Relation Name") { rows.iter().sum::<f64>() * number("Actual Loops") } else { 0.0 };
    let below: u64 = plan["Plans"].as_array().into_iter().flatten().map(of_plan).sum();
    let is_joined = plan["Node Type"] == "BitmapAnd";
    let bitmaps = plan["Plans"].as_array().into_iter().flatten().filter(|_| is_joined);
    let joined: f64 = bitmaps.map(|one| one["Actual Rows"].as_f64().unwrap_or_default()).sum();
    (own + joined * number("Actual Loops").max(1.0)) as u64 + below
}
