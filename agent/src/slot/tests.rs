use proto::{AgentId, ConnectError, connect_error::Code};

use super::*;
use crate::{
    GatewayUrl, Transport, Upstream,
    connection::ConnectFailure,
    dial::DialError,
    forward::{Forwarder, Routes},
    world::Machine,
};

fn shared(adjust: impl FnOnce(&mut Config)) -> Arc<Shared> {
    let url = GatewayUrl { transport: Transport::Grpc, tls: false, host: "gw".to_owned(), port: 1 };
    let credential = "itk_a_q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng".parse().unwrap();
    let id = AgentId::parse("myapp").unwrap();
    let mut config = Config::new(Upstream::http("127.0.0.1", 1), vec![url], id, credential);
    adjust(&mut config);
    let config = Arc::new(config);
    let board = Board::new(&config, Arc::new(|_| {}));
    let machine = Arc::new(Machine::new(&config));
    Arc::new(Shared {
        connector: Connector::new(
            Arc::clone(&config),
            Arc::clone(&board),
            Arc::clone(&machine) as Arc<dyn World>,
            link::Budget::new(limits::PROCESS_MEMORY),
        ),
        world: machine,
        service: Forwarder::new(Routes::new(&config), board.counting()),
        config,
        board,
        nudge: Nudge::default(),
        leave: CancellationToken::new(),
        ended: CancellationToken::new(),
        sessions: TaskTracker::new(),
        accepted: watch::Sender::new(None),
        ages: Mutex::new(Ages::default()),
        lessons: Nudge::default(),
    })
}

fn refused(code: Code, retryable: bool, retry_after_ms: u32) -> Failures<ConnectFailure> {
    let error = ConnectError { code: code.into(), retryable, retry_after_ms, ..ConnectError::default() };
    vec![(0, ConnectFailure::Refused(error))]
}

fn unreachable() -> Failures<ConnectFailure> {
    vec![(0, ConnectFailure::Dial(DialError::Timeout))]
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn being_refused_ends_an_agent_only_before_its_first_success() {
    let shared = shared(|_| {});
    let mut slot = Slot::new(0, Arc::clone(&shared));
    let refusal = refused(Code::Unauthenticated, false, 0);
    assert!(matches!(slot.on_failure(&refusal), Err(RunError::Refused(_))));
    shared.accepted.send_replace(Some(0));
    let pause = slot.on_failure(&refusal).unwrap();
    assert!((MINUTE..MINUTE * 2).contains(&pause), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn attempts_are_limited_only_while_no_link_is_there() {
    let shared = shared(|config| config.max_retries = Some(3));
    let mut slot = Slot::new(0, Arc::clone(&shared));
    assert!(slot.on_failure(&unreachable()).is_ok());
    {
        let other = shared.board.on_attempt(1, &shared.config.gateways[0]);
        other.on(link::LifeEvent::TransportUp);
        other.on(link::LifeEvent::Accepted);
        assert!(slot.on_failure(&unreachable()).is_ok(), "requests still come");
        assert!(slot.on_failure(&unreachable()).is_ok(), "requests still come");
    }
    assert!(matches!(slot.on_failure(&unreachable()), Err(RunError::Unreachable { attempts: 4, .. })));
}

#[tokio::test(start_paused = true)]
async fn there_are_as_many_attempts_as_are_allowed_and_never_none() {
    for (allowed, attempts) in [(0, 1), (1, 1), (2, 2), (3, 3)] {
        let mut slot = Slot::new(0, shared(|config| config.max_retries = Some(allowed)));
        for _ in 1..attempts {
            assert!(slot.on_failure(&unreachable()).is_ok(), "{allowed}");
        }
        let given_up = slot.on_failure(&unreachable());
        assert!(matches!(given_up, Err(RunError::Unreachable { attempts: made, .. }) if made == attempts));
    }
}

#[tokio::test(start_paused = true)]
async fn a_further_link_that_is_not_wanted_is_asked_for_rarely_and_ends_nothing() {
    let shared = shared(|config| config.max_retries = Some(0));
    let mut slot = Slot::new(1, shared);
    for failures in [refused(Code::Limit, true, 100), refused(Code::Unauthenticated, false, 0)] {
        let pause = slot.on_failure(&failures).unwrap();
        assert!((MINUTE..MINUTE * 2).contains(&pause), "{pause:?}");
    }
    assert!(slot.on_failure(&unreachable()).unwrap() <= Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_gateway_is_asked_again_when_it_says_so() {
    let mut slot = Slot::new(0, shared(|_| {}));
    let pause = slot.on_failure(&refused(Code::Unavailable, true, 5_000)).unwrap();
    assert!((Duration::from_secs(5)..=Duration::from_millis(5_250)).contains(&pause), "{pause:?}");
}

#[tokio::test(start_paused = true)]
async fn what_ends_a_link_decides_the_pause_and_is_counted() {
    let shared = shared(|_| {});
    let mut slot = Slot::new(0, Arc::clone(&shared));
    let long = MINUTE * 2;
    let cut = || Leaving::Ended(Ended::Cut("cut".to_owned()));
    let silent = Leaving::Ended(Ended::Silent(MINUTE));
    for (leaving, lasted, bounds) in [
        (cut(), long, 0..251),
        (silent, long, 0..251),
        (Leaving::Replace(Duration::from_secs(4)), long, 0..4001),
        (Leaving::Replace(Duration::ZERO), long, 0..1),
        (Leaving::Replace(Duration::ZERO), Duration::ZERO, 0..1001),
        (Leaving::Ousted, long, 60_000..61_000),
    ] {
        let pause = slot.on_left(leaving, lasted).as_millis();
        assert!(bounds.contains(&pause), "{pause} is not in {bounds:?}");
    }
    slot.backoff.on_advice(Duration::from_secs(8));
    let pauses: Vec<_> = (0..64).map(|_| slot.on_left(cut(), long).as_secs()).collect();
    assert!(pauses.iter().any(|pause| *pause >= 4) && pauses.iter().all(|pause| *pause < 8), "{pauses:?}");
    let counts: Vec<_> = shared.board.reconnects().map(|(why, count)| (why.label(), count)).collect();
    let expected =
        [("lost", 65), ("silent", 1), ("drained", 3), ("replaced", 1), ("rotated", 0), ("better", 0)];
    assert_eq!(counts, expected);
}

#[tokio::test(start_paused = true)]
async fn links_that_are_cut_at_one_age_are_replaced_ahead_of_it() {
    let shared = shared(|_| {});
    let mut slot = Slot::new(0, Arc::clone(&shared));
    let age = Duration::from_secs(20);
    for _ in 0..2 {
        assert_eq!(slot.plan(link::now()), Plan::Keep);
        tokio::time::advance(age).await;
        slot.on_left(Leaving::Ended(Ended::Cut("cut".to_owned())), age);
    }
    let Plan::Rotate(at) = Slot::new(1, shared).plan(link::now()) else { panic!("nothing was learned") };
    assert!((Duration::from_secs(13)..=Duration::from_secs(15)).contains(&at), "{at:?}");
}

#[tokio::test(start_paused = true)]
async fn who_knows_the_age_of_links_need_not_learn_it() {
    let age = Duration::from_secs(100);
    let slot = Slot::new(0, shared(|config| config.link_age = LinkAge::AtMost(age)));
    let Plan::Rotate(at) = slot.plan(link::now()) else { panic!("links are kept") };
    assert!((age.mul_f64(0.9)..=age).contains(&at), "{at:?}");
    let mut slot = Slot::new(0, shared(|config| config.link_age = LinkAge::Unlimited));
    for _ in 0..3 {
        tokio::time::advance(age).await;
        slot.on_left(Leaving::Ended(Ended::Cut("cut".to_owned())), age);
    }
    assert_eq!(slot.plan(link::now()), Plan::Keep);
}

#[tokio::test(start_paused = true)]
async fn the_address_that_worked_last_is_tried_first() {
    let url = |port| GatewayUrl { transport: Transport::Grpc, tls: false, host: "gw".to_owned(), port };
    let shared = shared(|config| config.gateways = vec![url(1), url(2), url(3)]);
    let mut slot = Slot::new(1, Arc::clone(&shared));
    assert_eq!(slot.order(), [0, 1, 2]);
    shared.accepted.send_replace(Some(1));
    assert_eq!(slot.order(), [1, 0, 2], "another slot's experience counts");
    slot.last = Some(2);
    assert_eq!(slot.order(), [2, 0, 1], "its own counts more");
}
