use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;

#[test]
fn it_takes_two_failures_to_believe_one_and_one_success() {
    let mut verdict = Verdict::new();
    let changes: Vec<_> = [false, true, false, false, false, true, true, false, true]
        .map(|good| verdict.on_result(good))
        .to_vec();
    let expected = [None, None, None, Some(false), None, Some(true), None, None, None];
    assert_eq!(changes, expected);
}

/// A service that gives one answer to each connection, and tells what it was asked.
async fn service(answer: &'static str) -> (Upstream, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            if stream.read(&mut byte).await.unwrap() == 0 {
                break;
            }
            asked.extend(byte);
        }
        stream.write_all(answer.as_bytes()).await.unwrap();
        String::from_utf8(asked).unwrap()
    });
    (Upstream::http("127.0.0.1", port), asked)
}

#[tokio::test]
async fn success_and_redirection_are_health() {
    for (answer, healthy) in [
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        ("HTTP/1.1 302 Found\r\nlocation: /\r\ncontent-length: 0\r\n\r\n", true),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", false),
        ("HTTP/1.1 503 Service Unavailable\r\ncontent-length: 9\r\n\r\nnot today", false),
        ("SSH-2.0-nothing\r\n", false),
        ("", false),
    ] {
        let (upstream, asked) = service(answer).await;
        let host = upstream.host_field();
        let check = HealthCheck::Http { upstream, path: "/up?full=1".to_owned() };
        let outcome = probe(&check, &UpstreamTls::default()).await;
        assert_eq!(outcome.is_ok(), healthy, "{answer}: {outcome:?}");
        let asked = asked.await.unwrap();
        assert!(asked.starts_with("GET /up?full=1 HTTP/1.1\r\n"), "{asked}");
        assert!(asked.contains(&format!("host: {host}\r\n")) && asked.contains("indranet-agent/"), "{asked}");
    }
}

#[tokio::test]
async fn a_service_that_accepts_connections_is_enough_for_tcp() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let upstream = Upstream::http("127.0.0.1", listener.local_addr().unwrap().port());
    let check = HealthCheck::Tcp(upstream);
    probe(&check, &UpstreamTls::default()).await.unwrap();
    drop(listener);
    let refused = probe(&check, &UpstreamTls::default()).await.unwrap_err();
    assert!(refused.to_string().contains("is anything listening"), "{refused}");
}
