use proto::{agent_frame::Frame, limits, tunnel_close::Reason};
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

use super::scene::{OK, Scene, fields, get, upload, within};

#[tokio::test]
async fn chunks_are_passed_on_as_they_come() {
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(None));
    let mut peer = scene.accept().await;
    peer.head().await;
    for chunk in ["ab", "c"] {
        scene.data(id, chunk, false);
        peer.expect(&format!("{}\r\n{chunk}\r\n", chunk.len())).await;
    }
    scene.data(id, "", true);
    peer.expect("0\r\n\r\n").await;
    peer.write(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
    scene.exchange(&mut peer, get(), OK).await;
}

#[tokio::test]
async fn trailers_are_passed_on_behind_a_chunked_body() {
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(None));
    scene.data(id, "ab", false);
    scene.close(id, Reason::Done, fields(&[("x-sum", b"1"), ("x-sum", b"2")]));
    let mut peer = scene.accept().await;
    peer.head().await;
    peer.expect("2\r\nab\r\n0\r\nx-sum: 1\r\nx-sum: 2\r\n\r\n").await;
}

#[tokio::test]
async fn a_body_of_known_length_is_sent_bare() {
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(Some(5)));
    let mut peer = scene.accept().await;
    peer.head().await;
    scene.data(id, "abc", false);
    peer.expect("abc").await;
    scene.data(id, "de", true);
    peer.expect("de").await;
    peer.write(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
    scene.exchange(&mut peer, get(), OK).await;
}

#[tokio::test]
async fn a_body_of_another_length_than_declared_is_cut() {
    for (chunk, end) in [("ab", true), ("abcd", false)] {
        let mut scene = Scene::new().await;
        let id = scene.ask(upload(Some(3)));
        let mut peer = scene.accept().await;
        peer.head().await;
        scene.data(id, chunk, end);
        assert_eq!(scene.aborted(id).await, Reason::Protocol);
        let sent = peer.closed().await;
        assert!(sent.len() < 3, "{sent:?}");
    }
}

#[tokio::test]
async fn a_large_body_arrives_whole_and_its_credit_is_given_back() {
    const SIZE: usize = 1_000_000;
    let body: Vec<u8> = (0..SIZE).map(|i| (i * 7 % 251) as u8).collect();
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(Some(SIZE as u64)));
    let mut peer = scene.accept().await;
    peer.head().await;
    let reader = tokio::spawn(async move {
        let mut received = vec![0; SIZE];
        within(peer.0.read_exact(&mut received)).await.unwrap();
        peer.write(OK).await;
        (received, peer)
    });
    send(&mut scene, id, &body).await;
    let (received, _peer) = reader.await.unwrap();
    assert!(received == body);
    assert_eq!(scene.response(id).await.body, b"ok");
}

/// Sends a body as credit allows.
async fn send(scene: &mut Scene, id: Uuid, mut body: &[u8]) {
    let mut credit = limits::INITIAL_WINDOW as usize;
    while !body.is_empty() {
        let (chunk, rest) = body.split_at(credit.min(limits::MAX_CHUNK).min(body.len()));
        if chunk.is_empty() {
            credit += scene.granted(id).await;
        } else {
            scene.data(id, chunk.to_vec(), rest.is_empty());
            (body, credit) = (rest, credit - chunk.len());
        }
    }
}

#[tokio::test]
async fn a_slow_service_slows_its_client_down() {
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(None));
    let mut peer = scene.accept().await;
    peer.head().await;
    let endless = vec![b'x'; 256 << 20];
    tokio::select! {
        () = send(&mut scene, id, &endless) => panic!("nobody reads it"),
        () = quiet() => {}
    }
    scene.close(id, Reason::Cancelled, Vec::new());
    peer.closed().await;
}

/// Lets everything happen that can happen now.
async fn quiet() {
    for _ in 0..100_000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_early_response_ends_the_upload() {
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(None));
    let mut peer = scene.accept().await;
    peer.answer(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
    scene.stopped(id).await;
    peer.closed().await;
}

#[tokio::test]
async fn a_service_may_answer_while_it_still_reads() {
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(None));
    let mut peer = scene.accept().await;
    peer.answer("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
    assert_eq!(scene.head(id).await.status, 200);
    for word in ["ping", "pong"] {
        scene.data(id, word, false);
        peer.expect(&format!("4\r\n{word}\r\n")).await;
        peer.write(&format!("4\r\n{word}\r\n")).await;
        match scene.frame(id).await {
            Frame::Data(data) => assert_eq!(data.chunk, word),
            other => panic!("{other:?}"),
        }
    }
    scene.data(id, "", true);
    peer.expect("0\r\n\r\n").await;
    peer.write("0\r\n\r\n").await;
    match scene.frame(id).await {
        Frame::Data(data) => assert!(data.end_stream),
        other => panic!("{other:?}"),
    }
    scene.exchange(&mut peer, get(), OK).await;
}

#[tokio::test]
async fn an_answer_before_the_connection_is_closed_is_passed_on() {
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(None));
    let mut peer = scene.accept().await;
    peer.answer("HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 2\r\n\r\nno").await;
    assert_eq!(scene.response(id).await.head.status, 413);
    scene.stopped(id).await;
}

#[tokio::test]
async fn a_request_that_breaks_off_closes_the_connection() {
    let mut scene = Scene::new().await;
    let id = scene.ask(upload(None));
    scene.data(id, "ab", false);
    let mut peer = scene.accept().await;
    peer.head().await;
    peer.expect("2\r\nab\r\n").await;
    scene.close(id, Reason::Cancelled, Vec::new());
    assert_eq!(peer.closed().await, b"", "never a clean end");
    let (status, error) = scene.over_with().await;
    assert_eq!(status, None);
    assert!(error.unwrap().contains("CANCELLED"));
}
