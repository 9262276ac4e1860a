//! A whole small exchange as each end of a link sees it, without the frames' way to bytes: the bare table, and the same
//! behind the handles that tasks hold.

use std::{
    convert::Infallible,
    hint::black_box,
    pin::Pin,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_core::Stream as _;
use link::{Budget, InFlight, Link, Opening, ReaderGone, Settings};
use proto::{AgentFrame, GatewayFrame, limits};

use super::{
    messages::{self, BODY, id},
    operation::{Doing, Operation},
};

/// The gateway's end; of the agent's head it keeps the status.
type Gateway = InFlight<GatewayFrame, u32>;
/// The agent's end, which receives no heads.
type Agent = InFlight<AgentFrame, Infallible>;

const GET: Opening = Opening { inline: 0, end: true, waits: false, repeatable: false, limit: None };

pub(super) const OPERATIONS: [Operation; 4] = [
    Operation::new("exchange/gateway-table", gateway_table),
    Operation::new("exchange/agent-table", agent_table),
    Operation::new("exchange/gateway-handles", gateway_handles),
    Operation::new("exchange/agent-handles", agent_handles),
];

/// What a gateway and an agent agree on by default.
pub(super) fn settings(reader_gone: ReaderGone) -> Settings {
    Settings {
        max_concurrent: limits::MAX_CONCURRENT as usize,
        send_window: limits::INITIAL_WINDOW,
        recv_window: limits::INITIAL_WINDOW,
        reader_gone,
        response_timeout: Some(limits::RESPONSE_TIMEOUT),
        idle_timeout: Some(limits::IDLE_TIMEOUT),
        budget: Budget::new(limits::PROCESS_MEMORY),
    }
}

fn gateway_table() -> Doing {
    let mut clock = Clock::start();
    let mut table = Gateway::new(settings(ReaderGone::Cancel), clock.now);
    let mut numbers = 0..;
    Box::new(move || {
        let (id, now) = (id(next(&mut numbers)), clock.tick());
        table.open(id, GET, now, |window| with_window(id, window)).expect("there is room");
        black_box(table.next_frame(now)).expect("the head waits");
        table.on_head(id, 200, BODY, true, 0, now).expect("no rule is broken");
        assert!(matches!(table.poll_head(id, &cx()), Poll::Ready(Ok(200))));
        assert!(matches!(table.poll_chunk(id, now, &cx()), Poll::Ready(Some(Ok(_)))));
        assert!(table.is_read(id));
        table.on_reader_gone(id);
    })
}

fn agent_table() -> Doing {
    let mut clock = Clock::start();
    let mut table = Agent::new(settings(ReaderGone::StopSending), clock.now);
    let mut numbers = 0..;
    Box::new(move || {
        let (id, now) = (id(next(&mut numbers)), clock.tick());
        table.take_up(id, Bytes::new(), true, 0, now).expect("there is room");
        table.send_head(id, messages::response(id).into(), BODY.len(), true, now);
        table.on_writer_gone(id);
        black_box(table.next_frame(now)).expect("the head waits");
        table.on_reader_gone(id);
    })
}

fn gateway_handles() -> Doing {
    let (link, mut outbound) = Link::<GatewayFrame, u32>::new(settings(ReaderGone::Cancel));
    let mut numbers = 0..;
    Box::new(move || {
        let id = id(next(&mut numbers));
        let mut opened = link.open(id, GET, |window| with_window(id, window)).expect("there is room");
        assert!(black_box(Pin::new(&mut outbound).poll_next(&mut cx())).is_ready());
        let now = Instant::now();
        link.table().on_head(id, 200, BODY, true, 0, now).expect("no rule is broken");
        assert!(matches!(opened.receiver.poll_head(&mut cx()), Poll::Ready(Ok(200))));
        assert!(matches!(opened.receiver.poll_chunk(&mut cx()), Poll::Ready(Some(Ok(_)))));
        assert!(opened.receiver.is_read());
    })
}

fn agent_handles() -> Doing {
    let (link, mut outbound) = Link::<AgentFrame, Infallible>::new(settings(ReaderGone::StopSending));
    let mut numbers = 0..;
    Box::new(move || {
        let id = id(next(&mut numbers));
        let mut taken = link.take_up(id, Bytes::new(), true, 0).expect("there is room");
        taken.sender.send_head(messages::response(id).into(), BODY.len(), true);
        drop(taken);
        assert!(black_box(Pin::new(&mut outbound).poll_next(&mut cx())).is_ready());
    })
}

fn with_window(id: uuid::Uuid, window: u32) -> GatewayFrame {
    proto::TunnelRequest { window, ..messages::request(id) }.into()
}

fn next(numbers: &mut impl Iterator<Item = u64>) -> u64 {
    numbers.next().expect("there are enough numbers")
}

pub(super) fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Time that passes by the same steps in every run.
pub(super) struct Clock {
    pub(super) now: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { now: Instant::now() }
    }

    /// What one request in a row of many takes.
    pub(super) fn tick(&mut self) -> Instant {
        self.now += Duration::from_micros(20);
        self.now
    }
}
