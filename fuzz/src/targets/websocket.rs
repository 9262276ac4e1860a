//! Frames in WebSocket messages, both ends, however the bytes are cut and however little a socket takes.

use bytes::Bytes;
use link::LinkError;
use proto::{
    AgentFrame, ControlMessage, Frame, GatewayFrame, TunnelClose, TunnelData, TunnelWindow, id_text, limits,
    tunnel_close::Reason,
};
use uuid::Uuid;
use ws_bridge::memory::{From, read, write};

use crate::input::{Input, pieces};

pub(super) const WORDS: &[&[u8]] = &[
    b"\x82\x80",
    b"\x02\x80",
    b"\x00\x80",
    b"\x80\x80",
    b"\x82\x7e",
    b"\x82\xff",
    b"\x88\x82",
    b"\x89\x80",
    b"\x81\x81",
];

pub(super) fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let choice = input.byte();
    let cuts = input.bytes(8);
    let from = if choice & 1 == 0 { From::Client } else { From::Server };
    match (choice >> 1) % 2 {
        0 if from == From::Client => arrives::<AgentFrame>(from, input.rest(), cuts),
        0 => arrives::<GatewayFrame>(from, input.rest(), cuts),
        _ if from == From::Client => travels::<AgentFrame>(from, &mut input, cuts),
        _ => travels::<GatewayFrame>(from, &mut input, cuts),
    }
}

/// Cuts make no difference. Only a flood of fragments may be noticed sooner or later.
fn arrives<F: Frame + PartialEq>(from: From, bytes: &[u8], cuts: &[u8]) {
    let (whole, end) = read::<F>(from, [Bytes::copy_from_slice(bytes)]);
    let (cut, end_when_cut) = read::<F>(from, pieces(bytes, cuts));
    let flood = |end: &Option<LinkError>| matches!(end, Some(LinkError::Violation(what)) if what.contains("fragments"));
    if flood(&end) || flood(&end_when_cut) {
        assert!(whole.starts_with(&cut) || cut.starts_with(&whole), "other frames behind other cuts");
    } else {
        assert!(whole == cut && end == end_when_cut, "cuts make a difference: {end:?}, {end_when_cut:?}");
    }
}

fn travels<F: Frame + PartialEq + Clone>(from: From, input: &mut Input<'_>, cuts: &[u8]) {
    let at_once = 1 + input.len(4096);
    let mut frames = Vec::new();
    while !input.is_empty() && frames.len() < 16 {
        frames.push(frame::<F>(input));
    }
    let len: usize = frames.iter().map(F::encoded_len).sum();
    let written = write(from, frames.clone(), at_once.max(len / 1024));
    let (found, end) = read::<F>(from, pieces(&written, cuts));
    assert!(found == frames && end.is_none(), "{} of {} frames arrived: {end:?}", found.len(), frames.len());
}

fn frame<F: Frame>(input: &mut Input<'_>) -> F {
    let id = Uuid::from_u128(input.byte().into());
    match input.choice(5) {
        0 => {
            let len = if input.flag() { limits::MAX_CHUNK } else { input.len(limits::MAX_CHUNK) };
            TunnelData { id: id_text(id), chunk: vec![input.byte(); len].into(), end_stream: input.flag() }
                .into()
        }
        1 => TunnelClose::because(id, Reason::Done, &String::from_utf8_lossy(input.bytes(300))).into(),
        2 => TunnelWindow { id: id_text(id), credit: input.u32() }.into(),
        3 => ControlMessage::ping(Bytes::copy_from_slice(input.bytes(64))).into(),
        // An empty frame is one too.
        _ => F::default(),
    }
}
