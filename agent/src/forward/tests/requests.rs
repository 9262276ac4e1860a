use proto::{TunnelRequest, tunnel_close::Reason};

use super::scene::{OK, Scene, fields, get, post, request, upload};

/// What the service gets, but for the id, which is different every time.
async fn written(request: TunnelRequest) -> String {
    let mut scene = Scene::new().await;
    let id = scene.ask(request);
    let mut peer = scene.accept().await;
    let head = peer.head().await;
    peer.write(OK).await;
    scene.head(id).await;
    let line = format!("x-request-id: {id}\r\n");
    assert!(head.contains(&line), "{head}");
    head.replace(&line, "")
}

#[tokio::test]
async fn a_request_is_written_as_it_came() {
    let headers = fields(&[
        ("x-many", b"c"),
        ("accept", b"*/*"),
        ("x-many", b"a, b"),
        ("x-empty", b""),
        ("x-tab", b"a\tb"),
    ]);
    assert_eq!(
        written(TunnelRequest { headers, ..get() }).await,
        "GET /a?b HTTP/1.1\r\nhost: local\r\nx-many: c\r\naccept: */*\r\nx-many: a, b\r\nx-empty: \r\n\
         x-tab: a\tb\r\n\r\n"
    );
}

#[tokio::test]
async fn octets_beyond_ascii_survive() {
    let headers = fields(&[("x-odd", b"caf\xe9")]);
    let path = "/caf\u{e9}%20?\u{e9}".into();
    let head = written(TunnelRequest { headers, path, ..get() }).await;
    assert!(head.starts_with("GET /caf\u{e9}%20?\u{e9} HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("x-odd: caf\u{fffd}\r\n"), "{head}");
}

#[tokio::test]
async fn the_length_that_was_declared_is_the_length_that_is_sent() {
    for (request, framing) in [
        (get(), ""),
        (request("HEAD"), ""),
        (request("POST"), ""),
        (TunnelRequest { content_length: Some(0), ..request("POST") }, "content-length: 0\r\n"),
        (post("four"), "content-length: 4\r\n"),
        (TunnelRequest { content_length: None, ..post("four") }, "content-length: 4\r\n"),
        (upload(Some(9)), "content-length: 9\r\n"),
        (upload(None), "transfer-encoding: chunked\r\n"),
        (
            TunnelRequest { headers: fields(&[("content-length", b"4")]), ..post("four") },
            "content-length: 4\r\n",
        ),
    ] {
        let head = written(request).await;
        let sent: String = head
            .split_inclusive("\r\n")
            .filter(|line| line.contains("-length") || line.contains("-encoding"))
            .collect();
        assert_eq!(sent, framing, "{head}");
    }
}

#[tokio::test]
async fn a_whole_body_leaves_with_its_head() {
    let mut scene = Scene::new().await;
    let id = scene.ask(post("the whole"));
    let mut peer = scene.accept().await;
    peer.head().await;
    peer.expect("the whole").await;
    peer.write(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
}

#[tokio::test]
async fn fields_of_this_hop_are_ours() {
    let headers = fields(&[
        ("connection", b"keep-alive, x-private"),
        ("x-private", b"1"),
        ("keep-alive", b"timeout=5"),
        ("transfer-encoding", b"chunked"),
        ("upgrade", b"h2c"),
        ("host", b"elsewhere"),
        ("x-request-id", b"forged"),
        ("expect", b"100-continue"),
        ("te", b"gzip, trailers"),
        ("x-public", b"2"),
    ]);
    assert_eq!(
        written(TunnelRequest { headers, ..get() }).await,
        "GET /a?b HTTP/1.1\r\nhost: local\r\nx-public: 2\r\nte: trailers\r\nconnection: te\r\n\r\n"
    );
}

#[tokio::test]
async fn the_service_is_told_who_the_client_is() {
    let request = TunnelRequest {
        client_addr: "192.0.2.7:4711".to_owned(),
        scheme: "https".to_owned(),
        headers: fields(&[("x-forwarded-for", b"203.0.113.9")]),
        ..get()
    };
    let head = written(request).await;
    for line in [
        "x-forwarded-for: 203.0.113.9, 192.0.2.7",
        "forwarded: for=192.0.2.7;host=\"local\";proto=https",
        "x-forwarded-proto: https",
        "x-forwarded-host: local",
    ] {
        assert!(head.lines().any(|other| other == line), "{line} is not in\n{head}");
    }
}

#[tokio::test]
async fn what_no_client_can_send_is_not_passed_on() {
    let mut scene = Scene::new().await;
    let fielded = |name, value| TunnelRequest { headers: fields(&[(name, value)]), ..get() };
    for request in [
        request("GE T"),
        request(""),
        TunnelRequest { path: "".into(), ..get() },
        TunnelRequest { path: "a".into(), ..get() },
        TunnelRequest { path: "http://local/".into(), ..get() },
        TunnelRequest { path: "/a b".into(), ..get() },
        TunnelRequest { path: "/a\r\nx: y".into(), ..get() },
        TunnelRequest { path: "**".into(), ..get() },
        TunnelRequest { authority: "local\r\nx: y".into(), ..get() },
        TunnelRequest { authority: "local\";for=\"1".into(), ..get() },
        TunnelRequest { scheme: "ht tp".into(), ..get() },
        TunnelRequest { upgrade: "a\nb".into(), ..get() },
        TunnelRequest { content_length: Some(3), ..post("four") },
        TunnelRequest { content_length: Some(5), ..post("four") },
        fielded("a b", b""),
        fielded("a", b"b\r\nc: d"),
        fielded("content-length", b"4, 5"),
    ] {
        let id = scene.ask(request.clone());
        assert_eq!(scene.aborted(id).await, Reason::Protocol, "{request:?}");
    }
    assert_eq!(scene.over_with().await.0, Some(502));
}

#[tokio::test]
async fn a_server_wide_request_has_an_asterisk() {
    let head = written(TunnelRequest { path: "*".into(), ..request("OPTIONS") }).await;
    assert!(head.starts_with("OPTIONS * HTTP/1.1\r\n"), "{head}");
}
