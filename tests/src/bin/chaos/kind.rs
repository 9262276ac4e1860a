//! What clients ask for. Every request has an id, and every answer is made of it, so that no answer passes for another's.

use std::{
    hash::{DefaultHasher, Hasher as _},
    time::Duration,
};

use bytes::Bytes;

/// Pieces of a stream, and how far apart they are: five seconds in all.
pub(crate) const STREAM_PIECES: usize = 20;
pub(crate) const STREAM_PAUSE: Duration = Duration::from_millis(250);
/// Pieces of an upload, and how far apart they are sent: a second in all.
pub(crate) const UPLOAD_PIECES: usize = 10;
pub(crate) const UPLOAD_PAUSE: Duration = Duration::from_millis(100);
const UPLOAD_PIECE: usize = 8 << 10;
/// What is read slowly: more than the windows of an exchange hold.
pub(crate) const LARGE: usize = 2 << 20;
/// What a client may wait for its outcome, beyond the time that the answer takes by itself: the response limit, and a second.
const PATIENCE: Duration = Duration::from_secs(11);

/// One kind of request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A GET with a short answer.
    Small,
    /// A GET whose answer takes five seconds.
    Stream,
    /// A POST of a body that takes a second, answered with its hash.
    Upload,
    /// A GET of a large body, read as slowly as a stream is sent.
    Slow,
    /// A stream whose client leaves after its first piece.
    Leaver,
}

impl Kind {
    /// Its name, which is also the path.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Stream | Self::Leaver => "stream",
            Self::Upload => "upload",
            Self::Slow => "slow",
        }
    }

    /// Its name in a table.
    pub(crate) fn label(self) -> &'static str {
        if self == Self::Leaver { "leaver" } else { self.name() }
    }

    /// Within which time every client must know its outcome.
    pub(crate) fn limit(self) -> Duration {
        PATIENCE
            + match self {
                Self::Small => Duration::ZERO,
                Self::Upload => UPLOAD_PAUSE * UPLOAD_PIECES as u32,
                Self::Stream | Self::Slow | Self::Leaver => STREAM_PAUSE * STREAM_PIECES as u32,
            }
    }

    /// The one body that is right for this id.
    pub(crate) fn answer(self, id: &str) -> Vec<u8> {
        match self {
            Self::Small => small(id).into_bytes(),
            Self::Stream | Self::Leaver => (0..STREAM_PIECES).flat_map(|n| stream_piece(id, n)).collect(),
            Self::Slow => large(id),
            Self::Upload => {
                let mut body = Digest::default();
                (0..UPLOAD_PIECES).for_each(|n| body.add(&upload_piece(id, n)));
                body.told(id).into_bytes()
            }
        }
    }
}

pub(crate) fn small(id: &str) -> String {
    format!("small {id}\n").repeat(8)
}

pub(crate) fn stream_piece(id: &str, number: usize) -> Bytes {
    format!("{id} {number:02}\n").into()
}

/// The id again and again.
pub(crate) fn large(id: &str) -> Vec<u8> {
    id.bytes().cycle().take(LARGE).collect()
}

pub(crate) fn upload_piece(id: &str, number: usize) -> Bytes {
    let line = format!("{id} {number:02}\n");
    line.bytes().cycle().take(UPLOAD_PIECE).collect()
}

/// What the service tells of an upload.
#[derive(Default)]
pub(crate) struct Digest {
    hasher: DefaultHasher,
    bytes: usize,
}

impl Digest {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        piece.iter().for_each(|byte| self.hasher.write_u8(*byte)); // whatever the pieces are
        self.bytes += piece.len();
    }

    pub(crate) fn told(&self, id: &str) -> String {
        format!("{id} {} {:016x}\n", self.bytes, self.hasher.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_different_ids_differ() {
        for kind in [Kind::Small, Kind::Stream, Kind::Upload, Kind::Slow] {
            assert_ne!(kind.answer("1-1"), kind.answer("1-2"), "{kind:?}");
        }
    }

    #[test]
    fn a_digest_does_not_depend_on_how_the_body_was_cut() {
        let (mut one, mut other) = (Digest::default(), Digest::default());
        one.add(b"abcd");
        other.add(b"a");
        other.add(b"bcd");
        assert_eq!(one.told("x"), other.told("x"));
        other.add(b"e");
        assert_ne!(one.told("x"), other.told("x"));
    }
}
