use super::*;
use crate::Upstream;

const MANY: u64 = 300_000;

async fn run(request: Request, until: Until) -> Result<Done, LoadError> {
    let upstream = Upstream::start().unwrap();
    Load::prepare(upstream.addr(), request, 3).await?.run(until).await
}

#[tokio::test]
async fn every_client_makes_its_requests() {
    let done = run(Request::get("here", MANY), Until::Once).await.unwrap();
    assert_eq!(done.latencies.len(), 3);
    let done = run(Request::get("here", 1), Until::Elapsed(Duration::from_millis(20))).await.unwrap();
    assert!(done.latencies.len() > 3);
    assert!(done.latencies.is_sorted() && done.elapsed >= Duration::from_millis(20));
}

#[tokio::test]
async fn bodies_go_up() {
    for length in [0, 1, MANY] {
        assert_eq!(run(Request::post("here", length), Until::Once).await.unwrap().latencies.len(), 3);
    }
}

#[tokio::test]
async fn connections_can_be_made_anew() {
    let request = Request::get("here", 10).with_new_connections();
    assert!(run(request, Until::Elapsed(Duration::from_millis(20))).await.unwrap().latencies.len() > 3);
}

#[tokio::test]
async fn a_response_of_another_length_is_an_error() {
    let mut request = Request::get("here", 10);
    request.expected = 11;
    assert!(matches!(
        run(request, Until::Once).await,
        Err(LoadError::Length { expected: 11, announced: 10 })
    ));
}
