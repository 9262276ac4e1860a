use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_certificate_of_90_days_is_renewed_after_60() {
    let from = SystemTime::UNIX_EPOCH + DAY;
    let due = due(Validity { from, until: from + 90 * DAY });
    assert_eq!(due, from + 60 * DAY);
    assert_eq!(until(due, due - Duration::from_secs(5)), Duration::from_secs(5));
    assert_eq!(until(due, from), LONGEST_SLEEP);
    assert_eq!(until(due, due + DAY), Duration::ZERO);
    assert_eq!(super::due(Validity { from, until: from - DAY }), from, "nonsense is replaced");
}

#[test]
fn pauses_grow_and_are_never_short() {
    let retry = Retry::default();
    let minutes = |failures, draw| pause(retry, failures, draw).as_secs() / 60;
    assert_eq!([0, 1, 2, 3, 9, u32::MAX].map(|failures| minutes(failures, 0.0)), [2; 6]);
    assert_eq!([0, 1, 2, 3, 9, u32::MAX].map(|failures| minutes(failures, 1.0)), [2, 12, 22, 42, 362, 362]);
}

#[test]
fn every_way_is_tried_unless_one_is_chosen() {
    use Challenge::{Http01, TlsAlpn01};
    let tried: Vec<_> = (0..4).flat_map(|failures| ways(None, failures)).collect();
    assert_eq!(tried, [TlsAlpn01, Http01, TlsAlpn01, Http01, TlsAlpn01]);
    assert_eq!(ways(Some(Http01), 3), [Http01]);
}
