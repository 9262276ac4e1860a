//! One request, from its id to its one outcome.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    body::{Frame, Incoming},
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_util::task::AbortOnDropHandle;

use crate::kind::{self, Kind};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// How a request ended for its client.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Outcome {
    /// With the whole of the right answer.
    Whole,
    /// The client left, as it wanted to.
    Left,
    /// With an answer of the gateway's own.
    Status(u16, String),
    /// It broke off.
    Aborted(Stage, String),
    /// A response ended as if it were whole, and is another than the right one.
    Wrong(String),
    /// Nothing came within the time.
    Silent,
}

/// How far a request had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Connecting,
    /// On a connection that had carried another request before.
    Reused,
    /// On a connection of its own.
    Fresh,
    Body,
}

/// Asks for the same service again and again, on kept connections and on new ones.
pub(crate) struct Client {
    addr: SocketAddr,
    /// Whether a request is sent once more if a kept connection ends before it is answered, as browsers do.
    browser: bool,
    kept: Mutex<Vec<Kept>>,
}

/// A connection between two requests.
struct Kept {
    sender: SendRequest<Body>,
    _connection: AbortOnDropHandle<()>,
}

/// One request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    pub(crate) kind: Kind,
    pub(crate) id: String,
    /// The `host` field.
    pub(crate) host: String,
    /// Whether the connection is kept, and may be one that was kept before.
    pub(crate) keep: bool,
}

impl Client {
    pub(crate) fn new(addr: SocketAddr, browser: bool) -> Self {
        Self { addr, browser, kept: Mutex::default() }
    }

    /// Makes the request. It takes no longer than [`Kind::limit`].
    pub(crate) async fn ask(&self, ask: &Ask) -> Outcome {
        timeout(ask.kind.limit(), self.asked(ask)).await.unwrap_or(Outcome::Silent)
    }

    async fn asked(&self, ask: &Ask) -> Outcome {
        let outcome = self.once(ask, ask.keep).await;
        if self.browser && matches!(outcome, Outcome::Aborted(Stage::Reused, _)) {
            return self.once(ask, false).await;
        }
        outcome
    }

    async fn once(&self, ask: &Ask, reuse: bool) -> Outcome {
        let (mut connection, stage) = match reuse.then(|| self.take()).flatten() {
            Some(kept) => (kept, Stage::Reused),
            None => match self.connect().await {
                Ok(fresh) => (fresh, Stage::Fresh),
                Err(error) => return Outcome::Aborted(Stage::Connecting, error),
            },
        };
        let response = match connection.sender.send_request(request(ask)).await {
            Ok(response) => response,
            Err(error) => return Outcome::Aborted(stage, in_words(&error)),
        };
        let outcome = answer(ask, response).await;
        // Whoever has its whole answer leaves the connection as it found it.
        if ask.keep && matches!(outcome, Outcome::Whole | Outcome::Status(..)) {
            self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        }
        outcome
    }

    /// A kept connection that was not seen to end.
    fn take(&self) -> Option<Kept> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|kept| !kept.sender.is_closed());
        let ready = kept.iter().rposition(|kept| kept.sender.is_ready())?;
        Some(kept.swap_remove(ready))
    }

    async fn connect(&self) -> Result<Kept, String> {
        let stream = TcpStream::connect(self.addr).await.map_err(|error| error.kind().to_string())?;
        let _ = stream.set_nodelay(true); // it is only slower without
        let shaken = http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        let (sender, connection) = shaken;
        let driver = tokio::spawn(async {
            let _ = connection.await; // the request is told what went wrong
        });
        Ok(Kept { sender, _connection: AbortOnDropHandle::new(driver) })
    }
}

fn request(ask: &Ask) -> Request<Body> {
    let Ask { kind, id, host, keep } = ask;
    let mut request = Request::builder().uri(format!("/{}?id={id}", kind.name())).header(header::HOST, host);
    if !keep {
        request = request.header(header::CONNECTION, "close");
    }
    let (method, body) = match kind {
        Kind::Upload => ("POST", upload(id.clone())),
        _ => ("GET", Empty::new().boxed_unsync()),
    };
    request.method(method).body(body).expect("the parts of a request are valid")
}

fn upload(id: String) -> Body {
    let pieces = stream::unfold((id, 0), |(id, number)| async move {
        if number == kind::UPLOAD_PIECES {
            return None;
        }
        if number > 0 {
            sleep(kind::UPLOAD_PAUSE).await;
        }
        let piece = Frame::data(kind::upload_piece(&id, number));
        Some((Ok::<_, Infallible>(piece), (id, number + 1)))
    });
    StreamBody::new(pieces).boxed_unsync()
}

async fn answer(ask: &Ask, response: hyper::Response<Incoming>) -> Outcome {
    let (head, mut body) = response.into_parts();
    let mut got = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => got.extend_from_slice(frame.data_ref().map_or(&[], |data| data)),
            Err(error) => return Outcome::Aborted(Stage::Body, in_words(&error)),
        }
        if head.status == StatusCode::OK {
            match ask.kind {
                Kind::Leaver => return Outcome::Left,
                Kind::Slow => sleep(slow(got.len())).await,
                Kind::Small | Kind::Stream | Kind::Upload => {}
            }
        }
    }
    if head.status != StatusCode::OK {
        let code = head.headers.get("indranet-error").map_or("", |code| code.to_str().unwrap_or_default());
        return Outcome::Status(head.status.as_u16(), code.to_owned());
    }
    checked(ask, &got)
}

/// Compares with the one right answer.
fn checked(ask: &Ask, got: &[u8]) -> Outcome {
    let wanted = ask.kind.answer(&ask.id);
    if got == wanted {
        return Outcome::Whole;
    }
    let begins = String::from_utf8_lossy(&got[..got.len().min(60)]).into_owned();
    Outcome::Wrong(if wanted.starts_with(got) {
        format!("{} of {} bytes, with a clean end", got.len(), wanted.len())
    } else {
        format!("{} bytes that begin with {begins:?}", got.len())
    })
}

/// A pause now and then: about as long as a stream in all.
fn slow(read: usize) -> Duration {
    const STEPS: usize = 64;
    let step = kind::LARGE / STEPS;
    if read % step < 8 << 10 { Duration::from_millis(75) } else { Duration::ZERO }
}

/// The error and what caused it.
fn in_words(error: &hyper::Error) -> String {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}"));
    format!("{error}{}", cause.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(kind: Kind) -> Ask {
        Ask { kind, id: "1-1".to_owned(), host: "a.test".to_owned(), keep: true }
    }

    #[test]
    fn a_body_that_ends_early_and_cleanly_is_wrong() {
        let whole = Kind::Stream.answer("1-1");
        assert_eq!(checked(&ask(Kind::Stream), &whole), Outcome::Whole);
        assert!(
            matches!(checked(&ask(Kind::Stream), &whole[..40]), Outcome::Wrong(what) if what.contains("clean"))
        );
    }

    #[test]
    fn a_body_of_another_request_is_wrong() {
        let other = Kind::Small.answer("1-2");
        assert!(matches!(checked(&ask(Kind::Small), &other), Outcome::Wrong(what) if what.contains("1-2")));
    }
}
