use proto::{HttpVersion, TunnelRequest, TunnelResponse, agent_frame::Frame, limits, tunnel_close::Reason};
use tokio::io::AsyncWriteExt as _;

use super::scene::{OK, Scene, fields, get, request};

/// The head that the gateway gets for an answer.
async fn head(method: &'static str, answer: &str) -> TunnelResponse {
    let mut scene = Scene::new().await;
    let id = scene.ask(request(method));
    let mut peer = scene.accept().await;
    peer.answer(answer).await;
    scene.head(id).await
}

/// How an exchange is aborted that gets this answer, after which the service closes.
async fn refused(answer: &str) -> Reason {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    peer.head().await;
    // The agent may hang up in the middle of it.
    let _ = peer.0.write_all(answer.as_bytes()).await;
    let reason = scene.aborted(id).await;
    peer.closed().await;
    assert_eq!(scene.over_with().await.0, Some(502));
    reason
}

#[tokio::test]
async fn a_small_response_is_one_frame() {
    for answer in [
        OK,
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\ncontent-length: 2\n\nok",
    ] {
        let head = head("GET", answer).await;
        assert_eq!((head.status, &head.body[..], head.end_stream), (200, &b"ok"[..], true), "{answer}");
    }
}

#[tokio::test]
async fn a_head_comes_as_it_was_sent() {
    let answer = "HTTP/1.1 299 Quite Well\r\nX-Many: c\r\nset-cookie: z=1\r\nx-many: a,b\r\nset-cookie: a\r\nconnection: x-hop\r\n\
        x-hop: 1\r\nkeep-alive: timeout=9\r\ncontent-length: 0\r\n\r\n";
    let head = head("GET", answer).await;
    let expected = [("x-many", &b"c"[..]), ("set-cookie", b"z=1"), ("x-many", b"a,b"), ("set-cookie", b"a")];
    assert_eq!(head.headers, fields(&expected));
    assert_eq!((head.status, head.reason.as_str(), head.content_length), (299, "Quite Well", Some(0)));
    assert_eq!(head.version(), HttpVersion::HttpVersion11);
}

#[tokio::test]
async fn a_usual_reason_is_not_carried_and_an_endless_one_neither() {
    let long = format!("HTTP/1.1 200 {}\r\ncontent-length: 0\r\n\r\n", "x".repeat(300));
    for (answer, reason) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        ("HTTP/1.1 200 \r\ncontent-length: 0\r\n\r\n", ""),
        ("HTTP/1.1 200 Okay\r\ncontent-length: 0\r\n\r\n", "Okay"),
        (&long, ""),
    ] {
        assert_eq!(head("GET", answer).await.reason, reason);
    }
}

#[tokio::test]
async fn the_length_of_a_body_that_is_not_sent_is_told() {
    for (method, answer, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", Some(9)),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n", Some(9)),
        ("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", None),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", None),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0, 0\r\n\r\n", Some(0)),
    ] {
        let head = head(method, answer).await;
        assert_eq!((head.content_length, head.body.len(), head.end_stream), (length, 0, true), "{answer}");
        assert!(head.headers.is_empty(), "{answer}");
    }
}

#[tokio::test]
async fn a_response_may_come_byte_by_byte() {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    peer.0.set_nodelay(true).unwrap();
    peer.head().await;
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nT: 1\r\n\r\n";
    for byte in answer.as_bytes() {
        peer.0.write_all(&[*byte]).await.unwrap();
        tokio::task::yield_now().await;
    }
    let response = scene.response(id).await;
    assert_eq!((response.body, response.trailers), (b"ok".to_vec(), fields(&[("t", b"1")])));
}

#[tokio::test]
async fn a_head_does_not_wait_for_its_body_nor_an_event_for_the_next() {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    peer.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let head = scene.head(id).await;
    assert_eq!((head.body.len(), head.end_stream, head.content_length), (0, false, None));
    for event in ["one", "two"] {
        peer.write(&format!("3\r\n{event}\r\n")).await;
        match scene.frame(id).await {
            Frame::Data(data) => assert_eq!((&data.chunk[..], data.end_stream), (event.as_bytes(), false)),
            other => panic!("{other:?}"),
        }
    }
    peer.write("0\r\n\r\n").await;
    assert_eq!(scene.rest(id, TunnelResponse::default()).await.body, b"");
}

#[tokio::test]
async fn pieces_that_come_together_travel_together() {
    let head =
        head("GET", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n1\r")
            .await;
    assert_eq!((&head.body[..], head.end_stream), (&b"abc"[..], false));
}

#[tokio::test]
async fn a_large_body_comes_whole_in_whole_frames() {
    const SIZE: usize = 300_000;
    let body: Vec<u8> = (0..SIZE).map(|i| (i * 7 % 251) as u8).collect();
    let mut chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec();
    for chunk in body.chunks(10_007) {
        chunked.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        chunked.extend_from_slice(chunk);
        chunked.extend_from_slice(b"\r\n");
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let plain = [format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n").as_bytes(), &body].concat();
    for answer in [plain, chunked] {
        let mut scene = Scene::new().await;
        let id = scene.ask(TunnelRequest { window: 1 << 20, ..get() });
        let mut peer = scene.accept().await;
        peer.head().await;
        tokio::spawn(async move { peer.0.write_all(&answer).await });
        let response = scene.response(id).await;
        assert!(response.body == body);
        assert!(response.head.body.len() <= limits::MAX_CHUNK);
    }
}

#[tokio::test]
async fn no_more_is_sent_than_the_gateway_grants() {
    const SIZE: usize = 200_000;
    let mut scene = Scene::with_window(10_000).await;
    let id = scene.ask(TunnelRequest { window: 5_000, ..get() });
    let mut peer = scene.accept().await;
    peer.answer(&format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n")).await;
    tokio::spawn(async move {
        peer.write(&"x".repeat(SIZE)).await;
        peer // not closed before it was read
    });
    let head = scene.head(id).await;
    let (mut received, mut granted) = (head.body.len(), 15_000);
    while received < SIZE {
        while received < granted {
            match scene.frame(id).await {
                Frame::Data(data) => received += data.chunk.len(),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(received, granted);
        assert!(scene.is_silent().await);
        granted = SIZE.min(granted + 40_000);
        scene.grant(id, 40_000);
    }
}

#[tokio::test]
async fn trailers_follow_and_what_they_must_not_say_is_left_out() {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    let answer = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: grpc-status\r\n\r\n2\r\nok\r\n0\r\n\
        grpc-status: 0\r\ncontent-length: 9\r\n\r\n";
    peer.answer(answer).await;
    let response = scene.response(id).await;
    assert_eq!(response.head.headers, fields(&[("trailer", b"grpc-status")]));
    assert_eq!((response.body, response.trailers), (b"ok".to_vec(), fields(&[("grpc-status", b"0")])));
}

#[tokio::test]
async fn the_largest_head_that_is_passed_on_is_read() {
    let value = "x".repeat(limits::MAX_HEAD_BYTES / 100 - 1);
    let answer = format!("HTTP/1.1 204 No Content\r\n{}\r\n", format!("h: {value}\r\n").repeat(100));
    assert_eq!(head("GET", &answer).await.headers.len(), 100);
}

#[tokio::test]
async fn a_head_beyond_the_limits_is_too_large() {
    let long = format!("HTTP/1.1 200 OK\r\nlong: {}\r\n\r\n", "x".repeat(160 * 1024));
    let longer = format!("HTTP/1.1 200 OK\r\nlong: {}\r\n\r\n", "x".repeat(limits::MAX_HEAD_BYTES));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "x: y\r\n".repeat(101));
    for answer in [&long, &longer, &many] {
        assert_eq!(refused(answer).await, Reason::TooLarge, "{answer:.40}");
    }
}

#[tokio::test]
async fn what_is_not_http_is_no_answer() {
    for answer in [
        "SSH-2.0-OpenSSH_9.6\r\n\r\n",
        "HTTP/1.1 2xx No\r\n\r\n",
        "HTTP/1.1 600 Beyond\r\ncontent-length: 0\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\na b: c\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1, 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n",
    ] {
        assert_eq!(refused(answer).await, Reason::UpstreamReset, "{answer}");
    }
}

#[tokio::test]
async fn a_cut_body_is_aborted_and_never_ends_cleanly() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\n",
    ] {
        let mut scene = Scene::new().await;
        let id = scene.ask(get());
        let mut peer = scene.accept().await;
        peer.answer(answer).await;
        assert!(!scene.head(id).await.end_stream);
        drop(peer);
        assert_eq!(scene.aborted(id).await, Reason::UpstreamReset, "{answer}");
        assert_eq!(scene.over_with().await.0, Some(200), "the client has seen it");
    }
}

#[tokio::test]
async fn a_reset_is_no_end_even_where_a_closed_connection_is_one() {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    peer.answer("HTTP/1.1 200 OK\r\n\r\nabcd").await;
    scene.head(id).await;
    peer.0.set_zero_linger().unwrap();
    drop(peer);
    assert_eq!(scene.aborted(id).await, Reason::UpstreamReset);
}

#[tokio::test]
async fn a_service_that_closes_without_answer_has_reset() {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    scene.accept().await.head().await;
    assert_eq!(scene.aborted(id).await, Reason::UpstreamReset);
    let error = scene.over_with().await.1.unwrap();
    assert!(error.starts_with("the local service broke off ("), "{error}");
}
