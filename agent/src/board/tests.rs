use link::{LifeEvent, Link};
use proto::AgentId;

use super::*;
use crate::{Transport, Upstream, connection};

struct Scene {
    board: Arc<Board>,
    url: GatewayUrl,
    told: Arc<Mutex<Vec<String>>>,
}

impl Scene {
    fn new() -> Self {
        let url = GatewayUrl { transport: Transport::Grpc, tls: false, host: "gw".to_owned(), port: 1 };
        let credential = "itk_a_q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng".parse().unwrap();
        let id = AgentId::parse("myapp").unwrap();
        let config = Config::new(Upstream::http("127.0.0.1", 1), vec![url.clone()], id, credential);
        let told = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&told);
        let observer: Observer = Arc::new(move |event| {
            heard.lock().unwrap().push(match event {
                Event::Connecting { .. } => "connecting".to_owned(),
                Event::Online { gateway_id, .. } => format!("online {gateway_id}"),
                Event::Offline { reason, .. } => format!("offline {reason}"),
                Event::Draining { in_flight } => format!("draining {in_flight}"),
                other => format!("{other:?}"),
            });
        });
        Self { board: Board::new(&config, observer), url, told }
    }

    fn accept(&self, slot: u32, gateway_id: &str, moved: bool) -> Arc<Record> {
        let record = self.board.on_attempt(slot, &self.url);
        record.on(LifeEvent::TransportUp);
        let (link, _outbound) = Link::new(connection::settings(&link::Budget::new(1)));
        record.on_accepted(link, gateway_id.to_owned());
        self.board.on_online(slot, &record, &["http://myapp".to_owned()], moved);
        record
    }

    fn lose(&self, record: Arc<Record>, slot: u32, reason: &str) {
        drop(record);
        self.board.on_offline(slot, reason.to_owned(), Duration::from_secs(1));
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut self.told.lock().unwrap())
    }
}

#[tokio::test]
async fn an_agent_is_online_as_long_as_one_link_is() {
    let scene = Scene::new();
    scene.board.on_search(0, &scene.url);
    let first = scene.accept(0, "a", true);
    let second = scene.accept(1, "b", false);
    assert_eq!(scene.told(), ["connecting", "online a"]);
    scene.lose(first, 0, "cut");
    scene.board.on_search(0, &scene.url);
    assert_eq!(scene.told(), [""; 0], "the second link is there");
    scene.lose(second, 1, "cut as well");
    scene.board.on_search(1, &scene.url);
    assert_eq!(scene.told(), ["offline cut as well"]);
    scene.board.on_offline(1, "refused".to_owned(), Duration::ZERO);
    scene.board.on_offline(0, "refused".to_owned(), Duration::ZERO);
    assert_eq!(scene.told(), ["offline refused"], "the first slot speaks for all");
    let _back = scene.accept(1, "b", false);
    assert_eq!(scene.told(), ["online b"]);
    assert_eq!(scene.board.ready(), 1);
}

#[tokio::test]
async fn an_agent_that_moved_says_where_to() {
    let scene = Scene::new();
    let _first = scene.accept(0, "a", true);
    let _moved = scene.accept(0, "b", true);
    assert_eq!(scene.told(), ["online a", "online b"]);
}

#[tokio::test]
async fn an_agent_whose_links_are_drained_searches_and_is_online_again() {
    let scene = Scene::new();
    let first = scene.accept(0, "a", true);
    first.on(LifeEvent::Drain);
    assert_eq!(scene.board.ready(), 0);
    scene.board.on_search(0, &scene.url);
    let _second = scene.accept(0, "b", false);
    assert_eq!(scene.told(), ["online a", "connecting", "online b"]);
}

#[tokio::test]
async fn requests_are_counted_by_the_class_of_their_status() {
    let scene = Scene::new();
    let observer = scene.board.counting();
    let outcomes = [(Some(204), None), (Some(404), None), (Some(200), Some("cut")), (None, Some("refused"))];
    for (status, error) in outcomes {
        observer(Event::Request {
            id: uuid::Uuid::nil(),
            method: "GET".to_owned(),
            path: "/".to_owned(),
            status,
            duration: Duration::ZERO,
            bytes: 0,
            error: error.map(str::to_owned),
            client: None,
        });
    }
    let counted: Vec<_> = scene.board.requests().filter(|(_, count)| *count > 0).collect();
    assert_eq!(counted, [("2xx", 1), ("4xx", 1), ("aborted", 2)]);
    assert_eq!(scene.told().len(), 4, "whoever watches sees them as well");
}

#[tokio::test]
async fn an_event_that_cannot_be_leaves_a_link_as_it_is() {
    let scene = Scene::new();
    let record = scene.board.on_attempt(0, &scene.url);
    record.on(LifeEvent::Accepted);
    assert_eq!(record.state(), link::LinkState::Connecting);
}
