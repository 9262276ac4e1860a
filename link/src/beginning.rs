use bytes::{Bytes, BytesMut};
use futures_util::FutureExt as _;
use http_body::Body;
use http_body_util::BodyExt as _;
use proto::Fields;

/// What of a body is there without waiting. A small response is one frame that way, and no head ever waits for a body.
#[derive(Debug)]
pub struct Beginning<E> {
    /// What fits into the head.
    pub inline: Bytes,
    /// What was there but did not fit.
    pub rest: Bytes,
    /// How the body ended, if it has.
    pub ending: Option<Ending<E>>,
}

/// The end of a body.
#[derive(Debug)]
pub enum Ending<E> {
    /// Everything was there.
    Clean,
    /// Everything was there, and these fields behind it.
    Trailers(Fields),
    /// Its source failed.
    Broken(E),
}

impl<E> Beginning<E> {
    /// Takes up to `limit` bytes.
    pub fn of<B>(body: &mut B, limit: usize) -> Self
    where
        B: Body<Data = Bytes, Error = E> + Unpin,
    {
        let mut taken = Taken::default();
        let mut rest = Bytes::new();
        let ending = loop {
            if body.is_end_stream() {
                break Some(Ending::Clean);
            }
            let frame = match body.frame().now_or_never() {
                None => break None,
                Some(None) => break Some(Ending::Clean),
                Some(Some(Err(error))) => break Some(Ending::Broken(error)),
                Some(Some(Ok(frame))) => frame,
            };
            match frame.into_data() {
                Ok(mut data) => {
                    rest = data.split_off(data.len().min(limit - taken.len()));
                    taken.push(data);
                    if !rest.is_empty() || taken.len() == limit {
                        break None;
                    }
                }
                Err(other) => {
                    break other.into_trailers().ok().map(|map| Ending::Trailers(Fields::from(&map)));
                }
            }
        };
        Self { inline: taken.freeze(), rest, ending }
    }
}

/// Chunks in a row; a single one is not copied.
#[derive(Default)]
struct Taken {
    first: Bytes,
    more: BytesMut,
}

impl Taken {
    fn len(&self) -> usize {
        self.first.len() + self.more.len()
    }

    fn push(&mut self, chunk: Bytes) {
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.more.extend_from_slice(&chunk);
        }
    }

    fn freeze(self) -> Bytes {
        if self.more.is_empty() {
            return self.first;
        }
        let mut all = BytesMut::with_capacity(self.len());
        all.extend_from_slice(&self.first);
        all.extend_from_slice(&self.more);
        all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        pin::Pin,
        task::{Context, Poll},
    };

    use http_body::Frame;

    use super::*;

    /// Gives its frames one by one, and after them waits for ever or ends.
    struct Scripted {
        frames: Vec<Frame<Bytes>>,
        ends: bool,
    }

    impl Body for Scripted {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            if !self.frames.is_empty() {
                return Poll::Ready(Some(Ok(self.frames.remove(0))));
            }
            if self.ends { Poll::Ready(None) } else { Poll::Pending }
        }
    }

    fn of(chunks: &[&'static str], ends: bool, limit: usize) -> (Bytes, Bytes, bool) {
        let frames = chunks.iter().map(|chunk| Frame::data(Bytes::from_static(chunk.as_bytes()))).collect();
        let Beginning { inline, rest, ending } = Beginning::of(&mut Scripted { frames, ends }, limit);
        (inline, rest, matches!(ending, Some(Ending::Clean)))
    }

    #[test]
    fn what_is_there_is_taken_and_no_more() {
        assert_eq!(of(&[], true, 9), ("".into(), "".into(), true));
        assert_eq!(of(&[], false, 9), ("".into(), "".into(), false));
        assert_eq!(of(&["abc", "def"], true, 9), ("abcdef".into(), "".into(), true));
        assert_eq!(of(&["abc", "def"], false, 9), ("abcdef".into(), "".into(), false));
        assert_eq!(of(&["abc", "def"], true, 5), ("abcde".into(), "f".into(), false));
        assert_eq!(of(&["abcdef", "g"], true, 3), ("abc".into(), "def".into(), false));
    }

    #[test]
    fn trailers_are_not_lost() {
        let trailers: http::HeaderMap =
            [(http::header::ETAG, http::HeaderValue::from_static("x"))].into_iter().collect();
        let frames = vec![Frame::data(Bytes::from_static(b"abc")), Frame::trailers(trailers.clone())];
        let beginning = Beginning::of(&mut Scripted { frames, ends: true }, 9);
        assert!(
            matches!(beginning.ending, Some(Ending::Trailers(found)) if found == Fields::from(&trailers))
        );
    }
}
