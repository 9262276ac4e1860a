//! Every target takes its corpus, and two thousand mutations of it that are the same each time. How many there are is
//! bounded and not how long they take; much more of it is `.ci/fuzz`.

use std::time::Duration;

use fuzz::{Campaign, Corpus, TARGETS};

/// Mutations of each target's corpus.
const RUNS: u64 = 2_000;

fn hold(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of that name");
    let inputs = Corpus::committed(name).inputs().expect("a corpus that can be read");
    assert!(!inputs.is_empty(), "a corpus of nothing");
    let mut campaign = Campaign::new(target, inputs, 1);
    let outcome = campaign.replay().and_then(|()| campaign.mutate(RUNS, Duration::MAX));
    if let Err(crash) = outcome {
        panic!("{name}: {} for {:?}", crash.what, crash.input);
    }
}

macro_rules! targets {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            hold(stringify!($name));
        })*

        #[test]
        fn none_is_left_out() {
            assert_eq!(TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), [$(stringify!($name)),*]);
        }
    };
}

targets! { frames exchanges host fields http1 websocket connect }
