use std::{collections::VecDeque, task::Waker};

use proptest::prelude::*;
use proto::{
    AgentFrame, GatewayFrame, TunnelData, TunnelRequest, TunnelResponse, agent_frame, gateway_frame,
};

use super::*;

/// Enough for the exchanges of both ends, and for some of the credit that they would like.
const BUDGET: u64 = 2 * 1024 * 1024;

type Gateway = InFlight<GatewayFrame, u32>;
type Agent = InFlight<AgentFrame, std::convert::Infallible>;

fn settings(reader_gone: ReaderGone, budget: &Budget) -> Settings {
    Settings {
        max_concurrent: 4,
        send_window: limits::INITIAL_WINDOW,
        recv_window: limits::INITIAL_WINDOW,
        reader_gone,
        response_timeout: Some(Duration::from_secs(10)),
        idle_timeout: Some(Duration::from_secs(60)),
        budget: budget.clone(),
    }
}

fn gateway(budget: &Budget, now: Instant) -> Gateway {
    Gateway::new(settings(ReaderGone::Cancel, budget), now)
}

/// Begins a request, which is all in its head or has a body.
fn open(table: &mut Gateway, id: u128, end: bool, now: Instant) -> Uuid {
    let id = Uuid::from_u128(id);
    table.open(id, Opening { end, ..Opening::default() }, now, |_| TunnelRequest::default().into()).unwrap();
    id
}

fn cx() -> Context<'static> {
    Context::from_waker(Waker::noop())
}

/// Both ends of a link with two first-in-first-out pipes between them, and what a test knows of each exchange.
struct Pair {
    gateway: Gateway,
    agent: Agent,
    down: VecDeque<GatewayFrame>,
    up: VecDeque<AgentFrame>,
    exchanges: Vec<Known>,
    budget: Budget,
    now: Instant,
}

#[derive(Default)]
struct Known {
    id: Uuid,
    gateway_writer: bool,
    gateway_reader: bool,
    agent_writer: bool,
    agent_reader: bool,
    responded: bool,
    request: Transfer,
    response: Transfer,
}

#[derive(Default)]
struct Transfer {
    sent: usize,
    received: usize,
    finished: bool,
    ended_cleanly: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Open { inline: usize, end: bool },
    GatewaySend(usize, usize),
    GatewayFinish(usize),
    GatewayRead(usize),
    GatewayDropReader(usize),
    GatewayDropWriter(usize),
    AgentRespond(usize, usize, bool),
    AgentSend(usize, usize),
    AgentFinish(usize),
    AgentRead(usize),
    AgentDropReader(usize),
    AgentDropWriter(usize),
    Carry,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let i = 0usize..6;
    let len = 0usize..50_000;
    let inline = 0usize..limits::MAX_CHUNK;
    let step = prop_oneof![
        2 => (inline.clone(), any::<bool>()).prop_map(|(inline, end)| Step::Open { inline, end }),
        4 => (i.clone(), len.clone()).prop_map(|(i, len)| Step::GatewaySend(i, len)),
        1 => i.clone().prop_map(Step::GatewayFinish),
        4 => i.clone().prop_map(Step::GatewayRead),
        1 => i.clone().prop_map(Step::GatewayDropReader),
        1 => i.clone().prop_map(Step::GatewayDropWriter),
        3 => (i.clone(), inline, any::<bool>()).prop_map(|(i, inline, end)| Step::AgentRespond(i, inline, end)),
        4 => (i.clone(), len).prop_map(|(i, len)| Step::AgentSend(i, len)),
        1 => i.clone().prop_map(Step::AgentFinish),
        4 => i.clone().prop_map(Step::AgentRead),
        1 => i.clone().prop_map(Step::AgentDropReader),
        1 => i.prop_map(Step::AgentDropWriter),
        8 => Just(Step::Carry),
        1 => (0u64..3_000).prop_map(Step::Pass),
    ];
    prop::collection::vec(step, 1..120)
}

impl Pair {
    fn new() -> Self {
        let budget = Budget::new(BUDGET);
        let now = Instant::now();
        Self {
            gateway: InFlight::new(settings(ReaderGone::Cancel, &budget), now),
            agent: InFlight::new(settings(ReaderGone::StopSending, &budget), now),
            down: VecDeque::new(),
            up: VecDeque::new(),
            exchanges: Vec::new(),
            budget,
            now,
        }
    }

    fn step(&mut self, step: Step) {
        let now = self.now;
        match step {
            Step::Open { inline, end } => self.open(inline, end),
            Step::Carry => self.carry(),
            Step::Pass(ms) => {
                self.now += Duration::from_millis(ms);
                self.gateway.expire(self.now);
            }
            Step::GatewaySend(i, len) => {
                let Some(known) = self.exchanges.get_mut(i).filter(|known| known.gateway_writer) else {
                    return;
                };
                let mut chunk = Bytes::from(vec![0; len]);
                let _ = self.gateway.poll_send(known.id, &mut chunk, &cx());
                known.request.sent += len - chunk.len();
            }
            Step::GatewayFinish(i) => {
                let Some(known) = self.exchanges.get_mut(i).filter(|known| known.gateway_writer) else {
                    return;
                };
                self.gateway.finish(known.id, Vec::new());
                known.request.finished = true;
                known.gateway_writer = false;
                self.gateway.on_writer_gone(known.id);
            }
            Step::GatewayRead(i) => {
                let Some(known) = self.exchanges.get_mut(i).filter(|known| known.gateway_reader) else {
                    return;
                };
                let _ = self.gateway.poll_head(known.id, &cx());
                read(&mut known.response, |cx| self.gateway.poll_chunk(known.id, now, cx));
            }
            Step::GatewayDropReader(i) => {
                let Some(known) = self.exchanges.get_mut(i).filter(|known| known.gateway_reader) else {
                    return;
                };
                known.gateway_reader = false;
                self.gateway.on_reader_gone(known.id);
            }
            Step::GatewayDropWriter(i) => {
                let Some(known) = self.exchanges.get_mut(i).filter(|known| known.gateway_writer) else {
                    return;
                };
                known.gateway_writer = false;
                self.gateway.on_writer_gone(known.id);
            }
            Step::AgentRespond(i, inline, end) => {
                let Some(known) =
                    self.exchanges.get_mut(i).filter(|known| known.agent_writer && !known.responded)
                else {
                    return;
                };
                known.responded = true;
                let head = TunnelResponse {
                    id: proto::id_text(known.id),
                    status: 200,
                    body: vec![0; inline].into(),
                    end_stream: end,
                    ..TunnelResponse::default()
                };
                self.agent.send_head(known.id, head.into(), inline, end, now);
                known.response.sent += inline;
                known.response.finished = end;
            }
            Step::AgentSend(i, len) => {
                let Some(known) =
                    self.exchanges.get_mut(i).filter(|known| known.agent_writer && known.responded)
                else {
                    return;
                };
                let mut chunk = Bytes::from(vec![0; len]);
                let _ = self.agent.poll_send(known.id, &mut chunk, &cx());
                known.response.sent += len - chunk.len();
            }
            Step::AgentFinish(i) => {
                let Some(known) =
                    self.exchanges.get_mut(i).filter(|known| known.agent_writer && known.responded)
                else {
                    return;
                };
                self.agent.finish(known.id, Vec::new());
                known.response.finished = true;
                known.agent_writer = false;
                self.agent.on_writer_gone(known.id);
            }
            Step::AgentRead(i) => {
                let Some(known) = self.exchanges.get_mut(i).filter(|known| known.agent_reader) else {
                    return;
                };
                read(&mut known.request, |cx| self.agent.poll_chunk(known.id, now, cx));
            }
            Step::AgentDropReader(i) => {
                let Some(known) = self.exchanges.get_mut(i).filter(|known| known.agent_reader) else {
                    return;
                };
                known.agent_reader = false;
                self.agent.on_reader_gone(known.id);
            }
            Step::AgentDropWriter(i) => {
                let Some(known) = self.exchanges.get_mut(i).filter(|known| known.agent_writer) else {
                    return;
                };
                known.agent_writer = false;
                self.agent.on_writer_gone(known.id);
            }
        }
    }

    fn open(&mut self, inline: usize, end: bool) {
        let id = Uuid::from_u128(self.exchanges.len() as u128 + 1);
        let body = vec![0; inline].into();
        let request = |window| {
            TunnelRequest {
                id: proto::id_text(id),
                body,
                end_stream: end,
                window,
                ..TunnelRequest::default()
            }
            .into()
        };
        if self.gateway.open(id, Opening { inline, end, ..Opening::default() }, self.now, request).is_ok() {
            let request = Transfer { sent: inline, finished: end, ..Transfer::default() };
            self.exchanges.push(Known {
                id,
                gateway_writer: !end,
                gateway_reader: true,
                request,
                ..Known::default()
            });
        }
    }

    /// Everything that waits crosses the link, in both directions.
    fn carry(&mut self) {
        self.down.extend(std::iter::from_fn(|| self.gateway.next_frame(self.now)));
        self.up.extend(std::iter::from_fn(|| self.agent.next_frame(self.now)));
        while let Some(frame) = self.down.pop_front() {
            self.agent_receives(frame);
        }
        while let Some(frame) = self.up.pop_front() {
            self.gateway_receives(frame);
        }
    }

    fn agent_receives(&mut self, frame: GatewayFrame) {
        let now = self.now;
        match frame.frame.expect("ours is set") {
            gateway_frame::Frame::Request(request) => {
                let id = proto::parse_id(&request.id).expect("ours is a UUID");
                let known = self.exchanges.iter_mut().find(|known| known.id == id).expect("it was opened");
                if self.agent.take_up(id, request.body, request.end_stream, request.window, now).is_ok() {
                    known.agent_reader = true;
                    known.agent_writer = true;
                } else {
                    self.agent.push_control(TunnelClose::because(id, Reason::Refused, ""));
                }
            }
            gateway_frame::Frame::Data(data) => self.agent.on_data(data, now).expect("no violation"),
            gateway_frame::Frame::Close(close) => self.agent.on_close(close, now).expect("no violation"),
            gateway_frame::Frame::Window(window) => self.agent.on_window(&window, now).expect("no violation"),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn gateway_receives(&mut self, frame: AgentFrame) {
        let now = self.now;
        match frame.frame.expect("ours is set") {
            agent_frame::Frame::Response(response) => {
                let TunnelResponse { id, status, body, end_stream, window, .. } = response;
                let id = proto::parse_id(&id).expect("ours is a UUID");
                self.gateway.on_head(id, status, body, end_stream, window, now).expect("no violation");
            }
            agent_frame::Frame::Data(data) => self.gateway.on_data(data, now).expect("no violation"),
            agent_frame::Frame::Close(close) => self.gateway.on_close(close, now).expect("no violation"),
            agent_frame::Frame::Window(window) => self.gateway.on_window(&window, now).expect("no violation"),
            other => panic!("unexpected {other:?}"),
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        prop_assert!(self.gateway.active() <= 4 && self.agent.active() <= 4);
        prop_assert_eq!(self.budget.left() + self.gateway.budget.used() + self.agent.budget.used(), BUDGET);
        for known in &self.exchanges {
            for transfer in [&known.request, &known.response] {
                prop_assert!(transfer.received <= transfer.sent);
                if transfer.ended_cleanly {
                    prop_assert!(transfer.finished, "a clean end that the sender did not make");
                    prop_assert_eq!(transfer.received, transfer.sent, "a clean end of a cut body");
                }
            }
        }
        Ok(())
    }

    /// Everybody leaves; then nothing may be left anywhere.
    fn wind_up(&mut self) -> Result<(), TestCaseError> {
        for i in 0..self.exchanges.len() {
            for step in [Step::GatewayDropWriter(i), Step::GatewayDropReader(i)] {
                self.step(step);
            }
        }
        self.carry();
        for i in 0..self.exchanges.len() {
            for step in [Step::AgentDropReader(i), Step::AgentDropWriter(i)] {
                self.step(step);
            }
        }
        self.carry();
        prop_assert_eq!((self.gateway.active(), self.agent.active()), (0, 0));
        prop_assert!(self.gateway.exchanges.is_empty() && self.agent.exchanges.is_empty());
        prop_assert_eq!(self.budget.left(), BUDGET);
        prop_assert!(self.gateway.strikes.count() == 0 && self.agent.strikes.count() == 0);
        Ok(())
    }
}

fn read(
    transfer: &mut Transfer,
    mut poll: impl FnMut(&Context<'_>) -> std::task::Poll<Option<Result<Bytes, Abort>>>,
) {
    match poll(&cx()) {
        std::task::Poll::Ready(Some(Ok(chunk))) => transfer.received += chunk.len(),
        std::task::Poll::Ready(None) => transfer.ended_cleanly = true,
        _ => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Two honest ends never break a rule, never mix or cut a body unnoticed, and leave nothing behind.
    #[test]
    fn honest_ends_stay_in_step(steps in steps()) {
        let mut pair = Pair::new();
        for step in steps {
            pair.step(step);
            pair.check()?;
        }
        pair.wind_up()?;
    }

    /// Whatever a peer sends, the table stays within its bounds, and closing it leaves nothing in progress.
    #[test]
    fn a_hostile_peer_costs_only_its_own_link(frames in prop::collection::vec((0u8..6, 0u128..4, 0usize..40_000, any::<bool>()), 0..200)) {
        let budget = Budget::new(BUDGET);
        let now = Instant::now();
        let mut table = gateway(&budget, now);
        for id in 1..4u128 {
            open(&mut table, id, false, now);
        }
        while table.next_frame(now).is_some() {}
        for (kind, id, len, end) in frames {
            let id = Uuid::from_u128(id);
            let outcome = match kind {
                0 => table.on_head(id, 200, vec![0; len].into(), end, len as u32, now),
                1 => table.on_data(TunnelData { id: proto::id_text(id), chunk: vec![0; len].into(), end_stream: end }, now),
                2 => table.on_close(TunnelClose::because(id, Reason::try_from(len as i32 % 12).unwrap_or(Reason::Done), ""), now),
                3 => table.on_window(&TunnelWindow { id: proto::id_text(id), credit: (len as u32) << 16 }, now),
                4 => table.on_invalid_head(id, "garbage", now),
                _ => table.on_data(TunnelData { id: "x".repeat(len % 40).into(), ..TunnelData::default() }, now),
            };
            if let Err(too_many) = outcome {
                table.close(CloseReason::Protocol(too_many.to_string()));
                break;
            }
        }
        table.close(CloseReason::Gone);
        prop_assert_eq!(table.active(), 0);
        for id in 1..4u128 {
            table.on_writer_gone(Uuid::from_u128(id));
            table.on_reader_gone(Uuid::from_u128(id));
        }
        prop_assert!(table.exchanges.is_empty());
        prop_assert_eq!(budget.left(), BUDGET);
    }
}

#[test]
fn a_silent_peer_is_given_up_at_the_limit_and_told() {
    let now = Instant::now();
    let mut table = gateway(&Budget::new(3 * 64 * 1024), now);
    let id = open(&mut table, 1, true, now);
    assert!(table.next_frame(now + Duration::from_secs(3)).is_some());
    assert!(
        table.expire(now + Duration::from_millis(12_999)),
        "the clock starts when the request is handed over"
    );
    assert!(!table.expire(now + Duration::from_secs(13)));
    let head = table.poll_head(id, &cx());
    assert!(matches!(head, std::task::Poll::Ready(Err(Abort::Local(Reason::Timeout)))));
    let frame = table.next_frame(now).and_then(|frame| frame.frame);
    assert!(matches!(frame, Some(gateway_frame::Frame::Close(close)) if close.reason() == Reason::Timeout));
}

#[test]
fn control_frames_leave_before_bodies_and_bodies_take_turns() {
    let now = Instant::now();
    let mut table = gateway(&Budget::new(BUDGET), now);
    for id in 1..=2u128 {
        let id = open(&mut table, id, false, now);
        let mut chunk = Bytes::from(vec![id.as_u128() as u8; 40_000]);
        let _ = table.poll_send(id, &mut chunk, &cx());
    }
    table.ping(now);
    let order: Vec<u8> = std::iter::from_fn(|| table.next_frame(now))
        .map(|frame| match frame.frame.expect("set") {
            gateway_frame::Frame::Control(_) => b'c',
            gateway_frame::Frame::Request(_) => b'h',
            gateway_frame::Frame::Data(data) => data.chunk[0],
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    assert_eq!(order, [b'c', b'h', b'h', 1, 2, 1, 2]);
}

#[test]
fn an_abort_before_hand_over_sends_nothing() {
    let now = Instant::now();
    let mut table = gateway(&Budget::new(3 * 64 * 1024), now);
    let id = open(&mut table, 1, true, now);
    table.on_reader_gone(id);
    assert!(table.next_frame(now).is_none());
    assert!(table.exchanges.is_empty());
}

#[test]
fn a_ping_is_answered_once_however_many_arrive() {
    let now = Instant::now();
    let mut table = gateway(&Budget::new(3 * 64 * 1024), now);
    for payload in 0..10_000u16 {
        table.on_control(proto::ControlMessage::ping(payload.to_be_bytes().to_vec().into()), now).unwrap();
    }
    let frames: Vec<_> = std::iter::from_fn(|| table.next_frame(now)).collect();
    assert_eq!(frames, [proto::ControlMessage::pong(9_999u16.to_be_bytes().to_vec().into(), 0).into()]);
}

#[test]
fn spending_credit_one_does_not_have_closes_the_link_the_third_time() {
    let now = Instant::now();
    let mut table = gateway(&Budget::new(3 * 64 * 1024), now);
    let mut outcomes = Vec::new();
    for id in 1..=3u128 {
        let id = open(&mut table, id, true, now);
        table.on_head(id, 200, Bytes::new(), false, 0, now).unwrap();
        let data =
            || TunnelData { id: proto::id_text(id), chunk: vec![0; 32 * 1024].into(), end_stream: false };
        table.on_data(data(), now).unwrap();
        table.on_data(data(), now).unwrap();
        outcomes.push(table.on_data(data(), now).is_ok());
    }
    assert_eq!(outcomes, [true, true, false]);
}

#[test]
fn an_exchange_without_memory_does_not_begin() {
    let budget = Budget::new(2 * 64 * 1024);
    let now = Instant::now();
    let mut table = gateway(&budget, now);
    let open = |table: &mut Gateway, id: u128, end| {
        let opening = Opening { end, ..Opening::default() };
        table.open(Uuid::from_u128(id), opening, now, |_| TunnelRequest::default().into())
    };
    assert_eq!(open(&mut table, 1, false), Err(OpenError::Memory), "a body needs room for what waits");
    assert_eq!(open(&mut table, 2, true), Ok(()));
    assert_eq!(open(&mut table, 3, true), Ok(()));
    assert_eq!(open(&mut table, 4, true), Err(OpenError::Memory));
    table.on_reader_gone(Uuid::from_u128(2));
    assert_eq!(open(&mut table, 4, true), Ok(()));
    drop(table);
    assert_eq!(budget.left(), 2 * 64 * 1024);
}

#[test]
fn a_peer_in_doubt_loses_what_can_be_repeated_and_has_no_head() {
    let budget = Budget::new(BUDGET);
    let start = Instant::now();
    let at = |ms| start + Duration::from_millis(ms);
    let mut table = gateway(&budget, start);
    let ids = [1, 2, 3].map(Uuid::from_u128);
    for (id, repeatable) in ids.into_iter().zip([true, true, false]) {
        let opening = Opening { end: true, repeatable, ..Opening::default() };
        table.open(id, opening, start, |_| TunnelRequest::default().into()).unwrap();
    }
    while table.next_frame(start).is_some() {}
    table.on_head(ids[0], 200, Bytes::new(), false, 0, at(10)).unwrap();
    assert_eq!(table.examine(at(1_000)), Doubt::Sure);
    assert_eq!(table.examine(at(1_010)), Doubt::Ask);
    assert!(table.next_frame(at(1_010)).is_some(), "a PING");
    assert_eq!(table.examine(at(3_009)), Doubt::Asked);
    assert!(matches!(table.examine(at(3_010)), Doubt::Suspect(_)));
    table.give_up_unanswered();
    let outcome = |table: &mut Gateway, id| match table.poll_head(id, &cx()) {
        std::task::Poll::Ready(Ok(_)) => "head",
        std::task::Poll::Ready(Err(Abort::Unheard)) => "unheard",
        _ => "waits",
    };
    assert_eq!(ids.map(|id| outcome(&mut table, id)), ["head", "unheard", "waits"]);
    table.on_control(proto::ControlMessage::pong(Bytes::new(), 0), at(3_100)).unwrap();
    assert_eq!(table.examine(at(3_200)), Doubt::Sure);
}
