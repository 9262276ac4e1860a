use std::time::Duration;

use proto::{TunnelRequest, limits, tunnel_close::Reason};
use tokio::{io::AsyncWriteExt as _, net::TcpListener};

use super::scene::{OK, Peer, Scene, get, post, request, upload};
use crate::Upstream;

/// Lets everything happen that can happen now.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn one_connection_serves_every_kind_of_complete_response() {
    let mut scene = Scene::new().await;
    let mut peer = scene.warm().await;
    for (method, answer, body) in [
        ("GET", OK, "ok"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", ""),
        ("GET", "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", ""),
        ("HEAD", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", ""),
        ("GET", "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 1\r\n\r\nx", "x"),
        (
            "GET",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: t\r\n\r\n3\r\nabc\r\n0\r\nt: 1\r\n\r\n",
            "abc",
        ),
        ("GET", OK, "ok"),
    ] {
        let response = scene.exchange(&mut peer, request(method), answer).await;
        assert_eq!(response.body, body.as_bytes(), "{answer}");
    }
}

#[tokio::test]
async fn a_connection_that_ends_with_its_response_is_not_used_again() {
    for answer in [
        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n",
    ] {
        let mut scene = Scene::new().await;
        let mut peer = scene.warm().await;
        assert_eq!(scene.exchange(&mut peer, get(), answer).await.body, b"ok");
        peer.closed().await;
        scene.warm().await;
    }
}

#[tokio::test]
async fn a_body_may_end_with_its_connection() {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    peer.answer("HTTP/1.1 200 OK\r\n\r\nall of").await;
    peer.write(" it").await;
    drop(peer);
    assert_eq!(scene.response(id).await.body, b"all of it");
}

#[tokio::test]
async fn an_idle_connection_that_the_service_closes_is_let_go() {
    let mut scene = Scene::new().await;
    let mut peer = scene.warm().await;
    peer.0.shutdown().await.unwrap();
    settle().await;
    let mut fresh = scene.warm().await;
    peer.closed().await;
    scene.exchange(&mut fresh, get(), OK).await;
}

#[tokio::test]
async fn a_service_that_speaks_unasked_is_not_understood() {
    let mut scene = Scene::new().await;
    let mut peer = scene.warm().await;
    peer.write("HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n").await;
    settle().await;
    scene.warm().await;
    peer.closed().await;
}

#[tokio::test]
async fn what_the_service_closes_is_closed_without_another_request() {
    let mut scene = Scene::new().await;
    let mut peer = scene.warm().await;
    peer.0.shutdown().await.unwrap();
    settle().await;
    tokio::time::pause();
    // Only the sweeper can do that: nobody asks.
    peer.closed().await;
}

#[tokio::test]
async fn a_safe_request_on_a_stale_connection_is_sent_once_more() {
    for body in ["", "with a body"] {
        let mut scene = Scene::new().await;
        let mut stale = scene.warm().await;
        let request = TunnelRequest { method: "OPTIONS".into(), ..post(body) };
        let id = scene.ask(request);
        let first = stale.head().await;
        drop(stale);
        let mut fresh = scene.accept().await;
        assert_eq!(fresh.head().await, first);
        fresh.expect(body).await;
        fresh.write(OK).await;
        assert_eq!(scene.response(id).await.body, b"ok");
    }
}

#[tokio::test]
async fn a_safe_request_is_not_sent_a_third_time() {
    let mut scene = Scene::new().await;
    let mut stale = scene.warm().await;
    let id = scene.ask(get());
    stale.head().await;
    drop(stale);
    scene.accept().await.head().await;
    assert_eq!(scene.aborted(id).await, Reason::UpstreamReset);
}

#[tokio::test]
async fn a_safe_request_that_was_answered_in_part_is_not_sent_again() {
    let mut scene = Scene::new().await;
    let mut peer = scene.warm().await;
    let id = scene.ask(get());
    peer.answer("HTTP/1.1 2").await;
    drop(peer);
    assert_eq!(scene.aborted(id).await, Reason::UpstreamReset);
}

#[tokio::test]
async fn an_unsafe_request_that_was_written_is_never_sent_again() {
    let mut scene = Scene::new().await;
    for method in ["POST", "PUT", "DELETE", "PATCH"] {
        let mut stale = scene.warm().await;
        let id = scene.ask(request(method));
        stale.head().await;
        drop(stale);
        assert_eq!(scene.aborted(id).await, Reason::UpstreamReset, "{method}");
    }
}

#[tokio::test]
async fn a_request_whose_body_follows_is_never_sent_again() {
    let mut scene = Scene::new().await;
    let mut stale = scene.warm().await;
    let id = scene.ask(TunnelRequest { method: "GET".into(), ..upload(None) });
    stale.head().await;
    drop(stale);
    assert_eq!(scene.aborted(id).await, Reason::UpstreamReset);
}

#[tokio::test]
async fn a_request_that_was_not_written_goes_out_again_whatever_its_method() {
    let mut scene = Scene::new().await;
    let stale = scene.warm().await;
    // With a reset, and not a clean end, the very first write fails. That the service has closed is not known when the
    // connection is chosen: the runtime has not looked since.
    stale.0.set_zero_linger().unwrap();
    drop(stale);
    let id = scene.ask(upload(None));
    scene.data(id, "body", true);
    let mut fresh = scene.accept().await;
    assert!(fresh.head().await.starts_with("POST "));
    fresh.expect("4\r\nbody\r\n0\r\n\r\n").await;
    fresh.write(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_connection() {
    let mut scene = Scene::new().await;
    // While the head is waited for, in the middle of a body, and when the body waits for credit.
    for answer in [
        String::new(),
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart".to_owned(),
        format!("HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n{}", "x".repeat(200_000)),
    ] {
        let id = scene.ask(get());
        let mut peer = scene.accept().await;
        peer.answer(&answer).await;
        if !answer.is_empty() {
            scene.head(id).await;
        }
        settle().await;
        scene.close(id, Reason::Cancelled, Vec::new());
        peer.closed().await;
    }
    assert!(scene.over_with().await.1.unwrap().contains("CANCELLED"));
}

#[tokio::test]
async fn an_agent_that_goes_closes_what_is_idle() {
    let mut scene = Scene::new().await;
    let mut peer = scene.warm().await;
    drop(scene);
    peer.closed().await;
}

#[tokio::test]
async fn a_connection_does_not_wait_longer_than_its_time() {
    for (keep_alive, wait) in
        [("", 60), ("keep-alive: timeout=5\r\n", 4), ("keep-alive: max=9, timeout=900\r\n", 60)]
    {
        let mut scene = Scene::new().await;
        let mut old = scene.warm().await;
        let answer = format!("HTTP/1.1 200 OK\r\n{keep_alive}content-length: 0\r\n\r\n");
        scene.exchange(&mut old, get(), &answer).await;
        settle().await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(wait) - Duration::from_secs(1)).await;
        tokio::time::resume();
        scene.exchange(&mut old, get(), &answer).await;
        settle().await;
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(wait)).await;
        tokio::time::resume();
        scene.warm().await;
        old.closed().await;
    }
}

#[tokio::test]
async fn a_refused_connection_says_where_to_look() {
    let (mut scene, address) = Scene::new().await.hang_up();
    let id = scene.ask(get());
    assert_eq!(scene.aborted(id).await, Reason::UpstreamConnect);
    let (status, error) = scene.over_with().await;
    assert_eq!(status, Some(502));
    assert_eq!(error.unwrap(), format!("connect refused: is anything listening on {address} ?"));
}

#[tokio::test]
async fn a_name_without_address_is_a_connect_error() {
    // A label that no name server can be asked for, so that the test needs none.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = Upstream::http("x".repeat(64), 80);
    let mut scene = Scene::over(listener, upstream, limits::INITIAL_WINDOW);
    let id = scene.ask(get());
    assert_eq!(scene.aborted(id).await, Reason::UpstreamConnect);
}

#[tokio::test]
async fn every_address_of_a_name_is_tried() {
    for address in ["[::1]:0", "127.0.0.1:0"] {
        // Not every machine has IPv6, nor a localhost there.
        let Ok(listener) = TcpListener::bind(address).await else { continue };
        let ip = listener.local_addr().unwrap().ip();
        if !tokio::net::lookup_host("localhost:0").await.unwrap().any(|resolved| resolved.ip() == ip) {
            continue;
        }
        let upstream = Upstream::http("localhost", listener.local_addr().unwrap().port());
        Scene::over(listener, upstream, limits::INITIAL_WINDOW).warm().await;
    }
}

#[tokio::test]
async fn connections_are_as_many_as_requests_at_a_time() {
    let mut scene = Scene::new().await;
    let ids = [scene.ask(get()), scene.ask(get())];
    let mut peers: Vec<Peer> = vec![scene.accept().await, scene.accept().await];
    for peer in &mut peers {
        peer.answer(OK).await;
    }
    for id in ids {
        assert_eq!(scene.response(id).await.body, b"ok");
    }
}
