//! `date` for responses that have none (RFC 9110, section 6.6.1).

use std::{
    cell::RefCell,
    time::{SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;

thread_local! {
    /// The text of the second it was made in: formatting costs more than all the rest of a head.
    static TEXT: RefCell<(u64, Bytes)> = const { RefCell::new((0, Bytes::new())) };
}

/// The date of this second.
pub(super) fn now() -> Bytes {
    let now = SystemTime::now();
    let second = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    TEXT.with_borrow_mut(|(made, text)| {
        if *made != second || text.is_empty() {
            *made = second;
            *text = Bytes::from(httpdate::fmt_http_date(now));
        }
        text.clone()
    })
}
