use std::{any::Any, fmt};

use proto::{
    AgentFrame, ControlMessage, Frame, GatewayFrame, TunnelClose, TunnelData, agent_frame, gateway_frame,
};
use uuid::Uuid;

/// What a frame is, in a few words that are the same in every run of a seed. What is random in it is left out.
pub(crate) struct Summary<'a, F>(pub(crate) &'a F);

impl<F: Frame> fmt::Display for Summary<'_, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let frame = self.0 as &dyn Any;
        if let Some(frame) = frame.downcast_ref::<AgentFrame>() {
            from_agent(frame, f)
        } else if let Some(frame) = frame.downcast_ref::<GatewayFrame>() {
            from_gateway(frame, f)
        } else {
            f.write_str("a frame of neither direction")
        }
    }
}

fn from_agent(frame: &AgentFrame, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use agent_frame::Frame;
    match &frame.frame {
        Some(Frame::Connect(connect)) => {
            write!(f, "CONNECT {} link {}", connect.agent_id, connect.connection)
        }
        Some(Frame::Response(response)) => {
            let (body, end) = (response.body.len(), end(response.end_stream));
            write!(f, "{} HEAD {} +{body}{end}", name(&response.id), response.status)
        }
        Some(Frame::Health(health)) => write!(f, "HEALTH {}", health.serving),
        Some(Frame::Data(data)) => chunk(data, f),
        Some(Frame::Close(close)) => closing(close, f),
        Some(Frame::Window(window)) => write!(f, "{} WINDOW {}", name(&window.id), window.credit),
        Some(Frame::Control(message)) => control(message, f),
        Some(Frame::Drain(_)) => f.write_str("DRAIN"),
        None => f.write_str("nothing"),
    }
}

fn from_gateway(frame: &GatewayFrame, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    use gateway_frame::Frame;
    match &frame.frame {
        Some(Frame::Accepted(_)) => f.write_str("ACCEPTED"),
        Some(Frame::Error(error)) => write!(f, "ERROR {}", error.code().as_str_name()),
        Some(Frame::Request(request)) => {
            let (body, end) = (request.body.len(), end(request.end_stream));
            let method = String::from_utf8_lossy(&request.method);
            write!(f, "{} {method} attempt {} +{body}{end}", name(&request.id), request.attempt)
        }
        Some(Frame::Data(data)) => chunk(data, f),
        Some(Frame::Close(close)) => closing(close, f),
        Some(Frame::Window(window)) => write!(f, "{} WINDOW {}", name(&window.id), window.credit),
        Some(Frame::Control(message)) => control(message, f),
        Some(Frame::Drain(drain)) => write!(f, "DRAIN {}", drain.reason().as_str_name()),
        None => f.write_str("nothing"),
    }
}

fn chunk(data: &TunnelData, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} +{}{}", name(&data.id), data.chunk.len(), end(data.end_stream))
}

fn closing(close: &TunnelClose, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{} {}", name(&close.id), close.reason().as_str_name())
}

fn control(message: &ControlMessage, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(message.r#type().as_str_name())
}

fn end(ends: bool) -> &'static str {
    if ends { " END" } else { "" }
}

/// The client whose request it is.
fn name(id: &[u8]) -> Name {
    Name(proto::parse_id(id).unwrap_or_default())
}

/// A request, by the number of its client.
pub(crate) struct Name(pub(crate) Uuid);

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "c{}", self.0.as_u64_pair().1 & 0xffff)
    }
}
