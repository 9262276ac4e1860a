//! The read loop of a session. It never waits for a consumer: a frame is queued within its exchange's credit, or it
//! breaks the protocol.

use std::{
    pin::pin,
    time::{Duration, Instant},
};

use futures_util::{Stream, StreamExt as _};
use http::StatusCode;
use link::{CloseReason, LifeEvent, LinkError, Silence, TooManyViolations};
use proto::{AgentFrame, Health, TunnelResponse, agent_frame, drain, parse_id};
use tracing::{debug, info};

use crate::{Registration, ResponseHead, herd, session::Session};

/// What a session needs besides its frames.
pub(crate) struct Watch {
    pub(crate) silence_limit: Duration,
    pub(crate) grace_period: Duration,
    /// When the agent is asked to make another link.
    pub(crate) max_age: Option<Duration>,
    /// Given up when the agent drains, or with the session.
    pub(crate) registration: Registration,
}

/// Runs a session until its link ends, and says why it did.
pub(crate) async fn run(
    session: &Session,
    inbound: impl Stream<Item = Result<AgentFrame, LinkError>>,
    watch: Watch,
) -> CloseReason {
    let mut inbound = pin!(inbound);
    let mut closed = pin!(session.link.closed());
    let mut silence = Silence::new(watch.silence_limit, link::now());
    let mut check = pin!(tokio::time::sleep_until(silence.deadline().into()));
    let mut retired = pin!(retirement(session, watch.grace_period));
    let mut aged = pin!(rotation(session, watch.max_age, watch.grace_period));
    let mut registration = Some(watch.registration);
    loop {
        tokio::select! {
            frame = inbound.next() => {
                let frame = match frame {
                    Some(Ok(frame)) => frame,
                    Some(Err(error)) => {
                        debug!(%error, "link ended");
                        return error.into();
                    }
                    None => return CloseReason::Gone,
                };
                let now = link::now();
                silence.on_received(now);
                if let Some(agent_frame::Frame::Drain(_)) = frame.frame {
                    info!("agent drains");
                    session.live_through(LifeEvent::Drain);
                    if let Some(registration) = registration.take() {
                        registration.leave();
                    }
                    continue;
                }
                session.set_suspect(false);
                if let Err(reason) = on_frame(session, frame, now) {
                    return reason;
                }
            }
            () = &mut closed => return CloseReason::Gone,
            () = &mut check => {
                if silence.deadline() <= link::now() {
                    return CloseReason::Silent;
                }
                check.as_mut().reset(silence.deadline().into());
            }
            reason = &mut retired => return reason,
            () = &mut aged => {}
        }
    }
}

/// Says farewell once the session is told to end, and waits for its exchanges.
async fn retirement(session: &Session, grace_period: Duration) -> CloseReason {
    session.retirement.begun.cancelled().await;
    let reason = session.retirement.reason();
    session.dismiss(reason, grace_period, Duration::ZERO);
    let _ = tokio::time::timeout(grace_period, session.link.drained()).await;
    match reason {
        drain::Reason::Replaced => CloseReason::Replaced,
        _ => CloseReason::Shutdown,
    }
}

/// Asks for the heir of a session that is old. Its coming retires the session; if it goes elsewhere, the grace period does.
/// Never completes.
async fn rotation(session: &Session, max_age: Option<Duration>, grace_period: Duration) {
    if let Some(age) = max_age {
        tokio::time::sleep(age).await;
        info!("the link is old, its agent is asked for another one");
        session.dismiss(drain::Reason::MaxAge, grace_period, Duration::ZERO);
        tokio::time::sleep(grace_period).await;
        session.retire(drain::Reason::MaxAge);
    }
    std::future::pending().await
}

pub(crate) fn on_frame(session: &Session, frame: AgentFrame, now: Instant) -> Result<(), CloseReason> {
    use agent_frame::Frame;
    let link = &session.link;
    let outcome = match frame.frame {
        Some(Frame::Response(response)) => on_response(session, response, now),
        Some(Frame::Data(data)) => link.table().on_data(data, now),
        Some(Frame::Close(close)) => link.table().on_close(close, now),
        Some(Frame::Window(window)) => link.table().on_window(&window, now),
        Some(Frame::Control(control)) => {
            let spread = herd::spread(session.sweeper.registry().len());
            let mut table = link.table();
            table.advise_reconnect_spread(u32::try_from(spread.as_millis()).unwrap_or(u32::MAX));
            let outcome = table.on_control(control, now).map(|_| ());
            if table.is_overloaded() {
                return Err(CloseReason::Overloaded);
            }
            outcome
        }
        Some(Frame::Connect(_)) => return Err(CloseReason::Protocol("a second ConnectRequest".into())),
        Some(Frame::Health(health)) => {
            on_health(session, &health);
            Ok(())
        }
        // A kind from a later version: it was not negotiated, so nothing relies on it.
        Some(Frame::Drain(_)) | None => Ok(()),
    };
    outcome.map_err(|too_many: TooManyViolations| CloseReason::Protocol(too_many.to_string()))
}

fn on_health(session: &Session, health: &Health) {
    if session.set_serving(health.serving) == health.serving {
        return;
    }
    if health.serving {
        info!("the agent's service can be asked again");
    } else {
        info!(reason = ?health.message, "the agent's service cannot be asked");
    }
}

fn on_response(
    session: &Session,
    mut response: TunnelResponse,
    now: Instant,
) -> Result<(), TooManyViolations> {
    let link = &session.link;
    let Ok(id) = parse_id(&response.id) else { return link.table().strike("an id that is not a UUID", now) };
    match ResponseHead::from_wire(&mut response) {
        Ok(head) if head.interim => {
            let proceed = head.status == StatusCode::CONTINUE;
            link.table().on_interim(id, head, proceed, now)
        }
        Ok(head) => link.table().on_head(id, head, response.body, response.end_stream, response.window, now),
        Err(what) => {
            info!(request = %id, what, "agent sent an unusable response head");
            link.table().on_invalid_head(id, what, now)
        }
    }
}
