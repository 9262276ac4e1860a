//! The transports side by side: what an outsider sees of an exchange is the same, to the byte, whichever carries it.

use tokio::sync::oneshot;

use tests::{Fields, Request, Transport, Tunnel, Upstream, noise, within};

/// One exchange: what the client asks, what the service says, and what must come of it.
struct Case {
    name: &'static str,
    request: Request,
    service: Option<(Vec<u8>, Ending)>,
    status: u16,
    outcome: &'static str,
}

/// What the service does behind its response.
#[derive(Clone, Copy)]
enum Ending {
    Open,
    Close,
}

/// Everything that an outsider can see, but for what differs from one request to the next.
#[derive(Debug, PartialEq)]
struct Seen {
    start: String,
    fields: Fields,
    /// Body and trailers, or that it was cut.
    body: Option<(Vec<u8>, Fields)>,
    /// Start line, fields and body as the service got them.
    forwarded: Option<(String, Fields, Vec<u8>)>,
    outcome: String,
}

const OUTCOMES: [&str; 6] =
    ["ok", "truncated", "client_cancelled", "upstream_bad_response", "agent_not_found", "bad_host"];

fn cases() -> Vec<Case> {
    use Ending::{Close, Open};
    let get = || Request::get("/path?query=1%20a");
    let post = || Request::post("/up");
    let case = |name, request, head: &str, body: &str, ending, status, outcome| {
        let bytes = format!("HTTP/1.1 {head}\r\n\r\n{body}").replace("; ", "\r\n").into_bytes();
        Case { name, request, service: Some((bytes, ending)), status, outcome }
    };
    let ok = |name, request, head: &str, body: &str| {
        let status = head[..3].parse().unwrap();
        case(name, request, head, body, Open, status, "ok")
    };
    let alone = |name, request, status, outcome| Case { name, request, service: None, status, outcome };
    let bare = |name, bytes: &str, ending| Case {
        name,
        request: get(),
        service: Some((bytes.into(), ending)),
        status: 502,
        outcome: "upstream_bad_response",
    };
    let large = [b"HTTP/1.1 200 OK\r\ncontent-length: 300000\r\n\r\n".as_slice(), &noise(300_000)].concat();
    vec![
        ok("a small body", get(), "200 OK; content-length: 5", "hello"),
        ok("no body", get(), "204 No Content; x-a: 1", ""),
        ok("not modified", get(), "304 Not Modified; etag: x; content-length: 9", ""),
        ok("a head alone", Request::new("HEAD", "/"), "200 OK; content-length: 77", ""),
        ok("a reason of its own", get(), "299 Fine By Me; content-length: 0", ""),
        ok("an error of the service", get(), "503 Busy; retry-after: 7; content-length: 1", "x"),
        ok(
            "repeated fields",
            get(),
            "200 OK; set-cookie: a=1; set-cookie: b; x-raw: \u{e9}; content-length: 0",
            "",
        ),
        ok(
            "hop-by-hop fields",
            get(),
            "200 OK; connection: x-hop; x-hop: 1; keep-alive: 5; content-length: 0",
            "",
        ),
        ok(
            "forged fields",
            get(),
            "200 OK; indranet-error: forged; x-request-id: forged; content-length: 0",
            "",
        ),
        ok("chunks", get(), "200 OK; transfer-encoding: chunked", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"),
        ok(
            "trailers",
            get(),
            "200 OK; transfer-encoding: chunked; trailer: x-sum",
            "3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n",
        ),
        case("a body that its connection ends", get(), "200 OK", "to the end", Close, 200, "ok"),
        Case { service: Some((large, Open)), ..ok("a large body", get(), "200 OK", "") },
        ok("an upload", post().body(noise(200_000)), "201 Created; content-length: 2", "ok"),
        ok("an upload in chunks", post().chunked(noise(90_000)), "200 OK; content-length: 0", ""),
        case("a body cut short", get(), "200 OK; content-length: 50", "only this", Close, 200, "truncated"),
        case(
            "chunks cut short",
            get(),
            "200 OK; transfer-encoding: chunked",
            "5\r\nhello\r\n",
            Close,
            200,
            "truncated",
        ),
        bare("no answer", "", Close),
        bare("an answer that is not HTTP", "SSH-2.0-OpenSSH\r\n", Open),
        alone("an unknown host", Request::get("/").host("nobody.tunnel.test"), 404, "agent_not_found"),
        alone("a bad host", Request::get("/").host("a b"), 400, "bad_host"),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_transports_cannot_be_told_apart() {
    for case in cases() {
        let name = case.name;
        let grpc = within(observe(Transport::Grpc, &case)).await;
        let ws = within(observe(Transport::WebSocket, &case)).await;
        assert_eq!(grpc, ws, "{name}: what is seen over gRPC, and over WebSocket");
        assert!(grpc.start.starts_with(&format!("HTTP/1.1 {} ", case.status)), "{name}: {}", grpc.start);
        assert_eq!(grpc.outcome, case.outcome, "{name}");
        assert_eq!(grpc.body.is_some(), case.outcome != "truncated", "{name}");
    }
}

async fn observe(transport: Transport, case: &Case) -> Seen {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let (head_seen, sees_head) = oneshot::channel();
    let service = case.service.clone().map(|script| tokio::spawn(serve(upstream, script, sees_head)));

    let mut client = tunnel.client().await;
    client.begin(&case.request).await;
    let head = client.reader.head().await;
    let _ = head_seen.send(()); // where there is no service, nobody waits for it
    let bodiless = matches!(head.status(), 204 | 304) || case.name == "a head alone";
    let body = if bodiless { Some(Default::default()) } else { client.reader.body(&head).await.ok() };

    tunnel.gateway.idle().await;
    let metrics = tunnel.gateway.metrics().await;
    let outcome: Vec<&str> = OUTCOMES.into_iter().filter(|outcome| metrics.outcome(outcome) == 1).collect();
    drop(tunnel); // which ends what the service left open
    let forwarded = match service {
        Some(service) => Some(service.await.unwrap()),
        None => None,
    };
    let fields = steady(head.fields);
    // The gateway's own words name the request.
    let body =
        body.map(|(body, trailers)| if case.outcome == "ok" { (body, trailers) } else { Default::default() });
    Seen { start: head.start, fields, body, forwarded, outcome: outcome.join(", ") }
}

async fn serve(
    upstream: Upstream,
    (response, ending): (Vec<u8>, Ending),
    head_seen: oneshot::Receiver<()>,
) -> (String, Fields, Vec<u8>) {
    let mut service = upstream.accept().await;
    let request = service.request().await;
    service.send(&response).await;
    match ending {
        Ending::Open => service.closed().await,
        Ending::Close if response.is_empty() => drop(service),
        Ending::Close => {
            // Before its head is out, a response that breaks off is as good as none.
            let _ = head_seen.await;
            drop(service);
        }
    }
    (request.head.start, steady(request.head.fields), request.body)
}

/// The fields that are the same for every request.
fn steady(mut fields: Fields) -> Fields {
    fields.retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"));
    fields
}
