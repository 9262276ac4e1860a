//! Closing a link against everything else that can end an exchange on it, in every order that a model checker thinks of:
//! `.ci/models` runs these, with shuttle's locks in place of the system's.
//!
//! They can fail, which was tried: without the wake-up in `Exchange::abort` a waiter is found to wait for ever; without the
//! question in `InFlight::close` whether the link is closed already, two reasons are seen; without the release in
//! `InFlight::settle`, credit is missing; with the question of `InFlight::may_open` whether the link is closed asked before
//! the lock is taken, an exchange begins on a closed link and its reader waits for ever.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]

use std::{convert::Infallible, sync::Arc, time::Duration};

use proto::{GatewayFrame, TunnelRequest, limits, tunnel_close::Reason};
use shuttle::{future::block_on, thread};
use uuid::Uuid;

use crate::{Abort, Budget, CloseReason, Link, Opened, Opening, ReaderGone, Settings, clock::now};

type Gateway = Link<GatewayFrame, Infallible>;

const BUDGET: u64 = 1024 * 1024;
const SCHEDULES: usize = 3_000;

fn settings(budget: &Budget) -> Settings {
    Settings {
        max_concurrent: 4,
        send_window: limits::INITIAL_WINDOW,
        recv_window: limits::INITIAL_WINDOW,
        reader_gone: ReaderGone::Cancel,
        response_timeout: Some(Duration::from_secs(10)),
        idle_timeout: Some(Duration::from_secs(60)),
        budget: budget.clone(),
    }
}

fn open(link: &Gateway, number: u128, end: bool) -> Opened<GatewayFrame, Infallible> {
    let head = |window| TunnelRequest { window, ..TunnelRequest::default() }.into();
    link.open(Uuid::from_u128(number), Opening { end, ..Opening::default() }, head).unwrap()
}

/// Schedules at random, and others with few but well-placed switches.
fn check(model: fn()) {
    shuttle::check_random(model, SCHEDULES);
    shuttle::check_pct(model, SCHEDULES, 3);
}

/// The link closes, the time is up, the client's body breaks off, and somebody waits for the answer.
fn one_outcome() {
    let budget = Budget::new(BUDGET);
    let (link, outbound) = Gateway::new(settings(&budget));
    let Opened { sender, mut receiver } = open(&link, 1, false);
    assert_ne!(budget.left(), BUDGET);

    let waiter = thread::spawn(move || {
        let outcome = block_on(receiver.head()).unwrap_err();
        assert_eq!(block_on(receiver.head()).unwrap_err(), outcome, "a second outcome");
        outcome
    });
    let closer = {
        let link = link.clone();
        thread::spawn(move || link.close(CloseReason::Silent))
    };
    let clock = {
        let link = link.clone();
        thread::spawn(move || link.table().expire(now() + limits::IDLE_TIMEOUT))
    };
    let upload = thread::spawn(move || drop(sender));
    let outcome = waiter.join().unwrap();
    let expected = [
        Abort::LinkLost { handed_over: false },
        Abort::Local(Reason::Timeout),
        Abort::Local(Reason::Cancelled),
    ];
    assert!(expected.contains(&outcome), "{outcome:?}");
    closer.join().unwrap();
    clock.join().unwrap();
    upload.join().unwrap();
    assert_eq!(link.table().active(), 0);
    assert_eq!(budget.left(), BUDGET, "credit outlives both handles");
    drop((link, outbound));
    assert_eq!(budget.left(), BUDGET, "credit was given back twice");
}

/// Both ends of a process close it, and the transport goes: there is one reason, and whoever waits learns of it.
fn one_reason() {
    let budget = Budget::new(BUDGET);
    let (link, outbound) = Gateway::new(settings(&budget));
    let Opened { mut receiver, .. } = open(&link, 1, true);
    let seen = Arc::new(shuttle::sync::Mutex::new(Vec::new()));
    let closers = [CloseReason::Silent, CloseReason::Shutdown].map(|reason| {
        let (link, seen) = (link.clone(), Arc::clone(&seen));
        thread::spawn(move || {
            link.close(reason);
            seen.lock().unwrap().push(link.table().close_reason().cloned().unwrap());
        })
    });
    let transport = thread::spawn(move || drop(outbound));
    let drained = {
        let link = link.clone();
        thread::spawn(move || block_on(link.drained()))
    };
    assert_eq!(block_on(receiver.head()).unwrap_err(), Abort::LinkLost { handed_over: false });
    drop(receiver);
    for closer in closers {
        closer.join().unwrap();
    }
    transport.join().unwrap();
    drained.join().unwrap();
    let reason = link.table().close_reason().cloned().unwrap();
    assert!(seen.lock().unwrap().iter().all(|other| *other == reason), "two reasons");
    assert!(link.is_closed());
    assert_eq!((link.table().active(), budget.left()), (0, BUDGET));
}

/// An exchange that is opened while the link closes ends like all others, or never begins.
fn nobody_is_left_behind() {
    let budget = Budget::new(BUDGET);
    let (link, outbound) = Gateway::new(settings(&budget));
    let opener = {
        let link = link.clone();
        thread::spawn(move || {
            let head = |window| TunnelRequest { window, ..TunnelRequest::default() }.into();
            let opening = Opening { end: true, ..Opening::default() };
            let Ok(Opened { mut receiver, .. }) = link.open(Uuid::from_u128(1), opening, head) else {
                return;
            };
            block_on(receiver.head()).unwrap_err();
        })
    };
    let closer = thread::spawn(move || drop(outbound));
    opener.join().unwrap();
    closer.join().unwrap();
    assert_eq!((link.table().active(), budget.left()), (0, BUDGET));
}

#[test]
fn closing_against_time_and_a_body_that_breaks_off() {
    check(one_outcome);
}

#[test]
fn closing_against_closing() {
    check(one_reason);
}

#[test]
fn closing_against_opening() {
    check(nobody_is_left_behind);
}
