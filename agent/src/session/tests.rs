use std::pin::Pin;

use futures_util::FutureExt as _;
use link::Link;
use proto::{AgentFrame, ConnectAccepted, agent_frame::Frame, control_message::Type};

use super::*;
use crate::{Config, Event, GatewayUrl, Transport, Upstream, connection, dial, forward::Routes};

/// A gateway that the test plays, and the session that faces it.
struct Scene {
    outbound: Pin<Box<dial::Outbound>>,
    frames: mpsc::UnboundedSender<GatewayFrame>,
    board: Arc<Board>,
    record: Arc<Record>,
    nudge: crate::Nudge,
    leave: CancellationToken,
    notices: mpsc::UnboundedReceiver<Notice>,
    running: tokio::task::JoinHandle<Ended>,
}

impl Scene {
    fn new(features: &[Feature]) -> Self {
        Self::with_health(features, Health { serving: true, message: String::new() })
    }

    fn with_health(features: &[Feature], health: Health) -> Self {
        let url = GatewayUrl { transport: Transport::Grpc, tls: false, host: "gw".to_owned(), port: 1 };
        let credential = "itk_a_q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng".parse().unwrap();
        let id = proto::AgentId::parse("myapp").unwrap();
        let config = Config::new(Upstream::http("127.0.0.1", 1), vec![url.clone()], id, credential);
        let board = Board::new(&config, Arc::new(|_: Event| {}));
        board.on_health(health);
        let forwarder = Forwarder::new(Routes::new(&config), board.counting());
        let (link, outbound) = Link::new(connection::settings(&link::Budget::new(1 << 20)));
        let (frames, inbound) = mpsc::unbounded_channel();
        let inbound = futures_util::stream::unfold(inbound, async |mut inbound| {
            let frame = inbound.recv().await?;
            Some((Ok(frame), inbound))
        });
        let record = board.on_attempt(0, &url);
        record.on(LifeEvent::TransportUp);
        record.on_accepted(link.clone(), "gw".to_owned());
        let accepted = ConnectAccepted {
            features: features.iter().map(|feature| i32::from(*feature)).collect(),
            heartbeat_interval_ms: 20_000,
            heartbeat_timeout_ms: 10_000,
            ..ConnectAccepted::default()
        };
        let ready = Ready { link, inbound: Box::pin(inbound), accepted, record: Arc::clone(&record) };
        let session = Session::new(0, &ready, forwarder, Arc::clone(&board), Duration::from_secs(30));
        let (nudge, leave) = (crate::Nudge::default(), CancellationToken::new());
        let (told, notices) = mpsc::unbounded_channel();
        let running = tokio::spawn(session.run(ready, told, nudge.listen(), leave.clone()));
        Self { outbound: Box::pin(outbound), frames, board, record, nudge, leave, notices, running }
    }

    /// The next frame of the agent.
    async fn sent(&mut self) -> Frame {
        self.outbound.next().await.expect("the link is open").frame.expect("no frame is empty")
    }

    /// The next PING or PONG.
    async fn control(&mut self) -> ControlMessage {
        loop {
            if let Frame::Control(control) = self.sent().await {
                return control;
            }
        }
    }

    async fn pinged(&mut self) -> ControlMessage {
        let control = self.control().await;
        assert_eq!(control.r#type(), Type::Ping);
        control
    }

    async fn answer_ping(&mut self, spread_ms: u32) {
        let ping = self.pinged().await;
        self.say(ControlMessage::pong(ping.payload, spread_ms));
    }

    fn say(&self, frame: impl Into<GatewayFrame>) {
        self.frames.send(frame.into()).unwrap();
    }

    /// Lets the session take note of everything that was said.
    async fn heard(&self) {
        for _ in 0..8 {
            tokio::task::yield_now().await;
        }
    }

    fn nothing_sent(&mut self) -> bool {
        self.outbound.next().now_or_never().is_none()
    }
}

fn since(begun: Instant) -> f64 {
    link::now().saturating_duration_since(begun).as_secs_f64()
}

#[tokio::test(start_paused = true)]
async fn a_link_without_a_word_is_given_up_within_half_a_minute() {
    for _ in 0..20 {
        let mut scene = Scene::new(&[]);
        scene.answer_ping(0).await;
        let begun = link::now();
        scene.pinged().await;
        scene.heard().await;
        assert_eq!(scene.record.state(), link::LinkState::Heartbeat);
        assert_eq!(scene.running.await.unwrap(), Ended::Silent(Duration::from_secs(10)));
        let took = since(begun);
        assert!((23.9..=29.1).contains(&took), "{took}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_is_silent_while_a_request_is_in_progress_is_asked_after_five_seconds() {
    let mut scene = Scene::new(&[]);
    scene.answer_ping(0).await;
    scene.heard().await;
    // By now nobody expects anything for a while.
    tokio::time::sleep(Duration::from_secs(6)).await;
    let link = scene.record.accepted().unwrap().link.clone();
    let _exchange = link.take_up(uuid::Uuid::nil(), bytes::Bytes::new(), false, 0).unwrap();
    scene.say(ControlMessage::ping(bytes::Bytes::new()));
    let begun = link::now();
    assert_eq!(scene.control().await.r#type(), Type::Pong);
    scene.pinged().await;
    assert!((4.9..=5.1).contains(&since(begun)), "{}", since(begun));
    assert_eq!(scene.running.await.unwrap(), Ended::Silent(Duration::from_secs(10)));
    assert!((14.9..=15.1).contains(&since(begun)), "{}", since(begun));
}

#[tokio::test(start_paused = true)]
async fn a_doubt_is_settled_in_three_seconds() {
    let mut scene = Scene::new(&[]);
    scene.answer_ping(0).await;
    scene.heard().await;
    scene.nudge.nudge();
    scene.answer_ping(0).await;
    scene.heard().await;
    assert_eq!(scene.record.state(), link::LinkState::Connected);
    let begun = link::now();
    scene.nudge.nudge();
    scene.pinged().await;
    assert!(matches!(scene.running.await.unwrap(), Ended::Silent(_)));
    assert!((2.9..=3.1).contains(&since(begun)), "{}", since(begun));
}

#[tokio::test(start_paused = true)]
async fn what_the_gateway_advises_is_remembered() {
    let mut scene = Scene::new(&[]);
    scene.answer_ping(4000).await;
    scene.heard().await;
    assert_eq!(scene.record.spread(), Duration::from_secs(4));
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_be_asked_is_told_first_thing_and_every_change_after_that() {
    let ill = Health { serving: false, message: "\u{20ac}".repeat(300) };
    let mut scene = Scene::with_health(&[Feature::Health], ill);
    let Frame::Health(told) = scene.sent().await else { panic!("no Health") };
    assert!(!told.serving && told.message.len() <= proto::limits::MAX_CLOSE_MESSAGE);
    scene.answer_ping(0).await;
    scene.heard().await;
    scene.board.on_health(Health { serving: true, message: String::new() });
    let Frame::Health(told) = scene.sent().await else { panic!("no Health") };
    assert!(told.serving);
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_know_of_health_is_told_nothing() {
    let ill = Health { serving: false, message: String::new() };
    let mut scene = Scene::with_health(&[Feature::Drain], ill.clone());
    scene.answer_ping(0).await;
    scene.heard().await;
    scene.board.on_health(ill);
    scene.heard().await;
    assert!(scene.nothing_sent());
}

#[tokio::test(start_paused = true)]
async fn a_link_that_ends_without_a_goodbye_was_cut_and_one_that_was_drained_was_not() {
    let mut scene = Scene::new(&[]);
    scene.pinged().await;
    let Scene { frames, running, outbound: _outbound, .. } = scene;
    drop(frames);
    assert!(matches!(running.await.unwrap(), Ended::Cut(_)));

    let mut scene = Scene::new(&[]);
    scene.answer_ping(0).await;
    let reason = drain::Reason::MaxAge.into();
    scene.say(Drain { reason, deadline_ms: 1000, reconnect_after_ms: 700 });
    let Notice::Leave { reconnect_after, .. } = scene.notices.recv().await.unwrap();
    assert_eq!(reconnect_after, Duration::from_millis(700));
    assert_eq!(scene.record.state(), link::LinkState::Draining);
    let Scene { frames, running, outbound: _outbound, .. } = scene;
    drop(frames);
    assert!(matches!(running.await.unwrap(), Ended::Orderly(_)));
}

#[tokio::test(start_paused = true)]
async fn a_link_that_leaves_says_so_and_refuses_only_what_comes_behind_the_fence() {
    let mut scene = Scene::new(&[]);
    scene.answer_ping(0).await;
    scene.heard().await;
    scene.leave.cancel();
    let drain = scene.sent().await;
    assert!(matches!(drain, Frame::Drain(_)), "{drain:?}");
    assert_eq!(scene.record.state(), link::LinkState::Draining);
    scene.answer_ping(0).await;
    scene.answer_ping(0).await;
    let outbound = scene.outbound.collect::<Vec<AgentFrame>>();
    let (left, ()) = tokio::join!(outbound, async { drop(scene.frames) });
    assert!(left.is_empty(), "{left:?}");
    assert_eq!(scene.running.await.unwrap(), Ended::Orderly("shut down".to_owned()));
}
