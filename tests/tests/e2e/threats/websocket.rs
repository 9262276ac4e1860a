//! Section 5: what is sent to the WebSocket port that should not be. By hand, since a library would not send it.

use tests::OFFLINE_AGENT;

use super::*;

tests::over_one_transport!(
    ws,
    WebSocket,
    w1_a_frame_over_the_limit
        w2_a_message_over_the_limit_in_fragments
        w3_empty_fragments_without_end
        w4_frames_without_a_mask
        w5_texts
        w6_reserved_bits_and_opcodes
        w7_a_flood_of_pings
        w8_nothing_follows_a_close
        w9_pages_of_a_browser
        w9_handshakes_that_are_none
        w10_a_compression_that_is_offered
);

const BINARY: u8 = 0x82;
const FIRST_OF_SEVERAL: u8 = 0x02;
const CONTINUATION: u8 = 0x00;
const PING: u8 = 0x89;
const PONG: u8 = 0x8a;
const CLOSE: u8 = 0x88;

/// A WebSocket on which every byte is chosen.
struct Raw(Wire);

/// A frame (RFC 6455, section 5.2). Its mask is zero, so the payload stays as it is.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    [header(first, 0x80, payload.len() as u64), vec![0; 4], payload.to_vec()].concat()
}

fn header(first: u8, mask: u8, length: u64) -> Vec<u8> {
    match length {
        0..=125 => vec![first, mask | length as u8],
        126..=65_535 => [&[first, mask | 126][..], &(length as u16).to_be_bytes()].concat(),
        _ => [&[first, mask | 127][..], &length.to_be_bytes()].concat(),
    }
}

fn upgrade(scene: &Scene) -> Request {
    Request::get("/")
        .host(&scene.gateway.port(Transport::WebSocket).to_string())
        .field("connection", "Upgrade")
        .field("upgrade", "websocket")
        .field("sec-websocket-version", "13")
        .field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
}

fn handshake(scene: &Scene) -> Request {
    upgrade(scene).field("sec-websocket-protocol", "indranet.tunnel.v1")
}

async fn stranger(scene: &Scene) -> Wire {
    Wire::connect(scene.gateway.port(Transport::WebSocket)).await
}

impl Raw {
    /// A link of which only the handshake was done.
    async fn open(scene: &Scene) -> Self {
        let mut wire = stranger(scene).await;
        wire.begin(&handshake(scene)).await;
        assert_eq!(wire.reader.head().await.status(), 101);
        Self(wire)
    }

    /// Sends as much as the gateway takes.
    async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.writer.try_send(bytes).await; // it may have closed the connection
    }

    /// The next frame; `None` at the end of the connection.
    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let start = self.0.reader.exactly(2).await?;
        let length = match start[1] {
            126 => self.0.reader.exactly(2).await?,
            127 => self.0.reader.exactly(8).await?,
            short => vec![short],
        };
        let length = length.into_iter().fold(0, |length, byte| length << 8 | usize::from(byte));
        Some((start[0], self.0.reader.exactly(length).await?))
    }

    /// How the gateway closes the link, and that nothing follows.
    async fn closed(mut self) -> u16 {
        let mut code = None;
        while let Some((first, payload)) = self.next().await {
            assert_eq!(code, None, "nothing may follow a close frame");
            if first == CLOSE {
                code = Some(u16::from_be_bytes([payload[0], payload[1]]));
            }
        }
        code.expect("a close frame")
    }
}

async fn w1_a_frame_over_the_limit(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for length in [17 << 20, (1 << 20) + 1, u64::from(u32::MAX), 1 << 62] {
        let mut raw = Raw::open(&scene).await;
        raw.send([header(BINARY, 0x80, length), vec![0; 4 + 100_000]].concat()).await;
        assert_eq!(raw.closed().await, 1009, "{length}");
    }
    scene.assert_over().await;
}

async fn w2_a_message_over_the_limit_in_fragments(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut raw = Raw::open(&scene).await;
    raw.send(frame(FIRST_OF_SEVERAL, &[0; 60_000])).await;
    for _ in 0..20 {
        raw.send(frame(CONTINUATION, &[0; 60_000])).await;
    }
    assert_eq!(raw.closed().await, 1009);
    scene.assert_over().await;
}

async fn w3_empty_fragments_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut raw = Raw::open(&scene).await;
    raw.send(frame(FIRST_OF_SEVERAL, b"")).await;
    raw.send(frame(CONTINUATION, b"").repeat(100_000)).await;
    assert_eq!(raw.closed().await, 1002);
    scene.assert_over().await;
}

async fn w4_frames_without_a_mask(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut raw = Raw::open(&scene).await;
    raw.send([header(BINARY, 0, 3), b"abc".to_vec()].concat()).await;
    assert_eq!(raw.closed().await, 1002);
    scene.assert_over().await;
}

async fn w5_texts(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for text in ["", "hello", "{\"frame\": 1}"] {
        let mut raw = Raw::open(&scene).await;
        raw.send(frame(0x81, text.as_bytes())).await;
        assert_eq!(raw.closed().await, 1003, "{text}");
    }
    let mut raw = Raw::open(&scene).await;
    raw.send(frame(0x81, b"\xff\xfe")).await;
    assert_eq!(raw.closed().await, 1007, "and what is not even text");
    scene.assert_over().await;
}

async fn w6_reserved_bits_and_opcodes(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let long_ping = [header(PING, 0x80, 126), vec![0; 130]].concat();
    for (bytes, what) in [
        (frame(BINARY | 0x40, b"x"), "a compressed message that was not agreed on"),
        (frame(BINARY | 0x20, b"x"), "a reserved bit"),
        (frame(BINARY | 0x10, b"x"), "a reserved bit"),
        (frame(0x83, b"x"), "a reserved opcode for data"),
        (frame(0x8b, b"x"), "a reserved opcode for control"),
        (frame(0x09, b"x"), "a control frame in fragments"),
        (long_ping, "a control frame that is too long"),
        (frame(0x80, b"x"), "a continuation of nothing"),
        ([frame(FIRST_OF_SEVERAL, b"x"), frame(BINARY, b"x")].concat(), "a message within a message"),
    ] {
        let mut raw = Raw::open(&scene).await;
        raw.send(bytes).await;
        assert_eq!(raw.closed().await, 1002, "{what}");
    }
    scene.assert_over().await;
}

async fn w7_a_flood_of_pings(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut raw = Raw::open(&scene).await;
    let introduction = proto::AgentFrame::from(tests::introduction(OFFLINE_AGENT));
    let introduction = prost::Message::encode_length_delimited_to_vec(&introduction);
    raw.send(frame(BINARY, &introduction)).await;
    let flood: Vec<u8> = (0..20_000u32).flat_map(|number| frame(PING, &number.to_be_bytes())).collect();
    let last = frame(PING, b"the last one");
    // A client that reads as slowly as it likes: answers are not piled up for it.
    let Raw(Wire { reader, mut writer }) = raw;
    let mut reading = Raw(Wire { reader, writer: stranger(&scene).await.writer });
    let sent = [flood, last].concat();
    let answered = async {
        let mut messages = 0;
        loop {
            match reading.next().await.expect("the link goes on") {
                (PONG, payload) if payload == b"the last one" => return messages,
                (BINARY, _) => messages += 1,
                _ => {}
            }
        }
    };
    let (sent, messages) = tokio::join!(writer.try_send(&sent), answered);
    sent.unwrap();
    assert!(messages > 0, "the agent was accepted, and its link goes on");
    drop((reading, writer));
    scene.assert_over().await;
}

async fn w8_nothing_follows_a_close(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut raw = Raw::open(&scene).await;
    let introduction = proto::AgentFrame::from(tests::introduction(OFFLINE_AGENT));
    let introduction = prost::Message::encode_length_delimited_to_vec(&introduction);
    let close = frame(CLOSE, &1000u16.to_be_bytes());
    raw.send([close, frame(BINARY, &introduction), frame(PING, b"x")].concat()).await;
    let code = raw.closed().await;
    assert_eq!(code, 1000, "what stands behind a close frame was not read");
    scene.assert_over().await;
}

async fn w9_pages_of_a_browser(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for origin in ["https://evil.example", "null", "http://127.0.0.1", ""] {
        let request = handshake(&scene).field("origin", origin);
        let answer = stranger(&scene).await.ask(&request).await;
        assert_eq!(answer.head.status(), 403, "{origin}");
    }
    scene.assert_over().await;
}

async fn w9_handshakes_that_are_none(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for (request, status) in [
        (handshake(&scene).body("GET / HTTP/1.1\r\n\r\n"), 400),
        (handshake(&scene).chunked("smuggled"), 400),
        (handshake(&scene).field("host", "another.example"), 400),
        (upgrade(&scene), 400),
        (upgrade(&scene).field("sec-websocket-protocol", "chat, indranet.tunnel.v2"), 400),
        (handshake(&scene).field("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), 400),
        (handshake(&scene).field("sec-websocket-version", "8"), 426),
        (Request::get("/"), 426),
        (Request::post("/").field("connection", "upgrade").field("upgrade", "websocket"), 426),
    ] {
        let answer = stranger(&scene).await.ask(&request).await;
        assert_eq!(answer.head.status(), status, "{request:?}");
    }
    scene.assert_over().await;
}

async fn w10_a_compression_that_is_offered(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut wire = stranger(&scene).await;
    let offer = "permessage-deflate; client_max_window_bits";
    wire.begin(&handshake(&scene).field("sec-websocket-extensions", offer)).await;
    let head = wire.reader.head().await;
    assert_eq!((head.status(), head.value("sec-websocket-extensions")), (101, None));
    drop(wire);
    scene.assert_over().await;
}
