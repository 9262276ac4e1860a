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
    let minutes = |failures, draw| pause(retry, failures, None, draw).as_secs() / 60;
    assert_eq!([0, 1, 2, 3, 9, u32::MAX].map(|failures| minutes(failures, 0.0)), [2; 6]);
    assert_eq!([0, 1, 2, 3, 9, u32::MAX].map(|failures| minutes(failures, 1.0)), [2, 12, 22, 42, 362, 362]);
}

#[test]
fn a_certificate_that_ends_soon_is_tried_for_more_often() {
    let longest = |left| pause(Retry::default(), 9, Some(left), 1.0).as_secs() / 60;
    assert_eq!([30 * DAY, DAY, DAY / 24, Duration::ZERO].map(longest), [362, 362, 17, 2]);
}

#[test]
fn a_short_life_is_renewed_at_its_half() {
    let from = SystemTime::UNIX_EPOCH;
    let of = |days| due(Validity { from, until: from + days * DAY }).duration_since(from).unwrap();
    assert_eq!((of(6), of(1), of(9)), (3 * DAY, DAY / 2, 9 * DAY / 2));
    assert_eq!(of(12), 8 * DAY);
    // Everything fails: how many attempts are there before a certificate of 6 days ends?
    let (mut at, mut attempts) = (3 * DAY, 0);
    while at < 6 * DAY {
        attempts += 1;
        at += pause(Retry::default(), attempts, Some(6 * DAY - at), 1.0);
    }
    assert!(attempts > 12, "{attempts}");
}

#[test]
fn a_moment_in_the_window_is_drawn() {
    let from = SystemTime::UNIX_EPOCH + 1000 * DAY;
    let validity = Validity { from, until: from + 100 * DAY };
    let day = |window: Range<u32>, draw| {
        let at = suggested(validity, from + window.start * DAY..from + window.end * DAY, draw);
        at.duration_since(from).unwrap().as_secs_f64() / DAY.as_secs_f64()
    };
    assert_eq!([0.0, 0.25, 1.0].map(|draw| day(60..64, draw)), [60.0, 61.0, 64.0]);
    assert_eq!(day(95..200, 0.5), 90.0, "not when it is too late");
    let past = SystemTime::UNIX_EPOCH..SystemTime::UNIX_EPOCH + DAY;
    assert_eq!(suggested(validity, past, 0.5), from + DAY, "not for ever and ever");
}

#[test]
fn what_an_authority_asks_for_is_the_least() {
    let pauses = [0.0, 1.0].map(|draw| told(Duration::from_secs(3600), draw).as_secs());
    assert_eq!(pauses, [3600, 3960]);
    let looks = [0, 1, 5, u32::MAX].map(|looks| look(looks, 1.0).as_millis());
    assert_eq!(looks, [250, 500, 8000, 8000]);
    assert_eq!(look(0, 0.0).as_millis(), 125);
}

#[test]
fn every_way_is_tried_unless_one_is_chosen() {
    use Challenge::{Http01, TlsAlpn01};
    let tried: Vec<_> = (0..4).flat_map(|failures| ways(None, failures)).collect();
    assert_eq!(tried, [TlsAlpn01, Http01, TlsAlpn01, Http01, TlsAlpn01]);
    assert_eq!(ways(Some(Http01), 3), [Http01]);
}
