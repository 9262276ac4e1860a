//! Takeover against goodbye, in every order that a model checker thinks of: `.ci/models` runs these, with shuttle's locks in
//! place of the system's.
//!
//! They can fail, which was tried: when `Registry::remove` goes by the agent's instance and not by the session itself, the
//! heir is found missing; when `Registry::register` does not retire the older session, or takes out the older and puts in
//! the newer under two locks and not under one, that is found, too. So is a choice that asks a session for its standing twice.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]

use std::{sync::Arc, time::Duration};

use proto::drain;
use shuttle::thread;

use crate::{Choice, Instances, Registration, Registry, Session};

const SCHEDULES: usize = 3_000;

/// Schedules at random, and others with few but well-placed switches.
fn check(model: fn()) {
    shuttle::check_random(model, SCHEDULES);
    shuttle::check_pct(model, SCHEDULES, 3);
}

fn session(instance: &str) -> Arc<Session> {
    Session::for_tests("myapp", instance, 0)
}

fn registry() -> Arc<Registry> {
    Arc::new(Registry::new(Duration::ZERO, 0))
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

fn is_picked(registry: &Registry, session: &Arc<Session>) -> bool {
    picked(registry).is_some_and(|picked| Arc::ptr_eq(&picked, session))
}

/// An agent comes back while its older session says goodbye and requests come in.
fn takeover() {
    let registry = registry();
    let (older, newer) = (session("one"), session("one"));
    let first = register(&registry, &older);
    let heir = {
        let (registry, newer) = (Arc::clone(&registry), Arc::clone(&newer));
        thread::spawn(move || register(&registry, &newer))
    };
    let goodbye = thread::spawn(move || drop(first));
    let client = {
        let registry = Arc::clone(&registry);
        thread::spawn(move || picked(&registry))
    };
    let found = client.join().unwrap();
    assert!(found.is_none_or(|found| Arc::ptr_eq(&found, &older) || Arc::ptr_eq(&found, &newer)));
    goodbye.join().unwrap();
    let second = heir.join().unwrap();
    assert!(is_picked(&registry, &newer), "a late goodbye removed the heir");
    assert!(!newer.is_retired());
    drop(second);
    assert!(picked(&registry).is_none(), "a session outlives its registration");
    assert_eq!(Arc::strong_count(&newer), 1, "a session leaks");
}

/// Without a goodbye, the older session is retired and found no more.
fn retirement() {
    let registry = registry();
    let (older, newer, other) = (session("one"), session("one"), session("two"));
    let first = register(&registry, &older);
    let heir = {
        let (registry, newer) = (Arc::clone(&registry), Arc::clone(&newer));
        thread::spawn(move || register(&registry, &newer))
    };
    let neighbour = {
        let (registry, other) = (Arc::clone(&registry), Arc::clone(&other));
        thread::spawn(move || drop(register(&registry, &other)))
    };
    // There is an agent all the time, so requests find one.
    assert!(picked(&registry).is_some(), "a moment without an agent");
    let second = heir.join().unwrap();
    neighbour.join().unwrap();
    assert!(older.is_retired() && !newer.is_retired() && !other.is_retired());
    assert!(is_picked(&registry, &newer));
    drop(first);
    assert!(is_picked(&registry, &newer), "a late goodbye removed the heir");
    drop(second);
    assert!(picked(&registry).is_none());
    assert_eq!([&older, &newer, &other].map(Arc::strong_count), [1, 1, 1], "a session leaks");
}

/// Two links of one instance at once: exactly one is the heir.
fn rivals() {
    let registry = registry();
    let sessions = [session("one"), session("one")];
    let arrivals = [0, 1].map(|at| {
        let (registry, session) = (Arc::clone(&registry), Arc::clone(&sessions[at]));
        thread::spawn(move || register(&registry, &session))
    });
    let registrations = arrivals.map(|arrival| arrival.join().unwrap());
    let retired = sessions.each_ref().map(|session| session.is_retired());
    assert_ne!(retired[0], retired[1], "both were retired, or neither");
    assert!(is_picked(&registry, &sessions[usize::from(retired[0])]));
    drop(registrations);
    assert!(picked(&registry).is_none());
}

/// A session whose standing changes while it is looked at takes requests before and after, so it does meanwhile.
fn standing() {
    let registry = registry();
    let sessions = ["one", "two"].map(session);
    let registrations = sessions.each_ref().map(|session| register(&registry, session));
    let retiring = {
        let sessions = sessions.clone();
        thread::spawn(move || sessions.iter().for_each(|session| session.retire(drain::Reason::MaxAge)))
    };
    assert!(picked(&registry).is_some(), "a moment without an agent");
    retiring.join().unwrap();
    assert!(picked(&registry).is_some());
    drop(registrations);
}

#[test]
fn a_retirement_against_requests() {
    check(standing);
}

#[test]
fn a_takeover_against_a_goodbye() {
    check(takeover);
}

#[test]
fn a_takeover_against_requests_and_a_neighbour() {
    check(retirement);
}

#[test]
fn a_takeover_against_a_takeover() {
    check(rivals);
}
