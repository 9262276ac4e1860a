use proto::TunnelRequest;

use super::scene::{OK, Scene, fields, get, upload, within};

fn expecting() -> TunnelRequest {
    TunnelRequest { expect_continue: true, ..upload(Some(4)) }
}

#[tokio::test]
async fn a_service_that_wants_the_body_is_heard_by_the_client() {
    let mut scene = Scene::new().await;
    let id = scene.ask(expecting());
    let mut peer = scene.accept().await;
    assert!(peer.head().await.contains("\r\nexpect: 100-continue\r\n"));
    peer.write("HTTP/1.1 100 Continue\r\n\r\n").await;
    let interim = scene.head(id).await;
    assert_eq!((interim.status, interim.informational), (100, true));
    scene.data(id, "body", true);
    peer.expect("body").await;
    peer.write(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
    scene.exchange(&mut peer, get(), OK).await;
}

#[tokio::test]
async fn a_service_that_does_not_want_the_body_never_gets_it() {
    let mut scene = Scene::new().await;
    let id = scene.ask(expecting());
    // Whatever the gateway does.
    scene.data(id, "body", true);
    let mut peer = scene.accept().await;
    peer.answer("HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n").await;
    assert_eq!(scene.response(id).await.head.status, 417);
    assert_eq!(peer.closed().await, b"", "it may still wait for the body: of no use to others");
}

#[tokio::test]
async fn a_client_whose_body_is_not_wanted_is_told_to_stop() {
    let mut scene = Scene::new().await;
    let id = scene.ask(expecting());
    let mut peer = scene.accept().await;
    peer.answer("HTTP/1.1 401 Unauthorized\r\ncontent-length: 9\r\n\r\npart").await;
    assert_eq!(scene.head(id).await.status, 401);
    scene.stopped(id).await;
}

#[tokio::test]
async fn a_service_that_waits_for_the_body_gets_it_after_a_second() {
    let mut scene = Scene::new().await;
    let begun = tokio::time::Instant::now();
    let id = scene.ask(expecting());
    let mut peer = scene.accept().await;
    peer.head().await;
    tokio::time::pause();
    let interim = scene.head(id).await;
    assert_eq!((interim.status, interim.informational), (100, true));
    assert!(begun.elapsed().as_millis() >= 1000, "{:?}", begun.elapsed());
    tokio::time::resume();
    scene.data(id, "body", true);
    peer.expect("body").await;
    // Late, and said already.
    peer.write("HTTP/1.1 100 Continue\r\n\r\n").await;
    peer.write(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
}

#[tokio::test]
async fn what_the_service_says_meanwhile_is_passed_on() {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    peer.answer("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\nlink: </b>\r\n\r\n").await;
    let interim = scene.head(id).await;
    assert_eq!((interim.status, interim.informational, interim.end_stream), (103, true, false));
    assert_eq!(interim.headers, fields(&[("link", b"</a>"), ("link", b"</b>")]));
    peer.write(&format!("HTTP/1.1 102 Working On It\r\n\r\n{OK}")).await;
    let interim = scene.head(id).await;
    assert_eq!((interim.status, interim.reason.as_str()), (102, "Working On It"));
    assert_eq!(scene.response(id).await.body, b"ok");
    scene.exchange(&mut peer, get(), OK).await;
}

#[tokio::test]
async fn a_service_that_never_stops_to_say_so_is_not_passed_on_for_ever() {
    let mut scene = Scene::new().await;
    let id = scene.ask(get());
    let mut peer = scene.accept().await;
    peer.answer(&format!("{}{OK}", "HTTP/1.1 102 Processing\r\n\r\n".repeat(40))).await;
    let mut interims = 0;
    let head = within(async {
        loop {
            let head = scene.head(id).await;
            if !head.informational {
                break head;
            }
            interims += 1;
        }
    })
    .await;
    assert_eq!((interims, head.status), (16, 200));
}
