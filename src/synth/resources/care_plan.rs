//! CarePlan: what is agreed with somebody who lives with a chronic condition.

use crate::synth::bundle::Id;
use crate::synth::chart::{Chart, Context};
use crate::synth::codes::Code;
use crate::synth::codes::conditions::Effect;

/// The conditions that a plan is made for, and its activities.
const PLANS: &[(Effect, Code)] = &[
    (Effect::HighGlucose, Code::snomed("160670007", "Diabetic diet")),
    (Effect::Overweight, Code::snomed("229065009", "Exercise therapy")),
    (Effect::WeakHeart, Code::snomed("386463000", "Prescribed activity/exercise education")),
    (Effect::AirwayLimit, Code::snomed("225323000", "Smoking cessation education")),
];

/// Writes one plan for all conditions known at the first visit that have an activity.
pub(in crate::synth) fn write(chart: &mut Chart<'_>, context: &Context) {
    let today = context.time.day();
    let known = chart.story.episodes.iter().filter(|episode| episode.onset <= today && episode.end.is_none());
    let planned: Vec<(Id, Code)> = known
        .filter_map(|episode| {
            let plan = PLANS.iter().find(|(effect, _)| episode.kind.effects().contains(effect))?;
            Some((episode.id, plan.1))
        })
        .collect();
    if planned.is_empty() {
        return;
    }
    let id = chart.dice.id();
    chart.bundle.create(id, "CarePlan", |json| {
        json.string("status", "active");
        json.string("intent", "plan");
        Code::snomed("734163000", "Care plan").write_concept_list(json, "category");
        json.string("title", "Living with a chronic condition");
        context.write_subject(json);
        json.object("period", |json| json.plain("start", today));
        json.object("author", |json| json.string("reference", &context.practitioner));
        json.array("addresses", |json| {
            for (condition, _) in &planned {
                json.item(|json| json.plain("reference", condition));
            }
        });
        json.array("activity", |json| {
            for (_, activity) in &planned {
                json.item(|json| {
                    json.object("detail", |json| {
                        activity.write_concept(json, "code");
                        json.string("status", "in-progress");
                    });
                });
            }
        });
    });
}
