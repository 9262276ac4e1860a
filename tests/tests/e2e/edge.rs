//! What a gateway asks of clients before their requests reach an agent. Where it says nothing else, a scenario asks over both
//! versions of HTTP.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use gateway::{EdgeConfig, PolicySource};
use tests::{
    AGENT, Agent, Chunk, DOMAIN, Gateway, H2, Head, Message, OFFLINE_AGENT, OTHER_AGENT, Request, Service,
    Transport, Tunnel, Upstream, Wire, edge, edge_of, eventually, over_every_transport,
};
use tokio::sync::mpsc;
use uuid::Uuid;

over_every_transport![
    a_trusted_proxy_is_believed_about_its_client,
    a_trusted_proxy_says_for_whom_rates_and_lists_are,
    a_proxy_header_says_who_the_client_is,
    a_proxy_that_does_not_introduce_its_client_is_not_heard,
    a_stranger_cannot_introduce_anybody,
    a_tunnel_that_leads_to_itself_is_a_508,
    only_a_user_is_let_in,
    only_allowed_addresses_are_let_in,
    who_asks_too_often_is_told_to_wait,
    plain_http_is_sent_to_https,
    fields_are_changed_both_ways,
    an_agent_has_names_of_its_own,
    an_agent_that_is_away_is_announced,
    a_body_that_declares_too_much_is_not_read,
    a_body_that_grows_too_large_is_cut,
    a_body_that_grows_too_large_behind_its_answer_cuts_the_answer,
    a_body_of_just_the_limit_passes,
    an_agent_without_a_policy_is_asked_nothing,
    a_service_may_take_as_long_as_its_agents_policy_says,
    a_policy_counts_as_soon_as_its_file_says_so,
    a_service_cannot_speak_for_the_gateway_behind_its_head,
];

/// The password is `open sesame`.
const ALI: &str =
    "ali:$pbkdf2-sha256$i=1000$MDEyMzQ1Njc4OWFiY2RlZg$Mqp8wAsrOsjVEIymTD0kATxTpTf4f+0ZMgQPDlukk/w";
/// `ali:open sesame`
const AUTHORIZATION: &str = "Basic YWxpOm9wZW4gc2VzYW1l";

#[derive(Clone, Copy, Debug)]
enum Http {
    One,
    Two,
}

const BOTH: [Http; 2] = [Http::One, Http::Two];

/// Asks on a connection of its own.
async fn ask(gateway: &Gateway, http: Http, request: &Request) -> Message {
    match http {
        Http::One => gateway.client().await.ask(request).await,
        Http::Two => H2::connect(gateway.http()).await.ask(request).await.unwrap(),
    }
}

/// A tunnel to a service that gives back as fields what it was sent as fields.
async fn mirror(transport: Transport, toml: &str) -> (Service, Tunnel) {
    let service = Service::start(async |request: hyper::Request<hyper::body::Incoming>| {
        let mut response = Service::text("well");
        for (name, value) in request.headers() {
            let name = format!("sent-{name}").parse::<http::HeaderName>().unwrap();
            response.headers_mut().append(name, value.clone());
        }
        response.headers_mut().insert("server", "mirror/1.0".parse().unwrap());
        response
    })
    .await;
    let tunnel = Tunnel::start_with_edge(transport, service.addr(), edge(toml)).await;
    (service, tunnel)
}

fn agent(toml: &str) -> String {
    format!("[[agent]]\nid = '{AGENT}'\n{toml}\n")
}

fn assert_error(head: &Head, status: u16, code: &str) {
    assert_eq!((head.status(), head.value("indranet-error")), (status, Some(code)));
    assert!(head.value("x-request-id").is_some());
}

async fn a_trusted_proxy_is_believed_about_its_client(transport: Transport) {
    let (_service, tunnel) = mirror(transport, "trusted_proxy = ['127.0.0.0/8']").await;
    let request = Request::get("/")
        .field("x-forwarded-for", "203.0.113.9")
        .field("x-forwarded-proto", "https")
        .field("x-forwarded-host", "shop.example")
        .field("forwarded", "for=203.0.113.9;proto=https")
        .field("x-real-ip", "203.0.113.9")
        .field("x_forwarded_for", "198.51.100.1");
    for http in BOTH {
        let head = ask(&tunnel.gateway, http, &request).await.head;
        assert_eq!(head.value("sent-x-forwarded-for"), Some("203.0.113.9, 127.0.0.1"), "{http:?}");
        assert_eq!(head.value("sent-x-forwarded-proto"), Some("https"));
        assert_eq!(head.value("sent-x-forwarded-host"), Some("shop.example"));
        let forwarded =
            format!("for=203.0.113.9;proto=https, for=127.0.0.1;host=\"{AGENT}.{DOMAIN}\";proto=https");
        assert_eq!(head.value("sent-forwarded"), Some(forwarded.as_str()));
        assert_eq!(head.value("sent-x-real-ip"), Some("203.0.113.9"));
        assert_eq!(head.value("sent-x_forwarded_for"), None);
    }
}

async fn a_trusted_proxy_says_for_whom_rates_and_lists_are(transport: Transport) {
    let toml = format!("trusted_proxy = ['127.0.0.1']\n{}", agent("deny = ['203.0.113.9']"));
    let (_service, tunnel) = mirror(transport, &toml).await;
    let from = |claims: &str| Request::get("/").field("x-forwarded-for", claims);
    for http in BOTH {
        let denied = ask(&tunnel.gateway, http, &from("198.51.100.1, 203.0.113.9")).await.head;
        assert_error(&denied, 403, "forbidden");
        let behind = ask(&tunnel.gateway, http, &from("203.0.113.9, 198.51.100.1")).await.head;
        assert_eq!(behind.status(), 200, "only the nearest one counts");
    }
}

const INTRODUCING: &str = "trusted_proxy = ['127.0.0.1']\nproxy_protocol = true";

/// Version 2: 192.0.2.7, port 4711.
const INTRODUCTION: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\x02\x07\xc6\x33\x64\x01\x12\x67\0\x50";

async fn a_proxy_header_says_who_the_client_is(transport: Transport) {
    let (_service, tunnel) = mirror(transport, INTRODUCING).await;
    let request = Request::get("/").field("x-forwarded-for", "203.0.113.9");
    let local = [&INTRODUCTION[..12], b"\x20\0\0\0"].concat();
    for (introduction, expected) in [
        (&b"PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n"[..], "192.0.2.7"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 80\r\n", "2001:db8::7"),
        (INTRODUCTION, "192.0.2.7"),
        (b"PROXY UNKNOWN\r\n", "203.0.113.9, 127.0.0.1"),
        (&local, "203.0.113.9, 127.0.0.1"),
    ] {
        let mut client = tunnel.client().await;
        client.send(introduction).await;
        let head = client.ask(&request).await.head;
        assert_eq!(head.value("sent-x-forwarded-for"), Some(expected));
        let again = client.ask(&Request::get("/")).await.head;
        assert_eq!(again.status(), 200, "only the connection begins with it");

        let mut stream = tokio::net::TcpStream::connect(tunnel.gateway.http()).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, introduction).await.unwrap();
        let head = H2::over(stream).await.ask(&request).await.unwrap().head;
        assert_eq!(head.value("sent-x-forwarded-for"), Some(expected));
    }
}

async fn a_proxy_that_does_not_introduce_its_client_is_not_heard(transport: Transport) {
    let (_service, tunnel) = mirror(transport, INTRODUCING).await;
    for beginning in [
        Request::get("/").bytes(),
        b"PROXY TCP4 192.0.2.7\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        [&INTRODUCTION[..12], b"\x31\x11\0\x0c"].concat(),
    ] {
        let mut client = tunnel.client().await;
        client.send(&beginning).await;
        assert_eq!(client.reader.rest().await, b"", "{beginning:?}");
    }
    tunnel.gateway.idle().await;
}

async fn a_stranger_cannot_introduce_anybody(transport: Transport) {
    let toml = "trusted_proxy = ['192.0.2.1']\nproxy_protocol = true";
    let (_service, tunnel) = mirror(transport, toml).await;
    let mut client = tunnel.client().await;
    client.send("PROXY TCP4 192.0.2.7 198.51.100.1 4711 80\r\n").await;
    assert_eq!(client.reader.head().await.status(), 400);
    let head = tunnel.ask(&Request::get("/")).await.head;
    assert_eq!(head.value("sent-x-forwarded-for"), Some("127.0.0.1"), "a stranger needs no introduction");
}

async fn a_tunnel_that_leads_to_itself_is_a_508(transport: Transport) {
    let gateway = Gateway::start().await;
    let mut agent = Agent::start(transport, gateway.port(transport), AGENT, gateway.http());
    agent.online().await;
    for (http, count) in BOTH.into_iter().zip(1..) {
        let head = ask(&gateway, http, &Request::get("/")).await.head;
        assert_eq!(head.status(), 508, "{http:?}");
        gateway.counted("loop_detected", count).await;
    }
}

async fn only_a_user_is_let_in(transport: Transport) {
    let (service, tunnel) = mirror(transport, &agent(&format!("basic_auth = ['{ALI}']"))).await;
    for http in BOTH {
        for request in [Request::get("/"), Request::get("/").field("authorization", "Basic YWxpOnNodXQ=")] {
            let head = ask(&tunnel.gateway, http, &request).await.head;
            assert_error(&head, 401, "unauthorized");
            assert!(head.value("www-authenticate").unwrap().starts_with("Basic "));
        }
        assert_eq!(service.connections(), 0, "{http:?}");
    }
    for http in BOTH {
        let request = Request::get("/").field("authorization", AUTHORIZATION);
        let head = ask(&tunnel.gateway, http, &request).await.head;
        assert_eq!((head.status(), head.value("sent-authorization")), (200, None), "{http:?}");
    }
}

async fn only_allowed_addresses_are_let_in(transport: Transport) {
    for (toml, status) in [
        ("allow = ['127.0.0.1', '::1']", 200),
        ("allow = ['192.0.2.0/24']", 403),
        ("deny = ['127.0.0.0/8']", 403),
    ] {
        let (_service, tunnel) = mirror(transport, &agent(toml)).await;
        for http in BOTH {
            assert_eq!(ask(&tunnel.gateway, http, &Request::get("/")).await.head.status(), status, "{toml}");
        }
    }
}

async fn who_asks_too_often_is_told_to_wait(transport: Transport) {
    let (_service, tunnel) =
        mirror(transport, &agent("rate_per_client = { per_second = 0.001, burst = 2 }")).await;
    for http in BOTH {
        assert_eq!(ask(&tunnel.gateway, http, &Request::get("/")).await.head.status(), 200);
    }
    for http in BOTH {
        let head = ask(&tunnel.gateway, http, &Request::get("/")).await.head;
        assert_error(&head, 429, "rate_limited");
        let wait: u64 = head.value("retry-after").unwrap().parse().unwrap();
        assert!((900..=1000).contains(&wait), "{wait}");
    }
}

async fn plain_http_is_sent_to_https(transport: Transport) {
    let toml = format!("trusted_proxy = ['127.0.0.1']\n{}", agent("redirect_to_https = true"));
    let (_service, tunnel) = mirror(transport, &toml).await;
    for http in BOTH {
        let request = Request::post("/a?b=c").host(&format!("{AGENT}.{DOMAIN}:8082")).body("x");
        let head = ask(&tunnel.gateway, http, &request).await.head;
        let location = format!("https://{AGENT}.{DOMAIN}/a?b=c");
        assert_eq!((head.status(), head.value("location")), (308, Some(location.as_str())));
        assert_eq!(head.value("indranet-error"), None, "a redirect is no error");
        let head = ask(&tunnel.gateway, http, &request.field("x-forwarded-proto", "https")).await.head;
        assert_eq!(head.status(), 200);
    }
}

async fn fields_are_changed_both_ways(transport: Transport) {
    let changes = "request_headers = { set = { x-env = 'prod' }, remove = ['x-debug'] }\n\
        response_headers = { set = { x-frame-options = 'DENY' }, remove = ['server'] }";
    let (_service, tunnel) = mirror(transport, &agent(changes)).await;
    for http in BOTH {
        let request = Request::get("/").field("x-env", "test").field("x-debug", "1");
        let head = ask(&tunnel.gateway, http, &request).await.head;
        assert_eq!((head.value("sent-x-env"), head.value("sent-x-debug")), (Some("prod"), None));
        assert_eq!((head.value("x-frame-options"), head.value("server")), (Some("DENY"), None));
        assert_eq!(head.value("sent-indranet-hops"), Some("1"));
    }
}

async fn an_agent_has_names_of_its_own(transport: Transport) {
    let (_service, tunnel) =
        mirror(transport, &agent("hosts = ['shop.example.org', '*.customer.example']")).await;
    for http in BOTH {
        for (host, status) in [
            ("shop.example.org", 200),
            ("one.customer.example", 200),
            ("customer.example", 404),
            ("other.example.org", 404),
        ] {
            let head = ask(&tunnel.gateway, http, &Request::get("/").host(host)).await.head;
            assert_eq!(head.status(), status, "{host}");
            if status == 200 {
                assert_eq!(head.value("sent-host"), Some(host));
            }
        }
    }
}

async fn an_agent_that_is_away_is_announced(transport: Transport) {
    let toml = "[agent_defaults]\noffline_status = 503\noffline_retry_after = '30s'";
    let (_service, tunnel) = mirror(transport, toml).await;
    for http in BOTH {
        let head = ask(&tunnel.gateway, http, &Request::get("/").to(OFFLINE_AGENT)).await.head;
        assert_error(&head, 503, "agent_offline");
        assert_eq!(head.value("retry-after"), Some("30"));
        let head = ask(&tunnel.gateway, http, &Request::get("/").to("nobody")).await.head;
        assert_error(&head, 404, "agent_not_found");
    }
}

async fn a_body_that_declares_too_much_is_not_read(transport: Transport) {
    let (service, tunnel) = mirror(transport, &agent("max_body = '1KiB'")).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::post("/").declaring(1025)).await;
    assert_error(&client.reader.head().await, 413, "body_too_large");
    let request = Request::post("/").field("expect", "100-continue").declaring(1025);
    let mut client = tunnel.client().await;
    client.begin(&request).await;
    assert_error(&client.reader.head().await, 413, "body_too_large");
    let head = ask(&tunnel.gateway, Http::Two, &Request::post("/").body([b'x'; 1025])).await.head;
    assert_error(&head, 413, "body_too_large");
    assert_eq!(service.connections(), 0);
    tunnel.gateway.counted("body_too_large", 3).await;
}

/// A tunnel with a limit of 1 KiB whose service the scenario plays.
async fn limited(transport: Transport) -> (Upstream, Tunnel) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start_with_edge(transport, upstream.addr(), edge("max_body = '1KiB'")).await;
    (upstream, tunnel)
}

/// Waits for so many bytes of a chunked body.
async fn arrives(service: &mut Wire, mut length: usize) {
    while length > 0 {
        match service.reader.chunk().await {
            Some(Chunk::Data(data)) => length -= data.len(),
            other => panic!("{length} bytes are missing: {other:?}"),
        }
    }
}

async fn a_body_that_grows_too_large_is_cut(transport: Transport) {
    let (upstream, tunnel) = limited(transport).await;
    let chunked = Request::post("/").field("transfer-encoding", "chunked");
    let mut client = tunnel.client().await;
    client.begin(&chunked).await;
    client.writer.chunk([b'x'; 1000]).await;
    let mut service = upstream.accept().await;
    service.reader.head().await;
    arrives(&mut service, 1000).await;
    client.writer.chunk([b'x'; 25]).await;
    assert_error(&client.reader.head().await, 413, "body_too_large");
    service.closed().await;

    let (pieces, body) = mpsc::channel(1);
    let plain = Request::post("/");
    let mut client = H2::connect(tunnel.gateway.http()).await;
    let scenario = async {
        pieces.send(Bytes::from_static(&[b'x'; 1000])).await.unwrap();
        let mut service = upstream.accept().await;
        service.reader.head().await;
        arrives(&mut service, 1000).await;
        pieces.send(Bytes::from_static(&[b'x'; 25])).await.unwrap();
        service.closed().await;
    };
    let (answer, ()) = tokio::join!(client.stream(&plain, body), scenario);
    assert_error(&answer.unwrap().head, 413, "body_too_large");
    tunnel.gateway.counted("body_too_large", 2).await;
    tunnel.gateway.idle().await;
}

async fn a_body_that_grows_too_large_behind_its_answer_cuts_the_answer(transport: Transport) {
    let (upstream, tunnel) = limited(transport).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::post("/").field("transfer-encoding", "chunked")).await;
    client.writer.chunk([b'x'; 1000]).await;
    let mut service = upstream.accept().await;
    service.reader.head().await;
    service.send("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nthe beginning").await;
    assert_eq!(client.reader.head().await.status(), 200);
    assert_eq!(client.reader.exactly(13).await.unwrap(), b"the beginning");
    client.writer.chunk([b'x'; 25]).await;
    assert_eq!(client.reader.rest().await, b"");
    service.closed().await;
    tunnel.gateway.counted("truncated", 1).await;
    tunnel.gateway.idle().await;
}

async fn a_body_of_just_the_limit_passes(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start_with_edge(transport, service.addr(), edge("max_body = '20KiB'")).await;
    let body = vec![b'x'; 20 * 1024];
    for http in BOTH {
        assert_eq!(ask(&tunnel.gateway, http, &Request::post("/").body(&body)).await.body, body);
    }
    assert_eq!(tunnel.ask(&Request::post("/").chunked(&body)).await.body, body);
}

async fn an_agent_without_a_policy_is_asked_nothing(transport: Transport) {
    let toml = "[agent_defaults]\ndeny = ['0.0.0.0/0']\n[[agent]]\nid = 'myapp'\ndeny = []";
    let (_service, tunnel) = mirror(transport, toml).await;
    for http in BOTH {
        assert_eq!(ask(&tunnel.gateway, http, &Request::get("/")).await.head.status(), 200);
        let other = ask(&tunnel.gateway, http, &Request::get("/").to(OFFLINE_AGENT)).await.head;
        assert_error(&other, 403, "forbidden");
    }
}

async fn a_service_may_take_as_long_as_its_agents_policy_says(transport: Transport) {
    let (patient, hasty) = (Upstream::start().await, Upstream::start().await);
    let toml = format!("[agent_defaults]\nresponse_timeout = '1s'\n{}", agent("response_timeout = '1m'"));
    let tunnel = Tunnel::start_with_edge(transport, patient.addr(), edge(&toml)).await;
    let mut other = Agent::start(transport, tunnel.gateway.port(transport), OTHER_AGENT, hasty.addr());
    other.online().await;

    let mut client = tunnel.client().await;
    client.begin(&Request::get("/")).await;
    let mut service = patient.accept().await;
    service.request().await;
    for http in BOTH {
        let head = ask(&tunnel.gateway, http, &Request::get("/").to(OTHER_AGENT)).await.head;
        assert_error(&head, 504, "response_timeout");
        hasty.accept().await.closed().await;
    }
    service.answer("at last").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"at last");
}

async fn a_policy_counts_as_soon_as_its_file_says_so(transport: Transport) {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}.toml", Uuid::new_v4()));
    std::fs::write(&path, "").unwrap();
    let reads = Arc::new(AtomicUsize::new(0));
    let read = {
        let (path, reads) = (path.clone(), Arc::clone(&reads));
        move || {
            let read = edge_of(&path);
            reads.fetch_add(1, SeqCst);
            Ok(read?.policies)
        }
    };
    let source = PolicySource { path: path.clone(), read: Arc::new(read) };
    let service = Service::saying("well").await;
    let edge = EdgeConfig { source: Some(source), ..EdgeConfig::default() };
    let tunnel = Tunnel::start_with_edge(transport, service.addr(), edge).await;
    let status = async |host: &str| tunnel.ask(&Request::get("/").host(host)).await.head.status();
    let (usual, own) = (format!("{AGENT}.{DOMAIN}"), "shop.example.org");
    assert_eq!((status(&usual).await, status(own).await), (200, 404));

    std::fs::write(&path, agent("hosts = ['shop.example.org']\nredirect_to_https = true")).unwrap();
    eventually("the policy counts", async || status(&usual).await == 308).await;
    assert_eq!(status(own).await, 308, "all of it at once");

    let next = path.with_extension("next");
    std::fs::write(&next, "[[agent]]\nid = 'NOBODY'").unwrap();
    let before = reads.load(SeqCst);
    std::fs::rename(&next, &path).unwrap();
    eventually("the file was read", async || reads.load(SeqCst) > before).await;
    assert_eq!(status(&usual).await, 308, "a file that cannot be used changes nothing");

    std::fs::write(&next, agent("deny = ['127.0.0.1']")).unwrap();
    std::fs::rename(&next, &path).unwrap();
    eventually("the next policy counts", async || status(&usual).await == 403).await;
    assert_eq!(status(own).await, 404);
    std::fs::remove_file(path).unwrap();
}

/// Answers the next request of the agent.
async fn plays(upstream: &Upstream, response: &str) {
    let mut service = upstream.accept().await;
    service.request().await;
    service.send(response).await;
}

async fn a_service_cannot_speak_for_the_gateway_behind_its_head(transport: Transport) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let response = "HTTP/1.1 103 Early Hints\r\nindranet-error: tunnel_lost\r\nx-hint: 1\r\n\r\n\
        HTTP/1.1 200 OK\r\nindranet-error: tunnel_lost\r\ntransfer-encoding: chunked\r\ntrailer: indranet-error, x-sum\r\n\r\n\
        4\r\nwell\r\n0\r\nindranet-error: tunnel_lost\r\nx-sum: 1\r\n\r\n";
    let request = Request::get("/").field("te", "trailers");

    let mut client = tunnel.client().await;
    client.begin(&request).await;
    plays(&upstream, response).await;
    let hints = client.reader.head().await;
    assert_eq!(
        (hints.status(), hints.value("x-hint"), hints.value("indranet-error")),
        (103, Some("1"), None)
    );
    let one = client.reader.response(&request).await;

    let mut client = H2::connect(tunnel.gateway.http()).await;
    let service = async { plays(&upstream, response).await };
    let (two, ()) = tokio::join!(client.ask(&request), service);

    for answer in [one, two.unwrap()] {
        assert_eq!((answer.head.status(), answer.head.value("indranet-error")), (200, None));
        assert_eq!(
            (answer.body.as_slice(), answer.trailers),
            (&b"well"[..], vec![("x-sum".to_owned(), b"1".to_vec())])
        );
    }
}
