use std::collections::HashSet;

use proto::drain;

use super::*;

fn registry() -> Arc<Registry> {
    Arc::new(Registry::new(Duration::from_secs(2), 7))
}

fn session(instance: &str) -> Arc<Session> {
    Session::for_tests("myapp", instance, 0)
}

fn register(registry: &Arc<Registry>, session: &Arc<Session>) -> Registration {
    registry.register(session, Instances::Pool).unwrap()
}

fn picked(registry: &Registry) -> Option<Arc<Session>> {
    match registry.pick("myapp", |_| false) {
        Choice::Session(session) => Some(session),
        _ => None,
    }
}

#[test]
fn a_late_goodbye_does_not_remove_the_heir() {
    let registry = registry();
    let (older, newer) = (session("one"), session("one"));
    let first = register(&registry, &older);
    let second = register(&registry, &newer);
    assert!(older.is_retired());
    drop(first);
    assert!(Arc::ptr_eq(&picked(&registry).unwrap(), &newer));
    drop(second);
    assert!(picked(&registry).is_none());
}

#[test]
fn agents_of_other_processes_share_the_id() {
    let registry = registry();
    let (one, two, nameless) = (session("one"), session("two"), session(""));
    let all = [&one, &two, &nameless, &session("")];
    let _registrations = all.map(|session| register(&registry, session));
    let presences = all.map(|session| registry.enter(session));
    assert_eq!(registry.sessions().len(), 4);
    drop(presences);
    assert!(registry.is_empty());
    assert!(![one, two, nameless].iter().any(|session| session.is_retired()));
}

#[test]
fn other_links_of_a_process_stand_beside_each_other() {
    let registry = registry();
    let links = [0, 1].map(|connection| Session::for_tests("myapp", "one", connection));
    let _registrations = links.each_ref().map(|session| register(&registry, session));
    assert!(!links.iter().any(|session| session.is_retired()));
    assert!(Arc::ptr_eq(&picked(&registry).unwrap(), &links[0]), "requests stay together");
}

#[test]
fn the_newest_process_replaces_others_or_is_refused() {
    let registry = registry();
    let (one, two) = (session("one"), session("two"));
    let first = register(&registry, &one);
    assert_eq!(registry.register(&two, Instances::Refuse).unwrap_err(), InUse);
    let again = registry.register(&session("one"), Instances::Refuse).unwrap();
    let _second = registry.register(&two, Instances::Replace).unwrap();
    assert!(one.is_retired());
    drop((first, again));
    assert!(Arc::ptr_eq(&picked(&registry).unwrap(), &two));
}

#[test]
fn a_process_that_was_replaced_comes_back_once_nobody_is_there() {
    let registry = registry();
    let register = |name: &str| registry.register(&session(name), Instances::Replace);
    let _older = register("older").unwrap();
    let newer = register("newer").unwrap();
    assert_eq!(register("older").unwrap_err(), InUse, "they would throw each other out for ever");
    let again = register("newer").unwrap();
    let newest = register("newest").unwrap();
    assert_eq!(register("newer").unwrap_err(), InUse);
    drop((newer, again, newest));
    register("older").unwrap();
}

#[test]
fn sessions_that_end_while_one_is_chosen_do_not_confuse_the_choice() {
    let registry = registry();
    let all = ["one", "two", "three"].map(session);
    let _registrations = all.each_ref().map(|session| register(&registry, session));
    let asked = std::cell::Cell::new(0);
    let end_behind_a_look = |_: &Arc<Session>| {
        asked.set(asked.get() + 1);
        if asked.get() > all.len() {
            all.iter().for_each(|session| session.link().close(link::CloseReason::Gone));
        }
        false
    };
    assert!(matches!(registry.pick("myapp", end_behind_a_look), Choice::Session(_)));
    assert_eq!(asked.get(), all.len(), "each is looked at once");
}

#[test]
fn every_session_is_chosen_about_as_often() {
    let registry = registry();
    let all = ["one", "two", "three", "four"].map(session);
    let _registrations = all.each_ref().map(|session| register(&registry, session));
    let mut counts = [0; 4];
    for _ in 0..4000 {
        let chosen = picked(&registry).unwrap();
        counts[all.iter().position(|session| Arc::ptr_eq(session, &chosen)).unwrap()] += 1;
    }
    assert!(counts.iter().all(|count| (900..1100).contains(count)), "{counts:?}");
}

#[test]
fn the_best_standing_is_asked_first() {
    let registry = registry();
    let all = ["retired", "suspect", "unhealthy", "ready"].map(session);
    let [retired, suspect, unhealthy, ready] = all.each_ref();
    let _registrations = all.each_ref().map(|session| Some(register(&registry, session)));
    retired.retire(drain::Reason::MaxAge);
    suspect.set_suspect(true);
    unhealthy.set_serving(false);
    let ask = |avoid: &[&Arc<Session>]| {
        registry.pick("myapp", |session| avoid.iter().any(|other| Arc::ptr_eq(other, session)))
    };
    let is = |choice: Choice, wanted: &Arc<Session>| matches!(choice, Choice::Session(found) if Arc::ptr_eq(&found, wanted));
    assert!(is(ask(&[]), ready));
    assert!(is(ask(&[ready]), suspect));
    assert!(is(ask(&[ready, suspect]), retired));
    assert!(matches!(ask(&[ready, suspect, retired]), Choice::Unhealthy));
    assert!(matches!(ask(&[ready, suspect, retired, unhealthy]), Choice::Nobody));
    ready.close(link::CloseReason::Gone);
    assert!(is(ask(&[]), suspect));
}

#[test]
fn every_process_gets_its_turn() {
    let registry = registry();
    let all: Vec<_> = (0..5).map(|n| session(&n.to_string())).collect();
    let _registrations: Vec<_> = all.iter().map(|session| register(&registry, session)).collect();
    let seen: HashSet<Uuid> = (0..200).map(|_| picked(&registry).unwrap().id()).collect();
    assert_eq!(seen.len(), 5);
}

#[test]
fn unknown_agents_have_no_session() {
    assert!(matches!(registry().pick("myapp", |_| false), Choice::Nobody));
}

fn agent_id() -> AgentId {
    AgentId::parse("myapp").unwrap()
}

async fn waits(registry: &Arc<Registry>) -> Option<Arc<Session>> {
    registry.arrival(&agent_id(), Duration::from_secs(10), |_| false, || registry.has_just_begun()).await
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_an_agent_that_was_just_lost() {
    let registry = registry();
    drop(register(&registry, &session("one")));
    let waiting = tokio::spawn({
        let registry = Arc::clone(&registry);
        async move { waits(&registry).await }
    });
    tokio::time::sleep(Duration::from_millis(1_900)).await;
    assert_eq!(registry.waiting(), 1);
    let back = session("two");
    let _registration = register(&registry, &back);
    assert!(Arc::ptr_eq(&waiting.await.unwrap().unwrap(), &back));
    assert_eq!(registry.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_waits_longer_than_the_grace_or_for_an_agent_that_is_gone() {
    let registry = registry();
    let begun = tokio::time::Instant::now();
    assert!(waits(&registry).await.is_none(), "a gateway that has just begun expects its agents");
    assert_eq!(begun.elapsed(), Duration::from_secs(2));
    tokio::time::advance(Duration::from_secs(10)).await;
    let begun = tokio::time::Instant::now();
    assert!(waits(&registry).await.is_none());
    register(&registry, &session("one")).leave();
    assert!(waits(&registry).await.is_none());
    let withdrawn = session("one");
    let registration = register(&registry, &withdrawn);
    withdrawn.close(link::CloseReason::Withdrawn { what: "revoked", message: String::new() });
    drop(registration);
    assert!(waits(&registry).await.is_none());
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn only_so_many_wait_for_one_agent() {
    let registry = registry();
    let agent_id = agent_id();
    let bound = proto::limits::MAX_WAITING_PER_AGENT;
    let all: Vec<_> = (0..bound).map(|_| registry.waiting.enter(&agent_id, link::now(), || true)).collect();
    assert!(all.iter().all(Option::is_some));
    assert!(waits(&registry).await.is_none());
    drop(all);
    assert_eq!(registry.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_heir_takes_the_requests_of_a_link_that_leaves_a_ping_unanswered() {
    for (asked, expected) in [(true, Some(link::Abort::Unheard)), (false, None)] {
        let registry = registry();
        let older = session("one");
        let _first = register(&registry, &older);
        let request = proto::TunnelRequest {
            method: "GET".into(),
            end_stream: true,
            ..proto::TunnelRequest::default()
        };
        let mut opened = older.call(Uuid::new_v4(), request).unwrap();
        let quiet = link::now() + Duration::from_secs(if asked { 2 } else { 0 });
        older.link.table().examine(quiet);
        let _second = register(&registry, &session("one"));
        let outcome = tokio::time::timeout(Duration::from_millis(1), opened.receiver.head()).await;
        assert_eq!(outcome.ok().map(Result::unwrap_err), expected);
    }
}
