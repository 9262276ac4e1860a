use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::{
    super::download::{Download, Expected, Part, Truncated},
    turns::Turn,
};
use crate::metrics::Observation;

/// What a client gets behind a head: the agent's bytes, or the gateway's own.
#[derive(Debug)]
pub(crate) struct ResponseBody {
    source: Source,
    turn: Option<Arc<Turn>>,
}

#[derive(Debug)]
enum Source {
    Own { body: Bytes, _observation: Observation },
    Relayed(Download),
    Empty,
}

impl ResponseBody {
    /// The gateway's own words.
    pub(super) fn own(body: Bytes, observation: Observation, turn: Arc<Turn>) -> Self {
        Self { source: Source::Own { body, _observation: observation }, turn: Some(turn) }
    }

    /// An agent's bytes.
    pub(super) fn relayed(download: Download, turn: Arc<Turn>) -> Self {
        Self { source: Source::Relayed(download), turn: Some(turn) }
    }

    /// Nothing: what follows is no body.
    pub(super) fn empty() -> Self {
        Self { source: Source::Empty, turn: None }
    }
}

impl Source {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let frame = match self {
            Self::Empty => None,
            Self::Own { body, .. } => {
                let body = std::mem::take(body);
                (!body.is_empty()).then(|| Ok(Frame::data(body)))
            }
            Self::Relayed(download) => match ready!(download.poll_part(cx)) {
                Ok(Part::Data(data)) => Some(Ok(Frame::data(data))),
                Ok(Part::End(trailers)) => trailers.map(|trailers| Ok(Frame::trailers(trailers.to_map()))),
                Err(truncated) => Some(Err(truncated)),
            },
        };
        Poll::Ready(frame)
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = Truncated;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Truncated>>> {
        let Self { source, turn } = self.get_mut();
        let frame = source.poll(cx);
        if let Some(turn) = turn {
            if frame.is_ready() { turn.is_clients() } else { turn.is_ours() }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Empty => true,
            Source::Own { body, .. } => body.is_empty(),
            Source::Relayed(download) => download.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Empty => SizeHint::with_exact(0),
            Source::Own { body, .. } => SizeHint::with_exact(body.len() as u64),
            Source::Relayed(download) => match download.expected() {
                Expected::Exactly(left) => SizeHint::with_exact(left),
                Expected::Nothing => SizeHint::with_exact(0),
                Expected::Anything => SizeHint::default(),
            },
        }
    }
}
