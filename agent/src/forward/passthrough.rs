//! A client that speaks TLS with the local service itself. Neither gateway nor agent has the keys.

use link::TakenUp;
use proto::{AgentFrame, TunnelRequest, TunnelResponse};

use super::{Failure, Outcome, exchange::Exchange, upgrade};
use crate::upstream::Service;

/// The protocol that such an exchange switches to.
const TLS: &str = "tls";
const SWITCHING: u16 = 101;

/// Whether a frame asks for a connection instead of an answer. No client can have sent it: CONNECT is refused by the gateway.
pub(super) fn is_asked(frame: &TunnelRequest) -> bool {
    frame.method == "CONNECT" && frame.upgrade == TLS
}

/// Connects to the service, and carries bytes.
pub(super) async fn run(
    id: bytes::Bytes,
    service: &Service,
    exchange: TakenUp<AgentFrame, std::convert::Infallible>,
) -> Outcome {
    let TakenUp { mut sender, receiver } = exchange;
    let connected = tokio::select! {
        connection = service.dial_plain() => connection.map_err(Failure::from),
        abort = sender.stopped() => Err(Failure::Exchange(abort)),
    };
    let connection = match connected {
        Ok(connection) => connection,
        Err(failure) => return Outcome::default().fail(failure, sender),
    };
    let head =
        TunnelResponse { id, status: SWITCHING.into(), upgrade: TLS.to_owned(), ..TunnelResponse::default() };
    sender.send_head(head.into(), 0, false);
    let outcome = Outcome { status: Some(SWITCHING), ..Outcome::default() };
    upgrade::carry(Exchange::raw(connection, receiver), sender, outcome).await
}
