//! An order that is begun, or was begun before and not forgotten.

use instant_acme::{Account, Error, Identifier, NewOrder, Order, OrderStatus};
use rcgen::KeyPair;
use serde::{Deserialize, Serialize};
use tracing::info;
use zeroize::Zeroizing;

use super::{Cache, order::OrderError};

/// What must be known of an order to go on with it: after a pause, after a restart, or in another gateway of the cache.
#[derive(Deserialize, Serialize)]
pub(super) struct Started {
    /// Where the authority keeps it.
    url: String,
    /// The key of the certificate to come, in PEM.
    key: Zeroizing<String>,
}

/// The order in the cache, if the authority still has it, or a new one; and the key that it is for.
pub(super) async fn begin(
    account: &Account,
    domain: &str,
    cache: &Cache,
) -> Result<(Order, KeyPair), OrderError> {
    if let Some(started) = cache.order(domain) {
        if let Some(found) = resume(account, &started).await? {
            info!(%domain, "going on with an order that was begun before");
            return Ok(found);
        }
        cache.forget_order(domain)?;
    }
    let key = KeyPair::generate()?;
    let order = place(account, domain, cache).await?;
    let started = Started { url: order.url().to_owned(), key: Zeroizing::new(key.serialize_pem()) };
    cache.store_order(domain, &started)?;
    Ok((order, key))
}

/// `None` if nothing can become of it any more.
async fn resume(account: &Account, started: &Started) -> Result<Option<(Order, KeyPair)>, OrderError> {
    let Ok(key) = KeyPair::from_pem(&started.key) else { return Ok(None) };
    match account.order(started.url.clone()).await.map_err(OrderError::from) {
        Ok(mut order) => {
            let is_over = order.state().status == OrderStatus::Invalid;
            Ok((!is_over).then_some((order, key)))
        }
        Err(OrderError::Refused(refusal)) if !refusal.is_for_now() && !refusal.is("accountDoesNotExist") => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Tells the authority which certificate the new one takes the place of, if it wants to hear of that (RFC 9773, section 5).
async fn place(account: &Account, domain: &str, cache: &Cache) -> Result<Order, OrderError> {
    let names = [Identifier::Dns(domain.to_owned())];
    if let Some(old) = cache.certificate_id(domain) {
        match account.new_order(&NewOrder::new(&names).replaces(old)).await {
            Ok(order) => return Ok(order),
            Err(Error::Unsupported(_)) => {}
            Err(error) => {
                let error = OrderError::from(error);
                if error.is_for_now() || error.is_about_the_account() {
                    return Err(error);
                }
                // Only what it replaces may be wrong with it, e.g. an order of another account's.
                info!(%domain, %error, "ordering without a word about the certificate before");
            }
        }
    }
    Ok(account.new_order(&NewOrder::new(&names)).await?)
}
