use std::{collections::BTreeMap, sync::Arc};

use link::Abort;
use proto::{Credential, tunnel_close::Reason};
use session::Unavailable;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};
use uuid::Uuid;

use crate::{
    client::{Client, Outcome},
    dice::Dice,
    finale,
    ledger::Ledger,
    network::Network,
    process::{Around, Station},
    scenario::{ClientPlan, STORM, Scenario},
    storm::Storm,
    summary::Name,
    trace::Trace,
    verdict,
};

/// How requests ended, by kind.
pub(crate) type Outcomes = BTreeMap<&'static str, u64>;

/// Plays a seed from its beginning to its end.
pub(crate) async fn play(seed: u64, trace: &Arc<Trace>) -> Outcomes {
    let scenario = Arc::new(Scenario::of(seed));
    trace.note(format_args!("{:?} {:?}", scenario.rules, scenario.agents));
    let mut dice = Dice::new(seed ^ 0x5eed);
    let around = Around {
        ledger: Arc::new(Ledger::default()),
        network: Network::new(scenario.latency, dice.fork(), Arc::clone(trace)),
        trace: Arc::clone(trace),
        credential: credential(),
        scenario: Arc::clone(&scenario),
    };
    let stations = scenario.agents.iter().enumerate();
    let stations = stations.map(|(number, plan)| Station::new(number, *plan, around.clone(), dice.fork()));
    let storm = Storm::new(around.clone(), stations.collect());
    let begun = Instant::now();
    let mut clients = JoinSet::new();
    for (number, plan) in scenario.clients.iter().enumerate() {
        let (around, id) = (around.clone(), id(seed, number));
        clients.spawn(async move {
            sleep_until(begun + plan_of(&around, number).begins).await;
            ask(&around, number, id).await
        });
        trace.note(format_args!("c{number}: {plan:?}"));
    }
    storm.rage().await;
    sleep_until(begun + STORM).await;
    storm.calm_down();
    let mut outcomes = Outcomes::new();
    while let Some(outcome) = clients.join_next().await {
        *outcomes.entry(outcome.unwrap_or("panicked")).or_default() += 1;
    }
    finale::play(&storm, seed).await;
    outcomes
}

fn plan_of(around: &Around, number: usize) -> ClientPlan {
    around.scenario.clients[number]
}

/// Lets a client ask, and judges what it gets.
async fn ask(around: &Around, number: usize, id: Uuid) -> &'static str {
    let Around { network, trace, ledger, scenario, .. } = around;
    let plan = plan_of(around, number);
    let client = Client { id, number, plan, scenario: Arc::clone(scenario), trace: Arc::clone(trace) };
    let limit = verdict::limit(&plan, scenario);
    let outcome = match network.gateway() {
        None => Outcome::NoGateway,
        Some(gateway) => match timeout(limit, client.run(&gateway)).await {
            Ok(outcome) => outcome,
            Err(_) => {
                trace.violation(format_args!("{} has no outcome after {limit:?}", Name(id)));
                return "none";
            }
        },
    };
    let executions = ledger.executions(number);
    trace.note(format_args!("{} ends, executed {executions} times: {outcome:?}", Name(id)));
    if let Some(flaw) = verdict::flaw(&outcome, executions, &plan, scenario) {
        trace.violation(format_args!("{}: {flaw}: {outcome:?}", Name(id)));
    }
    kind(&outcome)
}

fn kind(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Whole => "whole",
        Outcome::Unavailable(Unavailable::Offline) => "unavailable: offline",
        Outcome::Unavailable(_) => "unavailable: busy",
        Outcome::Failed(Abort::Peer { reason, .. }) => match reason {
            Reason::UpstreamConnect => "failed: out of reach",
            Reason::UpstreamReset => "failed: reset",
            Reason::Refused => "failed: refused",
            _ => "failed: by the agent",
        },
        Outcome::Failed(Abort::LinkLost { .. }) => "failed: lost",
        Outcome::Failed(Abort::Unheard) => "failed: unheard",
        Outcome::Failed(Abort::Local(Reason::Timeout)) => "failed: late",
        Outcome::Failed(_) => "failed: otherwise",
        Outcome::Truncated(Abort::LinkLost { .. }) => "truncated: lost",
        Outcome::Truncated(Abort::Local(Reason::Timeout)) => "truncated: rested",
        Outcome::Truncated(_) => "truncated: by the agent",
        Outcome::Left => "left",
        Outcome::NoGateway => "no gateway",
    }
}

/// The id of a client's request. Its last digits are the client's number.
pub(crate) fn id(seed: u64, number: usize) -> Uuid {
    let number = number as u64;
    let mut dice = Dice::new(seed.rotate_left(24) ^ number);
    Uuid::from_u64_pair(dice.next(), dice.next() & !0xffff | number)
}

fn credential() -> Credential {
    const TEXT: &str = "itk_sim_q83vEjRWeJASNFZ4kBI0VniQEjRWeJASNFZ4kBI0Vng";
    TEXT.parse().expect("a well-formed token")
}
