//! What the agent sends, and what it gets.

use bytes::Bytes;
use link::CloseReason;
use prost::Message as _;
use proto::{
    AgentFrame, ConnectRequest, ControlMessage, Drain, GatewayFrame, Header, Health, TunnelClose, TunnelData,
    TunnelResponse, TunnelWindow, agent_frame, control_message, gateway_frame, id_text, limits, parse_id,
    tunnel_close::Reason,
};
use uuid::Uuid;

use super::{EXCHANGES, Story, ledger::Ledger};
use crate::input::Input;

impl Story {
    pub(super) fn agent_sends(&mut self, input: &mut Input<'_>) {
        let frame = match input.choice(16) {
            0..4 => self.response(input),
            4..8 => self.data(input),
            8 | 9 => self.close(input),
            10 | 11 => self.window(input),
            12 => control(input),
            13 => other(input),
            14 => self.unless_known(AgentFrame::decode(input.bytes(512)).unwrap_or_default()),
            _ => self.unless_known(invalid_id(input)),
        };
        self.on_agent_frame(frame);
    }

    fn on_agent_frame(&mut self, frame: AgentFrame) {
        let closed = self.session.link().is_closed();
        match self.session.on_frame(frame, self.now) {
            Ok(()) => {}
            // As the read loop does.
            Err(reason) => {
                let expected = matches!(reason, CloseReason::Protocol(_) | CloseReason::Overloaded);
                assert!(expected, "{reason:?}");
                self.session.close(reason);
            }
        }
        assert!(!closed || self.session.in_flight() == 0, "an exchange on a closed link");
    }

    /// An exchange that an agent may know of, or one that it makes up.
    fn known(&mut self, input: &mut Input<'_>) -> (Uuid, Option<&mut Ledger>) {
        let at = input.choice(EXCHANGES + 1);
        let ledger = self.ledgers.get_mut(at);
        (Uuid::from_u128(at as u128 + 1), ledger)
    }

    /// Frames that are in nobody's books must not belong to an exchange that has some.
    fn unless_known(&self, frame: AgentFrame) -> AgentFrame {
        use agent_frame::Frame;
        let id = match &frame.frame {
            Some(Frame::Response(response)) => &response.id,
            Some(Frame::Data(data)) => &data.id,
            Some(Frame::Close(close)) => &close.id,
            Some(Frame::Window(window)) => &window.id,
            _ => return frame,
        };
        let known = parse_id(id).is_ok_and(|id| self.ledgers.iter().any(|ledger| ledger.id == id));
        if known { AgentFrame::default() } else { frame }
    }

    fn response(&mut self, input: &mut Input<'_>) -> AgentFrame {
        let (id, ledger) = self.known(input);
        let informational = input.choice(4) == 0;
        let odd = input.choice(8) == 0;
        let status = match (odd, informational) {
            (true, _) => u32::from(input.u16()),
            (false, true) => 100 + u32::from(input.byte() & 3),
            (false, false) => 200 + u32::from(input.byte()),
        };
        let (len, end) = (input.len(limits::MAX_CHUNK + 1), input.flag());
        let window = credit(input);
        let body = if informational { Bytes::new() } else { body(ledger, len, end, window) };
        let headers = if odd { vec![Header { name: "x\r\n".into(), value: "".into() }] } else { Vec::new() };
        let end_stream = end && !informational;
        TunnelResponse {
            id: id_text(id),
            status,
            headers,
            body,
            end_stream,
            informational,
            window,
            ..Default::default()
        }
        .into()
    }

    fn data(&mut self, input: &mut Input<'_>) -> AgentFrame {
        let (id, ledger) = self.known(input);
        let (len, end_stream) = (input.len(limits::MAX_CHUNK + 1), input.flag());
        TunnelData { id: id_text(id), chunk: body(ledger, len, end_stream, 0), end_stream }.into()
    }

    fn close(&mut self, input: &mut Input<'_>) -> AgentFrame {
        let (id, ledger) = self.known(input);
        let reason = if input.flag() { Reason::Done.into() } else { i32::from(input.byte() % 20) };
        if let Some(ledger) = ledger
            && reason == i32::from(Reason::Done)
        {
            ledger.ended = true;
        }
        let trailers =
            if input.flag() { vec![Header { name: "etag".into(), value: "x".into() }] } else { Vec::new() };
        TunnelClose { id: id_text(id), reason, message: "m".repeat(input.len(400)), trailers }.into()
    }

    fn window(&mut self, input: &mut Input<'_>) -> AgentFrame {
        let credit = credit(input);
        let (id, ledger) = self.known(input);
        if let Some(ledger) = ledger {
            ledger.on_granted(credit);
        }
        TunnelWindow { id: id_text(id), credit }.into()
    }

    /// The gateway says nothing that its own books do not bear out.
    pub(super) fn on_gateway_frame(&mut self, frame: GatewayFrame) {
        use gateway_frame::Frame;
        match frame.frame.unwrap() {
            Frame::Request(request) => {
                let ledger = self.told(&request.id);
                assert!(!ledger.gateway_begun, "a request that is sent twice");
                ledger.gateway_begun = true;
                ledger.granted += u64::from(limits::INITIAL_WINDOW) + u64::from(request.window);
                ledger.on_gateway_sent(request.body.len(), false);
            }
            Frame::Data(data) => {
                let ledger = self.told(&data.id);
                assert!(!data.chunk.is_empty() || data.end_stream, "an empty chunk");
                assert!(data.chunk.len() <= limits::MAX_CHUNK, "a chunk over the limit");
                assert!(!ledger.gateway_ended, "data behind the end");
                ledger.on_gateway_sent(data.chunk.len(), data.end_stream);
            }
            Frame::Close(close) => {
                let ledger = self.told(&close.id);
                match close.reason() {
                    Reason::Done => ledger.on_gateway_sent(0, true),
                    Reason::FlowControl => {
                        assert!(ledger.overdrew, "an agent within its credit was stopped");
                        ledger.gateway_aborted = true;
                    }
                    _ => ledger.gateway_aborted = true,
                }
            }
            Frame::Window(window) => {
                let ledger = self.told(&window.id);
                assert!(window.credit > 0, "a grant of nothing");
                ledger.granted += u64::from(window.credit);
            }
            Frame::Control(control) => assert!(control.payload.len() <= limits::MAX_PING_PAYLOAD),
            Frame::Drain(_) | Frame::Accepted(_) | Frame::Error(_) => panic!("nobody said that"),
        }
    }

    fn told(&mut self, id: &[u8]) -> &mut Ledger {
        let id = parse_id(id).unwrap();
        let ledger =
            self.ledgers.iter_mut().find(|ledger| ledger.id == id).expect("an exchange that nobody opened");
        assert!(!ledger.gateway_aborted, "a frame behind the last one");
        ledger
    }
}

impl Ledger {
    fn on_gateway_sent(&mut self, bytes: usize, end: bool) {
        assert!(self.gateway_begun, "a body before the head");
        self.gateway_sent += bytes as u64;
        self.gateway_ended |= end;
        assert!(self.gateway_sent <= self.gateway_granted, "more than the agent's credit");
    }

    fn on_granted(&mut self, credit: u32) {
        self.gateway_granted += u64::from(credit);
        self.overdrew |= self.gateway_granted > (1 << 31) - 1;
    }
}

/// The next bytes of an exchange, entered into its books.
fn body(ledger: Option<&mut Ledger>, len: usize, end: bool, credit: u32) -> Bytes {
    let Some(ledger) = ledger else { return Bytes::from(vec![0; len]) };
    ledger.on_granted(credit);
    let bytes: Bytes = (ledger.sent..ledger.sent + len as u64).map(|at| ledger.byte_at(at)).collect();
    // What comes behind the end is ignored, or costs the agent the exchange.
    if !ledger.ended {
        ledger.sent += len as u64;
        ledger.ended = end;
    }
    ledger.overdrew |= ledger.sent > ledger.granted;
    bytes
}

fn credit(input: &mut Input<'_>) -> u32 {
    if input.choice(8) == 0 { input.u32() } else { input.u16().into() }
}

fn control(input: &mut Input<'_>) -> AgentFrame {
    let r#type = if input.flag() { control_message::Type::Ping.into() } else { i32::from(input.byte() % 20) };
    ControlMessage {
        r#type,
        payload: Bytes::copy_from_slice(input.bytes(80)),
        reconnect_spread_ms: input.u32(),
    }
    .into()
}

fn other(input: &mut Input<'_>) -> AgentFrame {
    match input.choice(8) {
        0 => ConnectRequest::default().into(),
        1..3 => Drain::default().into(),
        3..6 => Health { serving: input.flag(), message: String::new() }.into(),
        _ => AgentFrame::default(),
    }
}

fn invalid_id(input: &mut Input<'_>) -> AgentFrame {
    let id = Bytes::copy_from_slice(input.bytes(40));
    match input.choice(4) {
        0 => TunnelData { id, chunk: "x".into(), end_stream: false }.into(),
        1 => TunnelClose { id, ..TunnelClose::default() }.into(),
        2 => TunnelWindow { id, credit: 1 }.into(),
        _ => TunnelResponse { id, status: 200, ..TunnelResponse::default() }.into(),
    }
}
