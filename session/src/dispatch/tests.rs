use proto::{id_text, tunnel_close::Reason};

use super::*;
use crate::{Instances, Registration};

struct Scene {
    registry: Arc<Registry>,
    dispatcher: Dispatcher,
}

impl Scene {
    fn new() -> Self {
        let registry = Arc::new(Registry::new(Duration::from_secs(2), 1));
        let dispatcher = Dispatcher::new(Arc::clone(&registry), Metrics::default());
        Self { registry, dispatcher }
    }

    fn join(&self, instance: &str, connection: u32) -> (Arc<Session>, Registration) {
        let session = Session::for_tests("myapp", instance, connection);
        let registration = self.registry.register(&session, Instances::Pool).unwrap();
        (session, registration)
    }

    async fn find(&self) -> Result<Arc<Session>, Unavailable> {
        self.dispatcher.find(&AgentId::parse("myapp").unwrap(), Duration::MAX, || true).await
    }

    async fn begin(&self, method: &'static str) -> Attempt {
        let id = Uuid::new_v4();
        let request = TunnelRequest {
            id: id_text(id),
            method: method.into(),
            end_stream: true,
            timeout_ms: 10_000,
            ..TunnelRequest::default()
        };
        let session = self.find().await.unwrap();
        self.dispatcher.open(session, id, request).await.unwrap().1
    }

    async fn again(&self, attempt: &mut Attempt, abort: &Abort) -> Option<Arc<Session>> {
        let opened = self.dispatcher.again(attempt, abort, true).await?;
        std::mem::forget(opened); // dropping it would cancel the exchange
        Some(Arc::clone(&attempt.session))
    }
}

const LOST: Abort = Abort::LinkLost { handed_over: true };

fn by_peer(reason: Reason) -> Abort {
    Abort::Peer { reason, message: String::new() }
}

#[test]
fn the_table_of_repetitions() {
    let may = |abort: &Abort, repeatable, whole| verdict::of(abort, repeatable, whole).is_some();
    for abort in
        [Abort::LinkLost { handed_over: false }, by_peer(Reason::Refused), by_peer(Reason::UpstreamConnect)]
    {
        assert!(may(&abort, false, true), "{abort}");
        assert!(!may(&abort, true, false), "{abort}");
    }
    for abort in [LOST, Abort::Unheard] {
        assert!(may(&abort, true, true), "{abort}");
        assert!(!may(&abort, false, true), "{abort}");
        assert!(!may(&abort, true, false), "{abort}");
    }
    for abort in [
        by_peer(Reason::UpstreamReset),
        by_peer(Reason::Timeout),
        by_peer(Reason::Cancelled),
        Abort::Local(Reason::Timeout),
        Abort::Violation("a rule"),
        Abort::Stopped,
    ] {
        assert!(!may(&abort, true, true), "{abort}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_link_is_lost_goes_over_another_one_once() {
    let scene = Scene::new();
    let _links = [scene.join("one", 0), scene.join("one", 1), scene.join("two", 0)];
    let mut attempt = scene.begin("GET").await;
    let first = Arc::clone(&attempt.session);
    let second = scene.again(&mut attempt, &LOST).await.unwrap();
    assert!(!Arc::ptr_eq(&first, &second));
    assert_eq!(attempt.request.attempt, 1);
    assert!(scene.again(&mut attempt, &LOST).await.is_none());
    let mut unsafe_one = scene.begin("POST").await;
    assert!(scene.again(&mut unsafe_one, &LOST).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_was_refused_goes_on_until_nobody_is_left() {
    let scene = Scene::new();
    let _links = [scene.join("one", 0), scene.join("one", 1)];
    tokio::time::advance(Duration::from_secs(60)).await;
    let mut attempt = scene.begin("POST").await;
    assert!(scene.again(&mut attempt, &by_peer(Reason::Refused)).await.is_some());
    assert!(scene.again(&mut attempt, &by_peer(Reason::Refused)).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_reached_is_left_for_that_of_another_process() {
    let scene = Scene::new();
    let _links = [scene.join("one", 0), scene.join("one", 1)];
    let mut attempt = scene.begin("POST").await;
    assert!(scene.again(&mut attempt, &by_peer(Reason::UpstreamConnect)).await.is_none());
    let (other, _registration) = scene.join("two", 0);
    let mut attempt = scene.begin("POST").await;
    while Arc::ptr_eq(&attempt.session, &other) {
        attempt = scene.begin("POST").await;
    }
    let next = scene.again(&mut attempt, &by_peer(Reason::UpstreamConnect)).await.unwrap();
    assert!(Arc::ptr_eq(&next, &other));
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_waits_for_its_agent_within_the_time_of_its_answer() {
    let scene = Arc::new(Scene::new());
    let (session, registration) = scene.join("one", 0);
    let mut attempt = scene.begin("GET").await;
    session.close(link::CloseReason::Gone);
    drop(registration);
    let waiting = tokio::spawn({
        let scene = Arc::clone(&scene);
        async move {
            let next = scene.again(&mut attempt, &LOST).await;
            (next, attempt.request.timeout_ms)
        }
    });
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (back, _registration) = scene.join("one", 0);
    let (next, timeout_ms) = waiting.await.unwrap();
    assert!(Arc::ptr_eq(&next.unwrap(), &back));
    assert_eq!(timeout_ms, 9_000, "the time that it has is not given twice");
}

#[tokio::test(start_paused = true)]
async fn what_is_left_of_the_time_may_be_nothing() {
    let scene = Scene::new();
    let _links = [scene.join("one", 0), scene.join("one", 1)];
    let mut attempt = scene.begin("GET").await;
    tokio::time::advance(Duration::from_millis(9_970)).await;
    assert!(scene.again(&mut attempt, &Abort::Unheard).await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_at_this_moment_is_no_reason_to_fail() {
    let scene = Scene::new();
    let (session, _first) = scene.join("one", 0);
    let (heir, _second) = scene.join("two", 0);
    session.close(link::CloseReason::Gone);
    let request = TunnelRequest { end_stream: true, ..TunnelRequest::default() };
    let (_opened, attempt) = scene.dispatcher.open(session, Uuid::new_v4(), request).await.unwrap();
    assert!(Arc::ptr_eq(&attempt.session, &heir));
}

#[tokio::test(start_paused = true)]
async fn absence_has_its_reasons() {
    let scene = Scene::new();
    assert_eq!(scene.find().await.unwrap_err(), Unavailable::Offline);
    let (session, _registration) = scene.join("one", 0);
    session.set_serving(false);
    assert_eq!(scene.find().await.unwrap_err(), Unavailable::Unhealthy);
}

#[tokio::test(start_paused = true)]
async fn a_lost_request_goes_to_another_process_if_there_is_one() {
    let scene = Scene::new();
    let _links = [scene.join("one", 0), scene.join("one", 1), scene.join("two", 0), scene.join("two", 1)];
    for _ in 0..20 {
        let mut attempt = scene.begin("GET").await;
        let first = Arc::clone(&attempt.session);
        let second = scene.again(&mut attempt, &LOST).await.unwrap();
        assert!(!first.is_same_instance(&second));
    }
}
