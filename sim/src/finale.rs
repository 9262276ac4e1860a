//! What must hold for everybody, once the storm is over.

use std::{sync::Arc, time::Duration};

use session::Instances;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    client::{Client, Outcome},
    play,
    process::Station,
    scenario::{ClientPlan, PROBE},
    storm::Storm,
};

/// Within this time each agent can be asked again: until a link that swallows everything is noticed, a pause, an attempt.
const BACK: Duration = Duration::from_secs(80);
/// Within this time each of an agent's links is there: the longest pause after a refusal comes on top.
const COMPLETE: Duration = Duration::from_secs(240);
/// Within this time nobody believes any more in a link that is dead.
const SURE: Duration = Duration::from_secs(65);
/// What is over may take this long to be cleared away.
const CLEARING: Duration = Duration::from_secs(5);

pub(crate) async fn play(storm: &Arc<Storm>, seed: u64) {
    come_back(storm).await;
    sleep(SURE).await;
    no_ghosts(storm);
    ask_everybody(storm, seed).await;
    sleep(CLEARING).await;
    nothing_is_in_progress(storm);
    leave(storm).await;
    nothing_is_left(storm).await;
}

/// Agents that can reach their gateway are back in time.
async fn come_back(storm: &Storm) {
    let trace = &storm.around.trace;
    let begun = Instant::now();
    for (limit, all) in [(BACK, false), (COMPLETE, true)] {
        while let Some(missing) = missing(storm, all) {
            if begun.elapsed() >= limit {
                trace.violation(format_args!(
                    "{missing} after {limit:?}, though every gateway can be reached"
                ));
                break;
            }
            sleep(Duration::from_millis(500)).await;
        }
        trace.note(format_args!("back, all links: {all}"));
    }
}

/// Whose sessions are missing; of those that share their id, if `all` links must be there.
fn missing(storm: &Storm, all: bool) -> Option<String> {
    let Some(gateway) = storm.around.network.gateway() else { return Some("no gateway".to_owned()) };
    let share = storm.around.scenario.rules.instances == Instances::Pool;
    storm.stations.iter().find_map(|station| {
        let id = station.agent_id();
        let same_id = || storm.stations.iter().filter(|other| other.plan.id == station.plan.id);
        let wanted = if all && share { same_id().map(|other| other.plan.links as usize).sum() } else { 1 };
        let there = gateway.sessions_of(&id);
        (there < wanted).then(|| format!("{id} has {there} sessions of {wanted}"))
    })
}

/// Nobody is taken for being there who is not.
fn no_ghosts(storm: &Storm) {
    let Some(gateway) = storm.around.network.gateway() else { return };
    let share = storm.around.scenario.rules.instances == Instances::Pool;
    for station in &storm.stations {
        let same_id = storm.stations.iter().filter(|other| other.plan.id == station.plan.id);
        let links = same_id.map(|other| other.plan.links as usize);
        let most = if share { links.sum() } else { links.max().unwrap_or_default() };
        let (id, there) = (station.agent_id(), gateway.sessions_of(&station.agent_id()));
        if there > most {
            storm.around.trace.violation(format_args!("{id} has {there} sessions, but at most {most} links"));
        }
    }
}

/// Every agent id answers again.
async fn ask_everybody(storm: &Storm, seed: u64) {
    let trace = &storm.around.trace;
    let Some(gateway) = storm.around.network.gateway() else { return };
    let mut ids: Vec<usize> = storm.stations.iter().map(|station| station.plan.id).collect();
    ids.sort_unstable();
    ids.dedup();
    for agent in ids {
        let number = 1000 + agent;
        let plan = ClientPlan { agent, ..PROBE };
        let id = play::id(seed, number);
        let scenario = Arc::clone(&storm.around.scenario);
        let client = Client { id, number, plan, scenario, trace: Arc::clone(trace) };
        let outcome = timeout(Duration::from_secs(30), client.run(&gateway)).await;
        if outcome != Ok(Outcome::Whole) {
            trace.violation(format_args!("all is well again, but a request gets {outcome:?}"));
        }
    }
}

/// Links are there, but nothing is on them: every client has its outcome.
fn nothing_is_in_progress(storm: &Storm) {
    let trace = &storm.around.trace;
    for gateway in storm.gateways().iter() {
        let number = gateway.number;
        let in_flight: usize = gateway.registry.sessions().iter().map(|session| session.in_flight()).sum();
        if in_flight > 0 {
            trace.violation(format_args!(
                "{in_flight} exchanges are in progress at gateway {number}, of nobody"
            ));
        }
    }
    memory_is_back(storm);
}

fn memory_is_back(storm: &Storm) {
    let trace = &storm.around.trace;
    for gateway in storm.gateways().iter() {
        let lost = gateway.memory_at_first.abs_diff(gateway.memory.left());
        if lost > 0 {
            let number = gateway.number;
            trace.violation(format_args!("gateway {number} has not got {lost} bytes of its memory back"));
        }
    }
    for station in &storm.stations {
        let lost = station.memory_lost();
        if lost > 0 {
            trace.violation(format_args!(
                "{} has not got {lost} bytes of its memory back",
                station.agent_id()
            ));
        }
    }
}

/// Everybody goes home.
async fn leave(storm: &Arc<Storm>) {
    let mut leaving = tokio::task::JoinSet::new();
    for station in &storm.stations {
        if !station.is_running() {
            storm.around.trace.violation(format_args!("{} is not there at the end", station.agent_id()));
        }
        let station: Arc<Station> = Arc::clone(station);
        leaving.spawn(async move { station.leave().await });
    }
    while leaving.join_next().await.is_some() {}
    sleep(CLEARING).await;
    let gateways = storm.gateways().clone();
    for gateway in &gateways {
        let sessions = gateway.registry.len();
        if sessions > 0 {
            let number = gateway.number;
            storm.around.trace.violation(format_args!(
                "gateway {number} has {sessions} sessions, but every agent has left"
            ));
        }
    }
    if let Some(gateway) = storm.around.network.gateway() {
        storm.retire(&gateway, Duration::ZERO).await;
    }
}

/// What was reserved is given back, and no task goes on.
async fn nothing_is_left(storm: &Arc<Storm>) {
    let trace = &storm.around.trace;
    storm.around.network.cut_all();
    sleep(CLEARING).await;
    memory_is_back(storm);
    for gateway in storm.gateways().drain(..) {
        let (number, waiting) = (gateway.number, gateway.registry.waiting());
        if waiting > 0 {
            trace.violation(format_args!(
                "{waiting} requests wait at gateway {number}, but every client has an outcome"
            ));
        }
    }
    storm.around.network.lead_to(None);
    sleep(CLEARING).await;
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    if tasks > 0 {
        trace.violation(format_args!("{tasks} tasks go on, but nobody is left"));
    }
}
