use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Continuation frames that one message may have. The limit on a message's size does not count empty ones.
pub(crate) const MAX_CONTINUATIONS: u32 = 1024;

/// A socket that refuses floods of fragments: it reads the frame headers that pass (RFC 6455, section 5.2).
#[derive(Debug)]
pub(crate) struct Guarded<S> {
    socket: S,
    counter: Counter,
}

impl<S> Guarded<S> {
    /// Guards `socket` from the first byte behind the handshake on, of which `begun` were read already, against
    /// messages of more than `limit` continuations.
    pub(crate) fn new(socket: S, begun: &[u8], limit: u32) -> io::Result<Self> {
        let mut counter = Counter::new(limit);
        counter.pass(begun).map_err(flood)?;
        Ok(Self { socket, counter })
    }
}

/// Where in the stream of frames the next byte stands.
#[derive(Debug)]
struct Counter {
    state: State,
    continuations: u32,
    limit: u32,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// The first byte of a frame: FIN and opcode.
    First,
    /// The second: MASK and length.
    Second,
    /// Bytes of an extended length that are still to come.
    Length { missing: u8, masked: bool, length: u64 },
    /// Bytes of mask and payload that are still to come.
    Payload { missing: u64 },
}

/// Too many fragments.
struct Flood;

impl Counter {
    fn new(limit: u32) -> Self {
        Self { state: State::First, continuations: 0, limit }
    }

    /// Follows `bytes`, whether or not they begin at a frame.
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        while let Some((byte, rest)) = bytes.split_first() {
            if let State::Payload { missing } = &mut self.state {
                let skipped = usize::try_from(*missing).unwrap_or(usize::MAX).min(bytes.len());
                *missing -= skipped as u64;
                bytes = &bytes[skipped..];
            } else {
                self.header(*byte)?;
                bytes = rest;
            }
            if let State::Payload { missing: 0 } = self.state {
                self.state = State::First;
            }
        }
        Ok(())
    }

    fn header(&mut self, byte: u8) -> Result<(), Flood> {
        self.state = match self.state {
            State::First => {
                match byte & 0x0f {
                    0 => self.continuations += 1,
                    1..=7 => self.continuations = 0,
                    _ => {} // control frames may come between fragments
                }
                if self.continuations > self.limit {
                    return Err(Flood);
                }
                State::Second
            }
            State::Second => {
                let masked = byte & 0x80 != 0;
                match byte & 0x7f {
                    126 => State::Length { missing: 2, masked, length: 0 },
                    127 => State::Length { missing: 8, masked, length: 0 },
                    length => payload(u64::from(length), masked),
                }
            }
            State::Length { missing, masked, length } => {
                let length = length << 8 | u64::from(byte);
                match missing - 1 {
                    0 => payload(length, masked),
                    missing => State::Length { missing, masked, length },
                }
            }
            State::Payload { missing } => State::Payload { missing },
        };
        Ok(())
    }
}

fn flood(Flood: Flood) -> io::Error {
    io::Error::other("too many fragments in one message")
}

fn payload(length: u64, masked: bool) -> State {
    State::Payload { missing: length.saturating_add(if masked { 4 } else { 0 }) }
}

impl<S: AsyncRead + Unpin> AsyncRead for Guarded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let passed = self.counter.pass(&buf.filled()[before..]);
        Poll::Ready(passed.map_err(flood))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Guarded<S> {
    link::writes_go_to!(socket);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(first: u8, len: usize, masked: bool) -> Vec<u8> {
        let mask_bit = if masked { 0x80 } else { 0 };
        let mut bytes = vec![first];
        match len {
            0..=125 => bytes.push(mask_bit | len as u8),
            126..=65_535 => {
                bytes.push(mask_bit | 126);
                bytes.extend((len as u16).to_be_bytes());
            }
            _ => {
                bytes.push(mask_bit | 127);
                bytes.extend((len as u64).to_be_bytes());
            }
        }
        bytes.extend(vec![0; len + if masked { 4 } else { 0 }]);
        bytes
    }

    #[test]
    fn frames_are_followed_however_they_are_cut() {
        let mut stream = Vec::new();
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            stream.extend(frame(0x02, len, true)); // begins a message
            stream.extend(frame(0x89, 5, true)); // a ping in between
            stream.extend(frame(0x80, len, false)); // ends it
        }
        for size in [1, 2, 7, 1000, stream.len()] {
            let mut counter = Counter::new(MAX_CONTINUATIONS);
            for piece in stream.chunks(size) {
                assert!(counter.pass(piece).is_ok());
            }
            assert!(matches!(counter.state, State::First));
            assert_eq!(counter.continuations, 1);
        }
    }

    #[test]
    fn what_was_read_with_the_handshake_counts() {
        let bytes = frame(0x82, 300, true);
        let (begun, rest) = bytes.split_at(100);
        let mut guarded = Guarded::new((), begun, MAX_CONTINUATIONS).unwrap();
        assert!(guarded.counter.pass(rest).is_ok());
        assert!(matches!(guarded.counter.state, State::First));
    }

    #[test]
    fn a_flood_of_empty_fragments_is_refused() {
        let mut counter = Counter::new(MAX_CONTINUATIONS);
        assert!(counter.pass(&frame(0x02, 0, true)).is_ok());
        for _ in 0..MAX_CONTINUATIONS {
            assert!(counter.pass(&frame(0x00, 0, true)).is_ok());
        }
        assert!(counter.pass(&frame(0x00, 0, true)).is_err());
    }
}
