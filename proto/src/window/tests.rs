use proptest::prelude::*;

use super::*;

#[test]
fn credit_is_spent_up_to_what_there_is() {
    let mut credit = SendCredit::new(10);
    assert_eq!(credit.take(4), 4);
    assert_eq!(credit.take(40), 6);
    assert_eq!(credit.take(1), 0);
    credit.grant(3).unwrap();
    assert_eq!(credit.available(), 3);
}

#[test]
fn credit_beyond_the_maximum_is_refused() {
    let mut credit = SendCredit::new(u32::MAX);
    assert_eq!(credit.grant(1), Err(CreditOverflow));
    assert_eq!(credit.available() as u64, SendCredit::MAX);
}

#[test]
fn grants_are_saved_up() {
    let mut window = RecvWindow::new(64 * 1024);
    window.on_received(64 * 1024).unwrap();
    assert_eq!(window.on_received(1), Err(CreditOverrun));
    assert_eq!(window.on_consumed(16 * 1024 - 1), None);
    assert_eq!(window.on_consumed(1), Some(16 * 1024));
    window.on_received(16 * 1024).unwrap();
}

#[test]
fn a_window_grows_only_when_it_is_the_limit() {
    let start = Instant::now();
    let rtt = Some(Duration::from_millis(50));
    let mut window = RecvWindow::new(64 * 1024);
    assert_eq!(window.wanted_growth(64 * 1024, start, rtt), None);
    let soon = start + Duration::from_millis(99);
    assert_eq!(window.wanted_growth(1, soon, rtt), Some(64 * 1024));

    let mut slow = RecvWindow::new(64 * 1024);
    assert_eq!(slow.wanted_growth(64 * 1024, start, rtt), None);
    let late = start + Duration::from_millis(101);
    assert_eq!(slow.wanted_growth(1, late, rtt), None);
    assert_eq!(slow.wanted_growth(1 << 20, late, None), None, "nothing is known of the distance");
}

#[test]
fn a_window_stops_growing_at_its_maximum() {
    let mut window = RecvWindow::new(limits::MAX_WINDOW - 1);
    let now = Instant::now();
    assert_eq!(window.wanted_growth(1 << 30, now, Some(Duration::from_secs(1))), Some(1));
    window.widen(1);
    assert_eq!(window.wanted_growth(1 << 30, now, Some(Duration::from_secs(1))), None);
}

proptest! {
    /// A sender and a receiver that exchange nothing but what this module tells them never overrun, never stall and
    /// never lose a byte of credit.
    #[test]
    fn credit_is_conserved(initial in 1u32..200_000, steps in prop::collection::vec((any::<bool>(), 1usize..70_000), 1..200)) {
        let mut sender = SendCredit::new(initial);
        let mut receiver = RecvWindow::new(initial);
        let mut queued = 0usize;
        for (send, bytes) in steps {
            if send {
                let sent = sender.take(bytes);
                prop_assert_eq!(receiver.on_received(sent), Ok(()));
                queued += sent;
            } else {
                let consumed = bytes.min(queued);
                queued -= consumed;
                if let Some(grant) = receiver.on_consumed(consumed) {
                    sender.grant(grant).unwrap();
                }
            }
            prop_assert_eq!(sender.available() as u32, receiver.credit);
            prop_assert_eq!(receiver.credit + queued as u32 + receiver.owed, receiver.size);
        }
        if let Some(grant) = receiver.on_consumed(queued) {
            sender.grant(grant).unwrap();
        }
        prop_assert!(sender.available() > 0, "an empty queue must leave the sender credit");
    }
}
