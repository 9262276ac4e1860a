//! Waiting for an authority that has taken something on (RFC 8555, sections 7.4, 7.5.1 and 8.2).

use std::time::Duration;

use instant_acme::{Order, OrderStatus};

use super::{attentive::Heard, order::OrderError, schedule};

/// How long the right to order is kept while an authority looks, or signs.
const PATIENCE: Duration = Duration::from_secs(90);

/// What became of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Polled {
    /// The authority is done.
    Done,
    /// It wants to be asked again then, and others shall have their turn before.
    Later(Duration),
}

/// Looks at an order again and again while its state is one of `waiting`. The pauses are those that the authority asks for;
/// where it asks for none they grow.
///
/// # Errors
/// [`OrderError::Slow`] if it takes long and does not say how long; what a look fails with.
pub(super) async fn poll(
    order: &mut Order,
    heard: &Heard,
    waiting: &[OrderStatus],
) -> Result<Polled, OrderError> {
    let deadline = link::now() + PATIENCE;
    let mut looks = 0;
    while waiting.contains(&order.state().status) {
        let told = heard.pause();
        let pause = told.unwrap_or_else(|| schedule::look(looks, schedule::draw()));
        if link::now() + pause > deadline {
            return told.map(Polled::Later).ok_or(OrderError::Slow);
        }
        tokio::time::sleep(pause).await;
        looks += 1;
        order.refresh().await?;
    }
    Ok(Polled::Done)
}
