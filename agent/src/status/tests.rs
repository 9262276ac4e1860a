use link::{LifeEvent, Link};
use proto::AgentId;

use super::*;
use crate::{Config, GatewayUrl, Transport, Upstream, connection};

pub(crate) const SECRET: &str = "q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng";

pub(crate) fn board() -> (Arc<Board>, GatewayUrl) {
    let url = GatewayUrl { transport: Transport::WebSocket, tls: false, host: "gw".to_owned(), port: 1 };
    let credential = format!("itk_a_{SECRET}").parse().unwrap();
    let id = AgentId::parse("myapp").unwrap();
    let config = Config::new(Upstream::http("127.0.0.1", 3000), vec![url.clone()], id, credential);
    (Board::new(&config, Arc::new(|_| {})), url)
}

pub(crate) fn accept(board: &Board, url: &GatewayUrl, slot: u32) -> Arc<Record> {
    let record = board.on_attempt(slot, url);
    record.on(LifeEvent::TransportUp);
    let (link, _outbound) = Link::new(connection::settings(&link::Budget::new(1)));
    record.on_accepted(link, "gw-1".to_owned());
    board.on_online(slot, &record, &["http://myapp.test".to_owned()], true);
    record
}

fn states(status: &Status) -> Vec<(u32, &str)> {
    status.links.iter().map(|link| (link.number, link.state.as_str())).collect()
}

#[tokio::test]
async fn every_slot_shows_its_links_or_how_far_it_is() {
    let (board, url) = board();
    let source = Source::new(Arc::clone(&board));
    assert_eq!(states(&source.status()), [(0, "disconnected"), (1, "disconnected")]);
    assert!(!source.status().is_online());

    let trying = board.on_attempt(0, &url);
    assert_eq!(states(&source.status()), [(0, "connecting"), (1, "disconnected")]);
    trying.on(LifeEvent::TransportUp);
    let other = board.on_attempt(0, &url);
    assert_eq!(states(&source.status()), [(0, "authenticating"), (1, "disconnected")]);
    drop((trying, other));

    let older = accept(&board, &url, 0);
    older.on(LifeEvent::Drain);
    assert!(!source.status().is_online(), "a link that ends takes no requests");
    let newer = accept(&board, &url, 0);
    let _attempt = board.on_attempt(0, &url);
    let status = source.status();
    assert_eq!(states(&status), [(0, "draining"), (0, "connected"), (1, "disconnected")]);
    assert!(status.is_online());
    assert_eq!(status.links[1].gateway_id.as_deref(), Some("gw-1"));
    assert_eq!(status.links[1].transport.as_deref(), Some("ws"));
    drop((older, newer));
}

#[tokio::test]
async fn why_there_is_no_link_is_said_until_there_is_one() {
    let (board, url) = board();
    let source = Source::new(Arc::clone(&board));
    board.on_offline(1, "cut".to_owned(), Duration::from_secs(5));
    let link = source.status().links.remove(1);
    assert_eq!(link.last_error.as_deref(), Some("cut"));
    assert!((4.0..=5.0).contains(&link.retry_in_s.unwrap()));
    let _link = accept(&board, &url, 1);
    let link = source.status().links.remove(1);
    assert_eq!((link.last_error, link.retry_in_s), (None, None));
}

#[tokio::test]
async fn a_document_comes_back_as_it_was_and_holds_no_secret() {
    let (board, url) = board();
    let _link = accept(&board, &url, 0);
    let status = Source::new(board).status();
    let text = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<Status>(&text).unwrap(), status);
    assert!(!text.contains(SECRET) && !text.contains("itk_"), "{text}");
}
