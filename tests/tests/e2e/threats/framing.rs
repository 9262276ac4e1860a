//! Rows H1 to H14: framing of HTTP/1. Strictly: what two readers could take for different requests is 400 and the end of
//! its connection, and no byte of it reaches a service.

use std::time::Duration;

use proto::{limits, tunnel_close::Reason};
use tests::{Head, Tunnel, Upstream, eventually, frames, over_every_transport};

use super::*;

over_every_transport![
    h1_a_length_beside_a_transfer_coding,
    h2_transfer_codings_that_somebody_takes_for_chunked,
    h3_a_transfer_coding_on_http_1_0,
    h4_lengths_that_are_not_one_number,
    h4_equal_lengths_become_one,
    h5_chunks_that_are_not,
    h5_chunks_that_go_wrong_in_the_middle,
    h6_chunk_extensions_without_end,
    h7_trailers_without_end,
    h8_fields_that_are_not,
    h9_bare_line_feeds,
    h10_request_lines_that_are_not,
    h10_request_targets_without_end,
    h11_heads_without_end,
    h11_half_a_head_is_not_waited_for,
    h12_an_upload_that_nobody_takes_is_not_read,
    h13_expectations_that_nobody_knows,
    h13_an_expectation_without_a_body,
    h13_a_body_that_is_announced_and_never_comes,
    names_in_connection_stay_on_their_hop_and_cannot_take_what_is_the_gateways,
    te_is_trailers_or_nothing,
    connect_is_refused_in_every_form,
    an_upgrade_to_http_2_is_neither_honoured_nor_forwarded,
];

/// What is hidden behind a request, for a reader who ends it too early.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\r\n";

/// Sends bytes, which the gateway must answer once and end the connection for. Returns status and code.
async fn refusal(scene: &Scene, bytes: impl AsRef<[u8]>) -> (u16, String) {
    let mut client = scene.gateway.client().await;
    // The gateway may have read enough before it has read all.
    let _ = client.writer.try_send(bytes).await;
    refusal_of(&mut client).await
}

async fn refusal_of(client: &mut Wire) -> (u16, String) {
    let head = client.reader.head().await;
    assert_eq!(head.value("connection"), Some("close"), "{head:?}");
    client.reader.body(&head).await.unwrap();
    assert_eq!(client.reader.rest().await, b"", "something follows {head:?}");
    (head.status(), head.value("indranet-error").unwrap_or_default().to_owned())
}

/// Each of `requests` is refused with `status` and `code`, and nothing of it is served to anybody.
async fn assert_refused(scene: &mut Scene, status: u16, code: &str, requests: &[Vec<u8>]) {
    let served = scene.gateway.metrics().await.outcome("ok");
    for request in requests {
        let shown = request[..request.len().min(200)].escape_ascii();
        assert_eq!(refusal(scene, request).await, (status, code.to_owned()), "{shown}");
    }
    scene.gateway.counted(code, requests.len() as u64).await;
    assert_eq!(scene.gateway.metrics().await.outcome("ok"), served);
    scene.assert_over().await;
}

/// POSTs with these field lines, and with bodies that hold a request for whoever is deceived.
fn posts<L: AsRef<[u8]>>(lines: impl IntoIterator<Item = L>) -> Vec<Vec<u8>> {
    let chunked = format!("{:x}\r\n{SMUGGLED}\r\n0\r\n\r\n", SMUGGLED.len());
    let terminated = format!("0\r\n\r\n{SMUGGLED}");
    let post = |lines: &[u8], body: &str| {
        [b"POST / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n", lines, b"\r\n\r\n", body.as_bytes()].concat()
    };
    lines
        .into_iter()
        .flat_map(|lines| [&chunked, &terminated].map(|body| post(lines.as_ref(), body)))
        .collect()
}

async fn h1_a_length_beside_a_transfer_coding(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let requests = posts([
        "content-length: 4\r\ntransfer-encoding: chunked",
        "transfer-encoding: chunked\r\ncontent-length: 4",
        "Transfer-Encoding: CHUNKED\r\nx: y\r\nContent-Length: 0",
        "content-length: 4\r\ncontent-length: 4\r\ntransfer-encoding: chunked",
        "connection: content-length\r\ncontent-length: 4\r\ntransfer-encoding: chunked",
    ]);
    assert_refused(&mut scene, 400, "bad_framing", &requests).await;
}

async fn h2_transfer_codings_that_somebody_takes_for_chunked(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let codings = [
        "xchunked",
        "chunkedx",
        "identity",
        "\"chunked\"",
        "'chunked'",
        "chunked, cow",
        "cow, chunked",
        "gzip, chunked",
        "chunked, chunked",
        "chunked,",
        ",chunked",
        "chunked;q=1",
        "",
        "chunked\u{a0}",
    ];
    let mut lines: Vec<_> = codings.map(|coding| format!("transfer-encoding: {coding}")).into();
    lines.push("transfer-encoding: chunked\r\ntransfer-encoding: chunked".to_owned());
    lines.push("transfer-encoding: chunked\r\ntransfer-encoding: identity".to_owned());
    assert_refused(&mut scene, 400, "bad_framing", &posts(lines)).await;
    let lines: [&[u8]; 9] = [
        b"transfer-encoding: \x0bchunked",
        b"transfer-encoding: \x0cchunked",
        b"transfer-encoding: chunked\0",
        b"transfer-encoding : chunked",
        b"transfer-encoding\t: chunked",
        b"transfer-encoding:\r\n chunked",
        b"transfer-encoding\xff: chunked",
        b" transfer-encoding: chunked",
        b"x: y\rtransfer-encoding: chunked",
    ];
    assert_refused(&mut scene, 400, "bad_request", &posts(lines)).await;
}

async fn h3_a_transfer_coding_on_http_1_0(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let head = "POST / HTTP/1.0\r\nhost: myapp.tunnel.test\r\nconnection: keep-alive\r\n";
    let request = format!("{head}transfer-encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}");
    assert_refused(&mut scene, 400, "bad_framing", &[request.into()]).await;
}

async fn h4_lengths_that_are_not_one_number(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let nines = "9".repeat(40);
    let lengths = [
        "",
        "+5",
        "-5",
        "0x5",
        "5,6",
        "5,,5",
        "5,",
        "5, 5",
        "5 5",
        "5a",
        "5.0",
        "18446744073709551616",
        "18446744073709551621",
        &nines,
    ];
    let mut lines: Vec<_> = lengths.map(|length| format!("content-length: {length}")).into();
    lines.push("content-length: 5\r\ncontent-length: 6".to_owned());
    lines.push("content-length: 0\r\nx: y\r\ncontent-length: 99".to_owned());
    assert_refused(&mut scene, 400, "bad_framing", &posts(lines)).await;
}

/// Sends a request through a tunnel of its own and returns its head as the service got it, and its body.
async fn arrived(transport: Transport, request: impl AsRef<[u8]>) -> (Head, Vec<u8>) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.send(request).await;
    let mut service = upstream.accept().await;
    let request = service.request().await;
    service.answer("arrived").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"arrived");
    (request.head, request.body)
}

async fn h4_equal_lengths_become_one(transport: Transport) {
    let lines = "content-length: 5\r\ncontent-length: 5";
    let request = format!("POST / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n{lines}\r\n\r\nhello");
    let (head, body) = arrived(transport, request).await;
    assert_eq!((head.values("content-length"), body.as_slice()), (vec![&b"5"[..]], &b"hello"[..]));
}

const BAD_CHUNKS: [&str; 14] = [
    "0x5\r\nhello\r\n0\r\n\r\n",
    "5_\r\nhello\r\n0\r\n\r\n",
    "+5\r\nhello\r\n0\r\n\r\n",
    "-5\r\nhello\r\n0\r\n\r\n",
    " 5\r\nhello\r\n0\r\n\r\n",
    "5\nhello\r\n0\r\n\r\n",
    "5\r\nhello\n0\r\n\r\n",
    "5\r\nhelloX0\r\n\r\n",
    "5\r\nhello, world\r\n0\r\n\r\n",
    "5;a\nb\r\nhello\r\n0\r\n\r\n",
    "5\rhello\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
    "\r\nhello\r\n0\r\n\r\n",
    "0\r\nno colon\r\n\r\n",
];

async fn h5_chunks_that_are_not(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let head = "POST / HTTP/1.1\r\nhost: myapp.tunnel.test\r\ntransfer-encoding: chunked\r\n\r\n";
    let requests = BAD_CHUNKS.map(|chunks| format!("{head}{chunks}{SMUGGLED}").into_bytes());
    assert_refused(&mut scene, 400, "bad_framing", &requests).await;
}

async fn h5_chunks_that_go_wrong_in_the_middle(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for chunks in BAD_CHUNKS {
        let mut client = scene.gateway.client().await;
        let request = Request::post("/").to(OTHER_AGENT).field("transfer-encoding", "chunked");
        client.begin(&request).await;
        let id = scene.silent.request().await.id;
        client.writer.chunk("good").await;
        client.send(format!("{chunks}{SMUGGLED}")).await;
        assert_eq!(scene.silent.close_of(&id).await, Reason::Cancelled, "{chunks:?}");
        assert_eq!(refusal_of(&mut client).await, (400, "bad_framing".to_owned()), "{chunks:?}");
    }
    scene.assert_over().await;
}

async fn h6_chunk_extensions_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let request = Request::post("/").to(OTHER_AGENT).field("transfer-encoding", "chunked");
    let chunk = format!("1;{}\r\nx\r\n", "e".repeat(8 * 1024));
    let mut client = scene.gateway.client().await;
    client.begin(&request).await;
    let id = scene.silent.request().await.id;
    client.send(&chunk).await;
    client.writer.last_chunk().await;
    scene.silent.send(frames::answer(&id, "some are fine"));
    assert_eq!(client.reader.response(&request).await.body, b"some are fine");

    client.begin(&request).await;
    let id = scene.silent.request().await.id;
    let _ = client.writer.try_send(chunk.repeat(1000)).await;
    assert_eq!(scene.silent.close_of(&id).await, Reason::Cancelled);
    assert_eq!(refusal_of(&mut client).await, (400, "bad_framing".to_owned()));
    scene.assert_over().await;
}

async fn h7_trailers_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let large = format!("0\r\nx: {}\r\n\r\n", "v".repeat(2 << 20));
    let many = format!("0\r\n{}\r\n", "x: y\r\n".repeat(limits::MAX_HEADERS + 1));
    let endless = "0\r\n".to_owned() + &"x: y\r\n".repeat(100_000);
    for trailers in [large, many, endless] {
        let mut client = scene.gateway.client().await;
        client.begin(&Request::post("/").to(OTHER_AGENT).field("transfer-encoding", "chunked")).await;
        let id = scene.silent.request().await.id;
        let _ = client.writer.try_send(trailers).await;
        assert_eq!(scene.silent.close_of(&id).await, Reason::Cancelled);
        assert_eq!(refusal_of(&mut client).await, (400, "bad_framing".to_owned()));
    }
    scene.assert_over().await;
}

async fn h8_fields_that_are_not(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let lines: [&[u8]; 17] = [
        b"a b: c",
        b"no colon",
        b": nameless",
        b"\ta: b",
        b"a : b",
        b"a\0: b",
        b"a\xe9: b",
        b"(a): b",
        b"a: b\rc",
        b"a: b\0",
        b"a: \x01",
        b"a: b\x7f",
        b"a: b\r\n folded",
        b"a: b\r\n\tfolded",
        b"a: b\r\rc: d",
        b"\"a\": b",
        b"\x01: b",
    ];
    assert_refused(&mut scene, 400, "bad_request", &posts(lines)).await;
}

async fn h9_bare_line_feeds(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let requests = [
        "GET / HTTP/1.1\nhost: myapp.tunnel.test\n\n",
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\n\r\n",
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\n",
        "GET / HTTP/1.1\r\nx: y\nhost: myapp.tunnel.test\r\n\r\n",
        "\nGET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\r\n",
    ];
    assert_refused(&mut scene, 400, "bad_request", &requests.map(Vec::from)).await;
}

async fn h10_request_lines_that_are_not(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let request = |line: &str| format!("{line}\r\nhost: myapp.tunnel.test\r\n\r\n").into_bytes();
    let versions = ["GET / HTTP/1.2", "GET / HTTP/0.9", "GET / HTTP/2.0", "PRI * HTTP/2.0"];
    assert_refused(&mut scene, 400, "unsupported_version", &versions.map(request)).await;
    let method = "M".repeat(64 * 1024) + " / HTTP/1.1";
    let lines = [
        "GET /",
        "GET",
        "GET / http/1.1",
        "GET / HTTP/1.10",
        "GET / HTTP/11",
        "GET / HTTP/1.1 ",
        "GET / ",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET /a b HTTP/1.1",
        "GET /\t HTTP/1.1",
        "GET\t/\tHTTP/1.1",
        "GET /\0 HTTP/1.1",
        "GET /\x7f HTTP/1.1",
        "G\0T / HTTP/1.1",
        " GET / HTTP/1.1",
        "G(T) / HTTP/1.1",
        &method,
    ];
    let mut requests = lines.map(request).to_vec();
    requests.push(b"GET /\xff HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\r\n".into());
    requests.push(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".into()); // a TLS handshake
    requests.push(b"GET /\r\n\r\n".into());
    assert_refused(&mut scene, 400, "bad_request", &requests).await;
    let targets = [
        ("GET myapp.tunnel.test HTTP/1.1", "bad_host"),
        ("GET * HTTP/1.1", "bad_target"),
        ("GET a/b HTTP/1.1", "bad_target"),
        ("GET /a#b HTTP/1.1", "bad_target"),
        ("GET //# HTTP/1.1", "bad_target"),
    ];
    for (target, code) in targets {
        let mut client = scene.gateway.client().await;
        client.send(request(target)).await;
        let head = client.reader.head().await;
        assert_eq!((head.status(), head.value("indranet-error")), (400, Some(code)), "{target}");
    }
    scene.assert_over().await;
}

async fn h10_request_targets_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let long = "a".repeat(1 << 20);
    // The end of the second is not waited for.
    let requests = [format!("GET /{long} HTTP/1.1\r\n\r\n"), format!("GET /{long}")].map(String::into_bytes);
    assert_refused(&mut scene, 414, "uri_too_long", &requests).await;
}

async fn h11_heads_without_end(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let head = "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n";
    let requests = [
        format!("{head}{}\r\n", "x: y\r\n".repeat(limits::MAX_HEADERS)),
        format!("{head}x: {}\r\n\r\n", "v".repeat(limits::MAX_HEAD_BYTES)),
        // The ends of these are not waited for.
        format!("{head}{}", "x: y\r\n".repeat(limits::MAX_HEADERS)),
        format!("{head}x: {}", "v".repeat(limits::MAX_HEAD_BYTES)),
        format!("{head}{}", "v".repeat(limits::MAX_HEAD_BYTES)),
    ];
    assert_refused(&mut scene, 431, "head_too_large", &requests.map(String::into_bytes)).await;
    let fields = "x: y\r\n".repeat(limits::MAX_HEADERS - 1);
    let mut client = scene.gateway.client().await;
    client.send(format!("GET / HTTP/1.1\r\nhost: other.tunnel.test\r\n{fields}\r\n")).await;
    let most = scene.silent.request().await;
    // The gateway counts hops in one of its own.
    assert_eq!(most.headers.len(), limits::MAX_HEADERS);
    scene.silent.send(frames::answer(&most.id, "just so many"));
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"just so many");
}

async fn h11_half_a_head_is_not_waited_for(transport: Transport) {
    let mut scene = Scene::with(transport, |limits| limits.header_timeout = Duration::from_secs(1)).await;
    let mut waiting = Vec::new();
    for half in ["", "G", "GET / HT", "GET / HTTP/1.1\r\nhost: myapp.tu", "PRI * HTTP/2.0\r\n\r\nSM"] {
        let mut client = scene.gateway.client().await;
        client.send(half).await;
        waiting.push((half, client));
    }
    for (half, mut client) in waiting {
        // An answer would be taken for that to what is sent at last.
        assert_eq!(client.reader.rest().await, b"", "{half:?}");
    }
    scene.assert_over().await;
}

async fn h12_an_upload_that_nobody_takes_is_not_read(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let before = scene.gateway.metrics().await.received();
    let mut client = scene.gateway.client().await;
    let request = Request::post("/").to(OTHER_AGENT).declaring(1 << 30);
    client.begin(&request).await;
    let id = scene.silent.request().await.id;
    let flood = async {
        let piece = vec![b'x'; 1 << 20];
        while client.writer.try_send(&piece).await.is_ok() {}
    };
    let look = async {
        // What the agent's credit allows has been read; then the gateway has other things to do.
        let gateway = &scene.gateway;
        let credit = u64::from(limits::INITIAL_WINDOW);
        eventually("some was read", async || gateway.metrics().await.received() >= before + credit).await;
        for _ in 0..100 {
            assert_eq!(scene.bystander.ask(&Request::get("/")).await.body, b"unharmed");
        }
        let read = gateway.metrics().await.received() - before;
        assert!(read <= (1 << 20), "{read} bytes read for an agent that took {credit}");
    };
    tokio::select! {
        () = flood => panic!("the connection ended"),
        () = look => {}
    }
    client.reset();
    assert_eq!(scene.silent.close_of(&id).await, Reason::Cancelled);
    scene.assert_over().await;
}

async fn h13_expectations_that_nobody_knows(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let expectations = ["200-ok", "100-continue, x", "100-continue\r\nexpect: x", "", "100-continue;q=1"];
    let requests = expectations.map(|expectation| {
        let head = "POST / HTTP/1.1\r\nhost: myapp.tunnel.test\r\ncontent-length: 5\r\nexpect: ";
        format!("{head}{expectation}\r\n\r\nhello{SMUGGLED}").into_bytes()
    });
    assert_refused(&mut scene, 417, "expectation_failed", &requests).await;
}

async fn h13_an_expectation_without_a_body(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let request = Request::get("/").field("expect", "100-continue");
    let response = scene.bystander.ask(&request).await;
    assert_eq!((response.head.status(), response.body.as_slice()), (200, &b"unharmed"[..]));
    scene.assert_over().await;
}

async fn h13_a_body_that_is_announced_and_never_comes(transport: Transport) {
    let mut scene = Scene::with(transport, |limits| {
        limits.response_timeout = Duration::from_secs(1);
        limits.terms.idle_timeout = Duration::from_secs(1);
    })
    .await;
    let mut client = scene.gateway.client().await;
    client.begin(&Request::post("/").to(OTHER_AGENT).field("expect", "100-continue").declaring(5)).await;
    let request = scene.silent.request().await;
    assert!(request.expect_continue);
    assert_eq!(refusal_of(&mut client).await, (504, "response_timeout".to_owned()));
    assert_eq!(scene.silent.close_of(&request.id).await, Reason::Timeout);
    scene.assert_over().await;
}

async fn names_in_connection_stay_on_their_hop_and_cannot_take_what_is_the_gateways(transport: Transport) {
    let fields = "connection: x-private, host, content-length, x-forwarded-for, X-Request-Id, te\r\n\
        x-private: 1\r\nx-public: 2\r\ncontent-length: 5\r\n";
    let request = format!("POST / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n{fields}\r\nhello");
    let (head, body) = arrived(transport, request).await;
    assert_eq!((head.value("x-private"), head.value("x-public")), (None, Some("2")));
    assert_eq!((head.value("host"), body.as_slice()), (Some("myapp.tunnel.test"), &b"hello"[..]));
    assert_eq!((head.content_length(), head.value("x-forwarded-for")), (Some(5), Some("127.0.0.1")));
    assert!(head.value("x-request-id").is_some());
}

async fn te_is_trailers_or_nothing(transport: Transport) {
    let te = async |value| {
        let request = format!("GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n{value}\r\n\r\n");
        let (head, _) = arrived(transport, request).await;
        head.value("te").map(str::to_owned)
    };
    assert_eq!(te("te: trailers, x").await.as_deref(), Some("trailers"));
    assert_eq!(
        te("te: gzip;q=0.5\r\nte: Trailers").await.map(|te| te.to_lowercase()).as_deref(),
        Some("trailers")
    );
    assert_eq!(te("te: xtrailers, chunked").await, None);
}

async fn connect_is_refused_in_every_form(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for target in ["myapp.tunnel.test:80", "myapp.tunnel.test", "/", "http://myapp.tunnel.test/", "*"] {
        let mut client = scene.gateway.client().await;
        client.send(format!("CONNECT {target} HTTP/1.1\r\nhost: myapp.tunnel.test\r\n\r\n")).await;
        let head = client.reader.head().await;
        assert_eq!((head.status(), head.value("indranet-error")), (405, Some("method_not_allowed")));
        assert!(head.value("allow").is_some());
    }
    scene.gateway.counted("method_not_allowed", 5).await;
    scene.assert_over().await;
}

async fn an_upgrade_to_http_2_is_neither_honoured_nor_forwarded(transport: Transport) {
    for upgrade in ["h2c", "H2C", "websocket, h2c", "HTTP/2.0", "h2c, websocket"] {
        let fields = format!(
            "connection: Upgrade, HTTP2-Settings\r\nupgrade: {upgrade}\r\nhttp2-settings: AAMAAABk\r\n"
        );
        let request = format!("GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\n{fields}\r\n");
        let (head, _) = arrived(transport, request).await;
        for name in ["connection", "upgrade", "http2-settings"] {
            assert_eq!(head.value(name), None, "{upgrade}");
        }
    }
    // What would follow is no request.
    let mut scene = Scene::new(transport).await;
    scene.bystander.send([&Request::get("/").field("upgrade", "h2c").bytes(), h2::PREFACE].concat()).await;
    assert_eq!(scene.bystander.reader.response(&Request::get("/")).await.head.status(), 200);
    assert_eq!(refusal_of(&mut scene.bystander).await, (400, "unsupported_version".to_owned()));
}
