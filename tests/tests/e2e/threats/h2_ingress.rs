//! Rows 2a to 2i on the public port: HTTP/2 with prior knowledge.

use std::time::Duration;

use bytes::Bytes;
use proto::tunnel_close::Reason;
use tests::{
    eventually, frames,
    h2::{
        Fate, H2, PREFACE, frame,
        frame::{END_HEADERS, END_STREAM},
        get, hpack, post,
    },
    over_every_transport,
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
    h2h_a_client_that_takes_no_response,
    h2h_a_response_that_is_not_taken_does_not_end_others,
    h2h_a_connection_on_which_nothing_is_asked,
    h2h_a_client_that_sends_no_body,
    h2h_an_upload_that_nobody_needs,
    h2i_windows_that_overflow,
    h2i_more_data_than_the_window,
    h2i_frames_that_are_too_large,
    h2i_prefaces_that_are_none,
];

async fn h2a_rapid_resets(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let host = host_of(OTHER_AGENT);
    let mut client = scene.h2().await;
    client.send(many(2000, |id| vec![get(id, &host), frame::reset(id, frame::CANCEL)])).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.assert_over().await;
}

async fn h2b_resets_that_the_server_is_made_to_send(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let host = host_of(OTHER_AGENT);
    let overflow = |id| vec![get(id, &host), frame::window_update(id, 0x7fff_ffff)];
    let late = |id| vec![get(id, &host), frame::data(id, "behind the end")];
    let no_increment = |id| vec![get(id, &host), frame::window_update(id, 0)];
    let malformed = |id| {
        let block = hpack::block(&[(":method", "GET"), (":scheme", "http"), (":path", "/"), ("te", "gzip")]);
        vec![frame::headers(id, END_HEADERS | END_STREAM, block)]
    };
    for attack in [many(500, overflow), many(500, late), many(500, no_increment), many(500, malformed)] {
        let mut client = scene.h2().await;
        client.send(attack).await;
        let code = client.gone().await;
        assert!(matches!(code, Some(frame::ENHANCE_YOUR_CALM | frame::PROTOCOL_ERROR)), "{code:?}");
    }
    scene.assert_over().await;
}

async fn h2c_continuations_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    h2_attacks::continuations_without_end(async || scene.h2().await, 10_000).await;
    scene.assert_over().await;
}

/// The fields of a GET for the decent agent, and no frame around them.
fn get_block() -> Vec<u8> {
    let host = host_of(AGENT);
    hpack::block(&[(":method", "GET"), (":scheme", "http"), (":authority", &*host), (":path", "/")])
}

async fn h2d_a_small_block_that_unpacks_to_a_large_one(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = scene.h2().await;
    let bomb = [get_block(), hpack::indexed("x", &"v".repeat(4000)), vec![0xbe; 12_000]].concat();
    client.send(frame::headers(1, END_HEADERS | END_STREAM, bomb)).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.assert_over().await;
}

async fn h2d_a_header_list_over_the_limit(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = scene.h2().await;
    let large = [get_block(), hpack::indexed("x", &"v".repeat(4000)), vec![0xbe; 20]].concat();
    client.send(frame::headers(1, END_HEADERS | END_STREAM, large)).await;
    assert_eq!(client.fate(1).await, Fate::Status(431));
    let many = [get_block(), hpack::block(&[("x", "y"); 101])].concat();
    client.send(frame::headers(3, END_HEADERS | END_STREAM, many)).await;
    assert_eq!(client.fate(3).await, Fate::Status(431));
    // That was theirs alone.
    client.send(frame::headers(5, END_HEADERS | END_STREAM, get_block())).await;
    assert_eq!(client.fate(5).await, Fate::Status(200));
    scene.assert_over().await;
}

async fn h2e_floods_of_frames_that_cost_nothing_to_send(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let host = host_of(AGENT);
    for flood in [
        frame::ping(*b"flooding"),
        frame::settings(&[(frame::INITIAL_WINDOW_SIZE, 65_535)]),
        frame::settings(&[]),
        frame::any(frame::PRIORITY, 0, 99, [0, 0, 0, 0, 7]),
        frame::any(0x7f, 0xff, 99, "a kind that nobody knows"),
        frame::window_update(0, 1),
    ] {
        let mut client = scene.h2().await;
        client.send(flood.repeat(20_000)).await;
        client.send(get(1, &host)).await;
        assert_eq!(client.fate(1).await, Fate::Status(200), "{flood:x}");
    }
    scene.assert_over().await;
}

async fn h2f_streams_beyond_the_limit(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let host = host_of(OTHER_AGENT);
    let mut client = scene.h2().await;
    client.send(many(240, |id| vec![post(id, &host)])).await;
    for index in 200..240 {
        assert_eq!(client.fate(stream(index)).await, Fate::Reset(frame::REFUSED_STREAM), "{index}");
    }
    let gateway = &scene.gateway;
    eventually("the others are in progress", async || gateway.metrics().await.in_flight() == 200).await;
    scene.assert_others_unharmed().await;
    // Whoever goes on loses the connection and all that is on it.
    client.send((240..1000).flat_map(|index| post(stream(index), &host)).collect::<Vec<u8>>()).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.assert_over().await;
}

async fn h2g_empty_data_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = scene.h2().await;
    client.send(post(1, &host_of(OTHER_AGENT))).await;
    client.send(frame::data(1, "").repeat(100_000)).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.assert_over().await;
}

async fn h2g_tiny_data_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = scene.h2().await;
    client.send(post(1, &host_of(OTHER_AGENT))).await;
    let id = scene.silent.request().await.id;
    // More than the agent's credit, so that at some point nobody reads.
    client.send(frame::data(1, "x").repeat(600_000)).await;
    assert_eq!(client.gone().await, Some(frame::ENHANCE_YOUR_CALM));
    scene.silent.close_of(&id).await;
    scene.assert_over().await;
}

/// A client whose windows are shut, and which has asked the silent agent.
async fn takes_nothing(scene: &mut Scene) -> (H2, Bytes) {
    let mut client = H2::connect_with(scene.gateway.http(), &[(frame::INITIAL_WINDOW_SIZE, 0)]).await;
    client.send(get(1, &host_of(OTHER_AGENT))).await;
    let id = scene.silent.request().await.id;
    scene.silent.send(frames::head(&id));
    for _ in 0..8 {
        scene.silent.send(frames::data(&id, vec![b'x'; 16 * 1024]));
    }
    assert_eq!(client.fate(1).await, Fate::Status(200));
    (client, id)
}

/// Answers every PING, as whoever wants to stay does, until the connection is over.
async fn stays(client: &mut H2) {
    while let Some(frame) = client.frame().await {
        if frame.kind == frame::PING && frame.flags & frame::ACK == 0 {
            client.send(frame::any(frame::PING, frame::ACK, 0, &frame.payload)).await;
        }
    }
}

async fn h2h_a_client_that_takes_no_response(transport: Transport) {
    let mut scene =
        Scene::with(transport, |limits| limits.terms.idle_timeout = Duration::from_millis(300)).await;
    let (mut client, id) = takes_nothing(&mut scene).await;
    // The exchange and the connection run out of patience at about the same time.
    assert!(matches!(scene.silent.close_of(&id).await, Reason::Timeout | Reason::Cancelled));
    stays(&mut client).await;
    scene.assert_over().await;
    // What the gateway says itself must be taken as well.
    let mut client = H2::connect_with(scene.gateway.http(), &[(frame::INITIAL_WINDOW_SIZE, 0)]).await;
    client.send(get(1, "nobody.tunnel.test")).await;
    assert_eq!(client.fate(1).await, Fate::Status(404));
    stays(&mut client).await;
    scene.assert_over().await;
}

async fn h2h_a_response_that_is_not_taken_does_not_end_others(transport: Transport) {
    let mut scene = Scene::with(transport, |limits| limits.terms.idle_timeout = Duration::from_secs(1)).await;
    let (mut client, _stalled) = takes_nothing(&mut scene).await;
    let windows = [0, 3].map(|stream| frame::window_update(stream, 1 << 28)).concat();
    client.send([&get(3, &host_of(OTHER_AGENT)), &windows[..]].concat()).await;
    let moving = scene.silent.request().await.id;
    scene.silent.send(frames::head(&moving));
    assert_eq!(client.fate(3).await, Fate::Status(200));
    let moves = async {
        loop {
            scene.silent.send(frames::data(&moving, "still here"));
            assert_eq!(client.settled().await.map(drop), Some(()));
        }
    };
    let gateway = &scene.gateway;
    let looks = async {
        // Later strangers come and go, each at the end of the patience.
        for _ in 0..2 {
            let mut other = H2::connect_with(gateway.http(), &[(frame::INITIAL_WINDOW_SIZE, 0)]).await;
            other.send(get(1, "nobody.tunnel.test")).await;
            stays(&mut other).await;
        }
    };
    tokio::select! {
        () = moves => {}
        () = looks => {}
    }
    scene.silent.send(frames::last_data(&moving, "the end"));
    assert!(client.body(3).await.unwrap().ends_with(b"the end"));
    drop(client);
    scene.assert_over().await;
}

async fn h2h_a_connection_on_which_nothing_is_asked(transport: Transport) {
    let mut scene =
        Scene::with(transport, |limits| limits.keep_alive_timeout = Duration::from_millis(300)).await;
    let mut client = scene.h2().await;
    client.send(get(1, &host_of(AGENT))).await;
    assert_eq!(client.fate(1).await, Fate::Status(200));
    stays(&mut client).await;
    // The farewell of one that answers nothing is not waited for.
    let mut deaf = scene.h2().await;
    assert_eq!(deaf.gone().await, Some(frame::NO_ERROR));
    scene.bystander = scene.gateway.client().await;
    scene.assert_over().await;
}

async fn h2h_a_client_that_sends_no_body(transport: Transport) {
    let mut scene = Scene::with(transport, |limits| {
        limits.response_timeout = Duration::from_secs(1);
        limits.terms.idle_timeout = Duration::from_secs(1);
    })
    .await;
    let mut client = scene.h2().await;
    client.send([post(1, &host_of(OTHER_AGENT)), frame::data(1, "the beginning")].concat()).await;
    let id = scene.silent.request().await.id;
    assert_eq!(client.fate(1).await, Fate::Status(504));
    scene.silent.close_of(&id).await;
    scene.assert_over().await;
}

async fn h2h_an_upload_that_nobody_needs(transport: Transport) {
    const ALWAYS: usize = 64 * 1024;
    const PIECE: usize = 16 * 1024;
    const INITIAL_WINDOW: usize = 65_535; // until SETTINGS are acknowledged, which this client never does
    let mut scene = Scene::new(transport).await;
    let mut client = scene.h2().await;
    let nobody = host_of("nobody");
    let resets = |frames: &[frame::Frame]| frames.iter().any(|frame| frame.kind == frame::RST_STREAM);

    // A client that is still sending sees its answer and no reset, which it might take for the end of everything.
    client.send(post(1, &nobody)).await;
    assert_eq!(client.fate(1).await, Fate::Status(404));
    client.body(1).await.unwrap();
    client.send([frame::data(1, "more "), frame::last_data(1, "and the end")].concat()).await;
    assert!(!resets(&client.settled().await.unwrap()));

    // One that does not end has a second, and no more credit than for what is always read.
    client.send(post(3, &nobody)).await;
    assert_eq!(client.fate(3).await, Fate::Status(404));
    client.body(3).await.unwrap();
    let (mut room, mut sent) = (INITIAL_WINDOW, 0);
    loop {
        while room >= PIECE {
            client.send(frame::data(3, vec![b'x'; PIECE])).await;
            (room, sent) = (room - PIECE, sent + PIECE);
        }
        let frame = client.frame().await.unwrap();
        match frame.kind {
            frame::WINDOW_UPDATE if frame.stream == 3 => room += frame.code() as usize,
            frame::RST_STREAM => break assert_eq!((frame.stream, frame.code()), (3, frame::NO_ERROR)),
            _ => {}
        }
    }
    assert!(sent <= INITIAL_WINDOW + ALWAYS + PIECE, "{sent} bytes were taken");
    scene.assert_over().await;
}

async fn h2i_windows_that_overflow(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    h2_attacks::windows_that_overflow(async || scene.h2().await, get(1, &host_of(OTHER_AGENT))).await;
    scene.assert_over().await;
}

async fn h2i_more_data_than_the_window(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let mut client = scene.h2().await;
    client.send(post(1, &host_of(OTHER_AGENT))).await;
    let id = scene.silent.request().await.id;
    client.send(frame::data(1, vec![b'x'; 16 * 1024]).repeat(1024)).await;
    let fate = client.fate(1).await;
    let is_flow_control =
        matches!(fate, Fate::Reset(frame::FLOW_CONTROL_ERROR) | Fate::GoAway(frame::FLOW_CONTROL_ERROR));
    assert!(is_flow_control, "{fate:?}");
    scene.silent.close_of(&id).await;
    drop(client);
    scene.assert_over().await;
}

async fn h2i_frames_that_are_too_large(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    h2_attacks::frames_that_are_too_large(async || scene.h2().await).await;
    scene.assert_over().await;
}

async fn h2i_prefaces_that_are_none(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for preface in ["PRI * HTTP/2.0\r\n\r\nSN\r\n\r\n", "PRI * HTTP/2.0\r\nhost: myapp.tunnel.test\r\n\r\n"] {
        let mut client = scene.gateway.client().await;
        client.send(preface).await;
        let head = client.reader.head().await;
        let code = head.value("indranet-error");
        assert_eq!((head.status(), code), (400, Some("unsupported_version")), "{preface:?}");
    }
    let first = [
        frame::data(0, "to nobody"),
        frame::data(1, "of nothing"),
        frame::any(frame::CONTINUATION, END_HEADERS, 1, ""),
        frame::reset(1, frame::CANCEL),
        get(2, &host_of(AGENT)),
    ];
    for first in first {
        let mut client = H2::raw(scene.gateway.http()).await;
        client.send([PREFACE, &first].concat()).await;
        assert_eq!(client.gone().await, Some(frame::PROTOCOL_ERROR), "{first:x}");
    }
    scene.assert_over().await;
}
