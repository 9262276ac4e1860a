use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};

use super::*;
use crate::{
    board::{Board, Health, Why},
    status::tests::{accept, board},
};

async fn ask(board: &Arc<Board>, path: &str) -> (u16, String) {
    let source = Source::new(Arc::clone(board));
    let response = answer(&source, &Request::get(path).body(()).unwrap());
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn an_agent_is_ready_with_a_link_and_a_service_that_is_well() {
    let (board, url) = board();
    assert_eq!(ask(&board, "/healthz").await.0, 200);
    assert_eq!(ask(&board, "/readyz").await, (503, "no link to a gateway\n".to_owned()));
    let _link = accept(&board, &url, 1);
    assert_eq!(ask(&board, "/readyz").await.0, 200);
    board.on_health(Health { serving: false, message: "503".to_owned() });
    assert_eq!(ask(&board, "/readyz").await, (503, "the local service cannot be asked\n".to_owned()));
}

#[tokio::test]
async fn metrics_say_what_happened() {
    let (board, url) = board();
    let _link = accept(&board, &url, 0);
    board.on_reconnect(0, Why::Rotated);
    let (_, text) = ask(&board, "/metrics").await;
    for line in [
        "indranet_agent_links{state=\"connected\"} 1",
        "indranet_agent_links{state=\"disconnected\"} 1",
        "indranet_agent_reconnects_total{reason=\"rotated\"} 1",
        "indranet_agent_reconnects_total{reason=\"lost\"} 0",
        "indranet_agent_requests_total{outcome=\"2xx\"} 0",
        "indranet_agent_requests_in_flight 0",
        "indranet_agent_service_healthy 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
}

#[tokio::test]
async fn status_is_the_document_and_everything_else_says_what_there_is() {
    let (board, _) = board();
    let (code, text) = ask(&board, "/status").await;
    assert_eq!(code, 200);
    assert_eq!(serde_json::from_str::<crate::status::Status>(&text).unwrap().id, "myapp");
    assert_eq!(ask(&board, "/").await.0, 404);
    let source = Source::new(board);
    let post = answer(&source, &Request::post("/healthz").body(()).unwrap());
    assert_eq!(post.status(), StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn it_answers_over_http() {
    let (board, _) = board();
    let admin = Admin::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let addr = admin.addr().unwrap();
    let serving = tokio::spawn(admin.serve(Source::new(board)));
    let stream = TokioIo::new(tokio::net::TcpStream::connect(addr).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get("/healthz").header("host", "agent").body(Full::<Bytes>::default()).unwrap();
    assert_eq!(sender.send_request(request).await.unwrap().status(), 200);
    serving.abort();
}
