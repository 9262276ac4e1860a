//! Whether this host's network is another one than a moment ago.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash as _, Hasher as _},
    time::Duration,
};

use tracing::info;

use crate::Nudge;

/// How often to look. The files are made by the kernel when they are read, from tables that are short.
const LOOK: Duration = Duration::from_secs(2);

const ROUTES: &str = "/proc/net/route";
const ADDRESSES: &str = "/proc/net/if_inet6";

/// Gives a nudge whenever routes or addresses of this host change. Never ends, but does nothing where the kernel does
/// not tell.
///
/// # Cancel safety
/// Safe.
pub async fn watch(nudge: Nudge) {
    let mut known = fingerprint();
    loop {
        tokio::time::sleep(LOOK).await;
        let now = fingerprint();
        if now != known {
            known = now;
            info!("the network has changed; asking every link whether it still works");
            nudge.nudge();
        }
    }
}

fn fingerprint() -> u64 {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    digest(&read(ROUTES), &read(ADDRESSES))
}

/// What counts of both files: who can be reached how. Not the counters, nor how an address is getting on.
fn digest(routes: &str, addresses: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    for line in routes.lines().skip(1) {
        // Interface, destination, gateway and flags; then counters; then metric and mask.
        let fields = line.split_ascii_whitespace().enumerate();
        for (_, field) in fields.filter(|(index, _)| matches!(index, 0..=3 | 6 | 7)) {
            field.hash(&mut hasher);
        }
    }
    for line in addresses.lines() {
        let mut fields = line.split_ascii_whitespace();
        // An address that only this host can be reached by changes nothing; then come index, prefix, scope and flags.
        let (address, scope, name) = (fields.next(), fields.nth(2), fields.nth(1));
        if scope != Some(LINK_LOCAL) {
            (address, name).hash(&mut hasher);
        }
    }
    hasher.finish()
}

const LINK_LOCAL: &str = "20";

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    const ROUTE: &str = "eth0\t00000000\t0102A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
    const ADDRESS: &str = "20010db8000000000000000000000001 02 40 00 80     eth0\n";

    #[test]
    fn another_route_or_address_is_another_network() {
        let known = digest(&format!("{HEAD}{ROUTE}"), ADDRESS);
        for (routes, addresses) in [
            (format!("{HEAD}{}", ROUTE.replace("0102A8C0", "0103A8C0")), ADDRESS.to_owned()),
            (format!("{HEAD}{}", ROUTE.replace("eth0", "wlan0")), ADDRESS.to_owned()),
            (HEAD.to_owned(), ADDRESS.to_owned()),
            (format!("{HEAD}{ROUTE}"), String::new()),
            (format!("{HEAD}{ROUTE}"), ADDRESS.replace("0001 ", "0002 ")),
        ] {
            assert_ne!(digest(&routes, &addresses), known, "{routes}{addresses}");
        }
    }

    #[test]
    fn counters_states_and_local_addresses_are_none() {
        let known = digest(&format!("{HEAD}{ROUTE}"), ADDRESS);
        let counted = ROUTE.replace("\t0003\t0\t0\t", "\t0003\t4\t99\t");
        let local = "fe800000000000000000000000000001 02 40 20 80     eth0\n";
        let confirmed = ADDRESS.replace(" 80 ", " c0 ");
        assert_eq!(digest(&format!("{HEAD}{counted}"), &format!("{confirmed}{local}")), known);
    }
}
