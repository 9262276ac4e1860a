//! Credit, and who sends next.

use std::{hint::black_box, time::Duration};

use bytes::Bytes;
use link::{InFlight, Opening, ReaderGone, Settings};
use proto::{
    AgentFrame, limits,
    window::{RecvWindow, SendCredit},
};
use uuid::Uuid;

use super::{
    exchanges::{Clock, cx, settings},
    messages,
    operation::{Doing, Operation},
};

/// A chunk of each exchange that waits for its turn. So small that credit lasts for as long as anybody measures.
const MORSEL: Bytes = Bytes::from_static(b"x");

pub(super) const OPERATIONS: [Operation; 5] = [
    Operation::new("credit/send-32-kib", send),
    Operation::new("credit/receive-32-kib", receive),
    Operation::new("outbound/turn-of-1", || turns(1)),
    Operation::new("outbound/turn-of-64", || turns(64)),
    Operation::new("outbound/turn-of-1024", || turns(1024)),
];

fn send() -> Doing {
    let mut credit = SendCredit::new(limits::INITIAL_WINDOW);
    Box::new(move || {
        let taken = black_box(&mut credit).take(black_box(limits::MAX_CHUNK));
        credit.grant(taken as u32).expect("no more than was taken");
    })
}

fn receive() -> Doing {
    let rtt = Some(Duration::from_millis(50));
    let mut clock = Clock::start();
    let mut window = RecvWindow::new(limits::INITIAL_WINDOW);
    Box::new(move || {
        let now = clock.tick();
        let bytes = black_box(limits::MAX_CHUNK);
        black_box(&mut window).on_received(bytes).expect("there is credit");
        black_box(window.on_consumed(bytes));
        if let Some(growth) = window.wanted_growth(bytes, now, rtt) {
            window.widen(growth);
        }
    })
}

/// One frame leaves, of so many exchanges that all have one; then its exchange has the next.
fn turns(count: u64) -> Doing {
    let mut clock = Clock::start();
    let unlimited = Settings { send_window: u32::MAX, ..settings(ReaderGone::Cancel) };
    let mut table = InFlight::<AgentFrame, u32>::new(unlimited, clock.now);
    let ids: Vec<Uuid> = (0..count).map(messages::id).collect();
    for id in &ids {
        let opening = Opening { inline: 0, end: false, waits: false, repeatable: false, limit: None };
        table.open(*id, opening, clock.now, |_| messages::response(*id).into()).expect("there is room");
    }
    while table.next_frame(clock.now).is_some() {}
    let queue = move |table: &mut InFlight<AgentFrame, u32>, id| {
        assert!(table.poll_send(id, &mut MORSEL.clone(), &cx()).is_ready());
    };
    ids.iter().for_each(|id| queue(&mut table, *id));
    let mut turns = ids.into_iter().cycle();
    Box::new(move || {
        black_box(table.next_frame(clock.tick())).expect("everybody has something to send");
        queue(&mut table, turns.next().expect("there is somebody"));
    })
}
