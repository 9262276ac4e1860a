//! Rows 2a to 2i on the agents' gRPC port, and what else a stranger may try on the ports where agents are expected. The
//! transport of a scenario is that of the agents beside the attack.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use session::LobbyLimits;
use tests::{
    eventually,
    h2::{
        Fate, H2, call, frame,
        frame::{END_HEADERS, END_STREAM},
        hpack,
    },
    over_every_transport,
};
use tokio::{
    io::AsyncReadExt as _,
    net::{TcpSocket, TcpStream},
};

use super::{
    h2_attacks::{many, stream},
    *,
};

over_every_transport![
    h2a_rapid_resets,
    h2b_resets_that_the_server_is_made_to_send,
    h2c_continuations_without_end,
    h2d_a_small_block_that_unpacks_to_a_large_one,
    h2d_a_header_list_over_the_limit,
    h2e_floods_of_frames_that_cost_nothing_to_send,
    h2f_streams_beyond_the_limit,
    h2g_empty_data_without_end,
    h2g_tiny_data_without_end,
    h2h_a_stranger_that_takes_no_answer,
    h2i_windows_that_overflow,
    h2i_frames_that_are_too_large,
    h2i_prefaces_that_are_none,
    strangers_are_read_no_further_than_their_ration,
    strangers_may_not_stay,
    agents_may_stay,
    strangers_are_limited_in_number,
    strangers_are_limited_in_number_by_address,
];

const ATTACH: &str = "/indranet.tunnel.v1.Tunnel/Attach";
const HEALTH: &str = "/grpc.health.v1.Health/Check";

async fn stranger(scene: &Scene) -> H2 {
    H2::connect(scene.gateway.port(Transport::Grpc)).await
}

async fn h2a_rapid_resets(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = stranger(&scene).await;
    client.send(many(300, |id| vec![call(id, ATTACH), frame::reset(id, frame::CANCEL)])).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.assert_over().await;
}

async fn h2b_resets_that_the_server_is_made_to_send(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let overflow = |id| vec![call(id, ATTACH), frame::window_update(id, 0x7fff_ffff)];
    let malformed = |id| {
        let block = hpack::block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("te", "gzip")]);
        vec![frame::headers(id, END_HEADERS | END_STREAM, block)]
    };
    for attack in [many(300, overflow), many(300, malformed)] {
        let mut client = stranger(&scene).await;
        client.send(attack).await;
        assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    }
    scene.assert_over().await;
}

async fn h2c_continuations_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    h2_attacks::continuations_without_end(async || stranger(&scene).await, 1000).await;
    scene.assert_over().await;
}

/// A call with more fields than it needs.
fn call_with(stream: u32, fields: &[u8]) -> Bytes {
    let pseudo = [(":method", "POST"), (":scheme", "http"), (":authority", "127.0.0.1"), (":path", ATTACH)];
    frame::headers(stream, END_HEADERS, [&hpack::block(&pseudo), fields].concat())
}

async fn h2d_a_small_block_that_unpacks_to_a_large_one(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = stranger(&scene).await;
    let bomb = [hpack::indexed("x", &"v".repeat(4000)), vec![0xbe; 12_000]].concat();
    client.send(call_with(1, &bomb)).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.assert_over().await;
}

async fn h2d_a_header_list_over_the_limit(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = stranger(&scene).await;
    client.send(call_with(1, &[hpack::indexed("x", &"v".repeat(4000)), vec![0xbe; 5]].concat())).await;
    assert_eq!(client.fate(1).await, Fate::Status(431));
    scene.assert_over().await;
}

async fn h2e_floods_of_frames_that_cost_nothing_to_send(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for flood in [
        frame::ping(*b"flooding"),
        frame::settings(&[(frame::INITIAL_WINDOW_SIZE, 65_535)]),
        frame::any(frame::PRIORITY, 0, 99, [0, 0, 0, 0, 7]),
        frame::any(0x7f, 0xff, 99, "unknown"),
        frame::window_update(0, 1),
    ] {
        let mut client = stranger(&scene).await;
        client.send(flood.repeat(3000)).await;
        client.send([call(1, HEALTH), frame::last_data(1, [0; 5])].concat()).await;
        assert_eq!(client.fate(1).await, Fate::Status(200), "{flood:x}");
    }
    scene.assert_over().await;
}

async fn h2f_streams_beyond_the_limit(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = stranger(&scene).await;
    client.send(many(40, |id| vec![call(id, ATTACH)])).await;
    for index in 16..40 {
        assert_eq!(client.fate(stream(index)).await, Fate::Reset(frame::REFUSED_STREAM), "{index}");
    }
    scene.assert_others_unharmed().await;
    // Whoever goes on loses the connection.
    client.send((40..240).flat_map(|index| call(stream(index), ATTACH)).collect::<Vec<u8>>()).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.assert_over().await;
}

async fn h2g_empty_data_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = stranger(&scene).await;
    client.send(call(1, ATTACH)).await;
    client.send(frame::data(1, "").repeat(1000)).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.assert_over().await;
}

async fn h2g_tiny_data_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = stranger(&scene).await;
    client.send(call(1, ATTACH)).await;
    // A message of 200 KiB, byte by byte.
    client.send(frame::data(1, [0, 0, 3, 32, 0])).await;
    client.send(frame::data(1, [7]).repeat(100_000)).await;
    assert!(matches!(client.gone().await, None | Some(frame::ENHANCE_YOUR_CALM)));
    scene.assert_over().await;
}

fn impatient(limits: &mut gateway::Limits) {
    limits.lobby.patience = Duration::from_secs(1);
}

async fn h2h_a_stranger_that_takes_no_answer(transport: Transport) {
    let mut scene = Scene::with(transport, impatient).await;
    let port = scene.gateway.port(Transport::Grpc);
    let mut client = H2::connect_with(port, &[(frame::INITIAL_WINDOW_SIZE, 0)]).await;
    // What cannot be an introduction is refused, and the refusal does not get through.
    client.send([call(1, ATTACH), frame::data(1, [0, 0, 0, 0, 0])].concat()).await;
    assert_eq!(client.fate(1).await, Fate::Status(200));
    client.gone().await;
    scene.assert_over().await;
}

async fn h2i_windows_that_overflow(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    h2_attacks::windows_that_overflow(async || stranger(&scene).await, call(1, ATTACH)).await;
    scene.assert_over().await;
}

async fn h2i_frames_that_are_too_large(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    h2_attacks::frames_that_are_too_large(async || stranger(&scene).await).await;
    scene.assert_over().await;
}

async fn h2i_prefaces_that_are_none(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let port = scene.gateway.port(Transport::Grpc);
    for first in [
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n",
        "\x16\x03\x01",
    ] {
        let mut client = Wire::connect(port).await;
        client.send(first).await;
        client.writer.finish().await;
        let answer = client.reader.rest().await;
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{first:?}");
    }
    scene.assert_over().await;
}

async fn strangers_are_read_no_further_than_their_ration(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = stranger(&scene).await;
    // The beginning of a message of 200 KiB, well within the windows of a link. A ping now and then has the test notice
    // how much of it is taken. The windows hold once the settings have been acknowledged.
    while client.frame().await.unwrap().kind != frame::SETTINGS {}
    client.send(frame::any(frame::SETTINGS, frame::ACK, 0, "")).await;
    client.settled().await.unwrap();
    client.send([call(1, ATTACH), frame::data(1, [0, 0, 3, 32, 0])].concat()).await;
    let piece = [frame::data(1, vec![0; 16 * 1024]), frame::ping(*b"welcome?")].concat();
    let _ = client.send(piece.repeat(11)).await;
    let mut pongs = 0;
    while let Some(frame) = client.frame().await {
        pongs += usize::from(frame.kind == frame::PING && frame.flags & frame::ACK != 0);
        assert!(pongs < 5, "more than 64 KiB were read");
    }
    scene.assert_over().await;
}

async fn strangers_may_not_stay(transport: Transport) {
    let mut scene = Scene::with(transport, impatient).await;
    let [grpc, ws] = [Transport::Grpc, Transport::WebSocket].map(|transport| scene.gateway.port(transport));
    // Silence, half a beginning, and no end of questions.
    for (port, first) in [(grpc, ""), (ws, ""), (grpc, "PRI * HTTP"), (ws, "GET / HTT")] {
        let mut client = Wire::connect(port).await;
        client.send(first).await;
        client.closed().await;
    }
    let mut asks_again = Wire::connect(ws).await;
    while asks_again.writer.try_send(Request::get("/").bytes()).await.is_ok() {
        let Some(head) = asks_again.reader.try_head().await else { break };
        assert_eq!(head.status(), 426);
        asks_again.reader.body(&head).await.unwrap();
    }
    let mut only_pings = H2::connect(grpc).await;
    while only_pings.settled().await.is_some() {}
    let mut only_health = H2::connect(grpc).await;
    for id in (1..).step_by(2) {
        only_health.send([call(id, HEALTH), frame::last_data(id, [0; 5])].concat()).await;
        match only_health.fate(id).await {
            Fate::Status(200) => {}
            Fate::Closed | Fate::Reset(frame::REFUSED_STREAM) => break,
            fate => panic!("{fate:?}"),
        }
    }
    only_health.gone().await;
    let mut says_nothing = H2::connect(grpc).await;
    says_nothing.send(call(1, ATTACH)).await;
    says_nothing.gone().await;
    scene.assert_over().await;
}

async fn agents_may_stay(transport: Transport) {
    let mut scene = Scene::with(transport, impatient).await;
    // Whoever came later is gone first.
    for _ in 0..3 {
        Wire::connect(scene.gateway.port(transport)).await.closed().await;
    }
    scene.silent.heard().await;
    scene.assert_over().await;
}

fn lobby(total: usize, per_address: usize) -> impl FnOnce(&mut gateway::Limits) {
    move |limits| limits.lobby = LobbyLimits { total, per_address, patience: tests::PATIENCE, ..limits.lobby }
}

/// Connects from an address of this machine.
async fn connect_from(address: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((address, 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

async fn assert_turned_away(mut stream: TcpStream) {
    assert!(matches!(stream.read(&mut [0]).await, Ok(0) | Err(_)));
}

async fn strangers_are_limited_in_number(transport: Transport) {
    let mut scene = Scene::with(transport, lobby(3, 3)).await;
    let ports = [Transport::Grpc, Transport::WebSocket].map(|transport| scene.gateway.port(transport));
    let [grpc, ws] = ports;
    // The agents of the scene are no strangers any more.
    let mut strangers = Vec::new();
    for port in [grpc, ws, grpc] {
        strangers.push(Wire::connect(port).await);
    }
    // One of them gets as far as a link, and is a stranger still.
    strangers.pop();
    let mut link = None;
    eventually("there is room again", async || {
        let mut client = Wire::connect(grpc).await;
        client.send(h2::PREFACE).await;
        let greeted = client.reader.exactly(1).await.is_some();
        link = greeted.then_some(client);
        greeted
    })
    .await;
    for address in [[127, 0, 0, 1], [127, 0, 0, 2]] {
        for port in ports {
            assert_turned_away(connect_from(address, port).await).await;
        }
    }
    scene.assert_others_unharmed().await;
    drop((strangers, link));
    let name = tests::OFFLINE_AGENT;
    let mut agent = Agent::start(transport, scene.gateway.port(transport), name, scene.service.addr());
    agent.online().await;
    agent.drain();
    agent.ended().await.unwrap();
    scene.assert_over().await;
}

async fn strangers_are_limited_in_number_by_address(transport: Transport) {
    let mut scene = Scene::with(transport, lobby(100, 2)).await;
    let port = scene.gateway.port(transport);
    let _strangers = [connect_from([127, 0, 0, 2], port).await, connect_from([127, 0, 0, 2], port).await];
    assert_turned_away(connect_from([127, 0, 0, 2], port).await).await;
    let mut agent = Rogue::join(transport, &scene.gateway, tests::OFFLINE_AGENT).await;
    agent.heard().await;
    drop(agent);
    scene.assert_over().await;
}
