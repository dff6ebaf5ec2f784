//! Times strictly increase, stamps land in their place, and a batch can be prepared twice.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::*;
use crate::log::decide::{self, decide};
use crate::{Erases, Operation, Position, ResourceKey, STAMP_PLACEHOLDER, Version};

fn time(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn time_goes_on_when_the_clock_does_and_creeps_when_it_jumps_back() {
    let (early, late) = (time("2026-01-01T00:00:00.5Z"), time("2026-01-01T00:00:01Z"));
    assert_eq!(next_time(None, early), early);
    assert_eq!(next_time(Some(early), late), late);
    assert_eq!(next_time(Some(late), early), time("2026-01-01T00:00:01.000001Z"));
    assert_eq!(next_time(Some(late), late), time("2026-01-01T00:00:01.000001Z"));
    assert_eq!(next_time(None, time("2026-01-01T00:00:00.123456789Z")), time("2026-01-01T00:00:00.123456Z"));
}

fn draft(id: &str) -> Draft {
    Draft {
        key: ResourceKey::new("Patient", id),
        operation: Operation::Create,
        erases: Erases::Nothing,
        version: Version::new(1),
        home: "Patient/1".into(),
        touches: vec!["Patient/3".into(), "Patient/1".into(), "Patient/2".into(), "Patient/3".into()],
        payload: format!("<{STAMP_PLACEHOLDER}>").into_bytes(),
        stamp_at: Some(1),
        identifiers: vec![],
        require_no_identifier: vec![],
        agent: "test".into(),
        source: None,
    }
}

fn prepared(groups: &mut [Pending], now: &str) -> Prepared {
    let recorded = decide::Recorded::default();
    let verdict = decide(&recorded, Position::ZERO, groups.iter().map(|pending| &pending.group));
    let store = Storing { encoder: &mut Encoder::new(1).unwrap(), sealing: None };
    prepare(groups, verdict, (None, [7; 32]), time(now), store).unwrap()
}

#[tokio::test]
async fn a_batch_that_is_tried_again_is_stamped_anew_and_chained() {
    let permit = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
    let group = Group { drafts: vec![draft("1"), draft("2")], ..Group::default() };
    let mut groups = [Pending {
        group,
        keys: HashMap::new(),
        erasures: vec![],
        bytes: 0,
        reply: oneshot::channel().0,
        permit,
    }];
    prepared(&mut groups, "2026-01-01T00:00:00Z");
    let prepared = prepared(&mut groups, "2026-02-03T04:05:06.000007Z");
    let Ok(Done::Recorded(answer)) = &prepared.answers[0] else { panic!("not recorded") };
    assert_eq!(&answer[0].payload[..], b"<2026-02-03T04:05:06.000007Z>");
    assert_eq!(&answer[1].payload[..], b"<2026-02-03T04:05:06.000008Z>");
    assert_eq!(prepared.tail.unwrap().recorded_at, answer[1].recorded_at);
    assert_eq!(prepared.tail.unwrap().position, Position::new(2));
}

#[test]
fn touches_have_the_home_first_and_the_others_once_and_sorted() {
    assert_eq!(touches(&draft("1")), ["Patient/1", "Patient/2", "Patient/3"]);
}
