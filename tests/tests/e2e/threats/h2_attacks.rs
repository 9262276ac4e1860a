//! What is tried on every port that speaks HTTP/2.

use bytes::Bytes;
use tests::h2::{Fate, H2, frame, frame::END_STREAM, hpack};

/// The `index`th stream of a client.
pub(super) fn stream(index: u32) -> u32 {
    2 * index + 1
}

/// Frames for many streams, one behind the other.
pub(super) fn many(count: u32, frames: impl Fn(u32) -> Vec<Bytes>) -> Vec<u8> {
    (0..count).flat_map(|index| frames(stream(index))).flatten().collect()
}

pub(super) async fn continuations_without_end(connect: impl AsyncFn() -> H2, count: usize) {
    let field = hpack::block(&[("x", "y")]);
    for part in [&field[..], &[]] {
        let mut client = connect().await;
        client.send(frame::headers(1, END_STREAM, part)).await;
        client.send(frame::any(frame::CONTINUATION, 0, 1, part).repeat(count)).await;
        assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    }
}

/// `request` begins stream 1.
pub(super) async fn windows_that_overflow(connect: impl AsyncFn() -> H2, request: Bytes) {
    let mut client = connect().await;
    client.send(frame::window_update(0, 0x7fff_ffff).repeat(2)).await;
    assert_eq!(client.gone().await, Some(frame::FLOW_CONTROL_ERROR));

    let mut client = connect().await;
    client.send([request, frame::window_update(1, 0x7fff_ffff)].concat()).await;
    assert_eq!(client.fate(1).await, Fate::Reset(frame::FLOW_CONTROL_ERROR));

    let mut client = connect().await;
    client.send(frame::settings(&[(frame::INITIAL_WINDOW_SIZE, 0x8000_0000)])).await;
    assert!(matches!(client.gone().await, Some(frame::FLOW_CONTROL_ERROR | frame::PROTOCOL_ERROR)));

    let mut client = connect().await;
    client.send(frame::window_update(0, 0)).await;
    assert_eq!(client.gone().await, Some(frame::PROTOCOL_ERROR));
}

pub(super) async fn frames_that_are_too_large(connect: impl AsyncFn() -> H2) {
    for kind in [frame::DATA, frame::HEADERS, frame::SETTINGS, 0x7f] {
        let mut client = connect().await;
        // Only its header: what it announces is not waited for.
        client.send([0xff, 0xff, 0xff, kind, 0, 0, 0, 0, 1]).await;
        assert_eq!(client.gone().await, Some(frame::FRAME_SIZE_ERROR), "{kind}");
    }
    let wrong = [
        frame::any(frame::PING, 0, 0, "seven b"),
        frame::any(frame::SETTINGS, 0, 0, "seven b"),
        frame::any(frame::WINDOW_UPDATE, 0, 0, "five "),
        frame::any(frame::RST_STREAM, 0, 1, "five "),
    ];
    for frame in wrong {
        let mut client = connect().await;
        client.send(&frame).await;
        let code = client.gone().await;
        assert!(matches!(code, Some(frame::FRAME_SIZE_ERROR | frame::PROTOCOL_ERROR)), "{frame:x} {code:?}");
    }
}
