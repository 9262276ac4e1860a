use proto::{TunnelRequest, agent_frame::Frame, tunnel_close::Reason};
use tokio::io::AsyncWriteExt as _;
use uuid::Uuid;

use super::scene::{OK, Peer, Scene, fields, get, request, upload};

const SWITCHING: &str =
    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo/2\r\nx-accept: 1\r\n\r\n";

fn switching() -> TunnelRequest {
    TunnelRequest { upgrade: "echo".to_owned(), end_stream: false, ..request("GET") }
}

/// Both sides speak another protocol.
async fn switched() -> (Scene, Uuid, Peer) {
    let mut scene = Scene::new().await;
    let id = scene.ask(switching());
    let mut peer = scene.accept().await;
    peer.answer(SWITCHING).await;
    assert_eq!(scene.head(id).await.status, 101);
    (scene, id, peer)
}

async fn data(scene: &mut Scene, id: Uuid) -> (Vec<u8>, bool) {
    match scene.frame(id).await {
        Frame::Data(data) => (data.chunk.to_vec(), data.end_stream),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_switch_is_asked_for_and_passed_on() {
    let mut scene = Scene::new().await;
    let id = scene.ask(switching());
    let mut peer = scene.accept().await;
    let head = peer.head().await;
    assert!(head.ends_with("\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n"), "{head}");
    assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
    peer.write(&format!("{SWITCHING}hello")).await;
    let head = scene.head(id).await;
    assert_eq!((head.status, head.upgrade.as_str(), head.end_stream), (101, "echo/2", false));
    assert!(!head.informational);
    assert_eq!(head.headers, fields(&[("x-accept", b"1")]));
    assert_eq!(
        data(&mut scene, id).await,
        (b"hello".to_vec(), false),
        "what stands behind the head is not lost"
    );
}

#[tokio::test]
async fn bytes_go_both_ways_and_each_way_ends_by_itself() {
    let (mut scene, id, mut peer) = switched().await;
    scene.data(id, "ping", false);
    peer.expect("ping").await;
    peer.write("pong").await;
    assert_eq!(data(&mut scene, id).await, (b"pong".to_vec(), false));

    scene.data(id, "last", true);
    assert_eq!(peer.closed().await, b"last", "the client has ended its direction");
    peer.write("more").await;
    assert_eq!(data(&mut scene, id).await, (b"more".to_vec(), false));
    drop(peer);
    assert_eq!(data(&mut scene, id).await, (b"".to_vec(), true));
    assert_eq!(scene.over_with().await, (Some(101), None));
}

#[tokio::test]
async fn a_service_may_end_its_direction_first() {
    let (mut scene, id, mut peer) = switched().await;
    peer.write("bye").await;
    peer.0.shutdown().await.unwrap();
    assert_eq!(scene.rest(id, Default::default()).await.body, b"bye");
    scene.data(id, "still here", false);
    peer.expect("still here").await;
    scene.close(id, Reason::Done, Vec::new());
    assert_eq!(peer.closed().await, b"");
    assert_eq!(scene.over_with().await, (Some(101), None));
}

#[tokio::test]
async fn a_client_that_leaves_closes_the_connection() {
    let (mut scene, id, mut peer) = switched().await;
    scene.close(id, Reason::Cancelled, Vec::new());
    peer.closed().await;
    assert!(scene.over_with().await.1.is_some());
}

#[tokio::test]
async fn a_service_that_breaks_off_is_no_end() {
    let (mut scene, id, peer) = switched().await;
    peer.0.set_zero_linger().unwrap();
    drop(peer);
    assert_eq!(scene.aborted(id).await, Reason::UpstreamReset);
}

#[tokio::test]
async fn a_service_that_does_not_switch_answers_as_usual() {
    let mut scene = Scene::new().await;
    let id = scene.ask(switching());
    let mut peer = scene.accept().await;
    peer.answer(OK).await;
    assert_eq!(scene.response(id).await.body, b"ok");
    // The request is over: it had no body, and the other protocol is not spoken.
    scene.exchange(&mut peer, get(), OK).await;
}

#[tokio::test]
async fn a_switched_connection_is_never_used_again() {
    let (mut scene, id, mut peer) = switched().await;
    scene.close(id, Reason::Done, Vec::new());
    peer.0.shutdown().await.unwrap();
    scene.rest(id, Default::default()).await;
    scene.warm().await;
    peer.closed().await;
}

#[tokio::test]
async fn a_request_with_a_body_is_no_upgrade() {
    let mut scene = Scene::new().await;
    scene.ask(TunnelRequest { upgrade: "echo".to_owned(), ..upload(Some(4)) });
    let mut peer = scene.accept().await;
    assert!(!peer.head().await.contains("upgrade"));
}
