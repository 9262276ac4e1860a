use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::text::printable;
use crate::{Event, Observer, repeats::Repeats};

/// Different URLs that a process prints, however many a gateway may name.
const MAX_URLS: usize = 64;
/// Longest text from outside in the log or on stdout, in characters.
const WIDTH: usize = 2000;

/// Logs what happens, and prints each public URL once, on a line of its own: stdout carries nothing else, for scripts.
/// A stdout that nobody reads any more does no harm. That there is no link is a warning at first, whenever the reason is
/// another one, and once a minute.
pub fn plain() -> Observer {
    let urls = Mutex::new(Urls::default());
    let failures = Mutex::new(Repeats::new(Duration::ZERO));
    Arc::new(move |event| match event {
        Event::Offline { reason, retry_in } => {
            let repeated = lock(&failures).note(&reason, link::now());
            let reason = printable(&reason, WIDTH);
            match repeated {
                Some(0) => tracing::warn!(%reason, ?retry_in, "offline"),
                Some(repeated) => tracing::warn!(%reason, ?retry_in, repeated, "offline"),
                None => tracing::debug!(%reason, ?retry_in, "offline"),
            }
        }
        event => {
            if let Event::Online { public_urls, .. } = &event {
                lock(&failures).forget();
                let new = lock(&urls).new_ones(public_urls);
                new.iter().for_each(|url| print(url));
            }
            log(event);
        }
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The URLs that were printed.
#[derive(Debug, Default)]
struct Urls(HashSet<String>);

impl Urls {
    fn new_ones(&mut self, urls: &[String]) -> Vec<String> {
        let shown = urls.iter().map(|url| printable(url, WIDTH));
        shown.filter(|url| self.0.len() < MAX_URLS && self.0.insert(url.clone())).collect()
    }
}

fn print(url: &str) {
    if let Err(error) = cli::output::line(url) {
        tracing::warn!(%error, "cannot print the public URL");
    }
}

fn log(event: Event) {
    match event {
        Event::Connecting { gateway } => tracing::debug!(%gateway, "connecting"),
        Event::Online { public_urls, transport, gateway_id, gateway } => {
            let urls = printable(&public_urls.join(" "), WIDTH);
            let gateway_id = printable(&gateway_id, WIDTH);
            tracing::info!(%urls, transport, %gateway_id, %gateway, "online");
        }
        Event::RoundTrip(round_trip) => tracing::debug!(?round_trip, "round trip measured"),
        // Said by whoever knows how often.
        Event::Offline { .. } => {}
        Event::Draining { in_flight } => tracing::info!(in_flight, "draining"),
        // Every request comes here, and making its texts printable costs more than asking.
        Event::Request { .. } if !tracing::enabled!(tracing::Level::DEBUG) => {}
        Event::Request { id, method, path, status, duration, bytes, error, client } => {
            let method = printable(&method, WIDTH);
            let path = printable(&path, WIDTH);
            let error = error.map(|error| printable(&error, WIDTH));
            let client = client.map(tracing::field::display);
            tracing::debug!(%id, %method, %path, status, ?duration, bytes, error, client, "request");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_url_is_printed_once() {
        let mut urls = Urls::default();
        let both = ["http://a".to_owned(), "http://b".to_owned()];
        assert_eq!(urls.new_ones(&both[..1]), both[..1]);
        assert_eq!(urls.new_ones(&both), both[1..]);
        assert!(urls.new_ones(&both).is_empty());
    }

    #[test]
    fn a_url_is_one_line_and_their_number_is_bounded() {
        let mut urls = Urls::default();
        assert_eq!(urls.new_ones(&["a\nb".to_owned()]), ["a\\nb"]);
        let many: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        assert_eq!(urls.new_ones(&many).len(), MAX_URLS - 1);
    }
}
