use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use rustls::sign::CertifiedKey;

/// Where the authority asks over HTTP (RFC 8555, section 8.3); the token stands behind it.
const PATH: &[u8] = b"/.well-known/acme-challenge/";

/// What the authority asks, to see whether a name leads here, and what it is answered. Nothing is answered that is not pending.
#[derive(Debug, Default)]
pub(crate) struct Challenges {
    pending: Mutex<Pending>,
}

#[derive(Debug, Default)]
struct Pending {
    /// By token; with a number, so that what is over does not take away what is new.
    http: HashMap<String, (u64, Bytes)>,
    /// By name.
    tls: HashMap<String, (u64, Arc<CertifiedKey>)>,
    /// How many there were.
    #[cfg(feature = "acme")]
    count: u64,
}

impl Challenges {
    /// The answer to a request for `path`, if that is a question of the authority's.
    pub(crate) fn over_http(&self, path: &[u8]) -> Option<Bytes> {
        let token = std::str::from_utf8(path.strip_prefix(PATH)?).ok()?;
        self.pending().http.get(token).map(|(_, answer)| answer.clone())
    }

    /// The certificate that proves to the authority that `name` leads here (RFC 8737).
    pub(crate) fn over_tls(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.pending().tls.get(name).map(|(_, certificate)| Arc::clone(certificate))
    }

    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that may be asked until this is dropped.
#[cfg(feature = "acme")]
#[derive(Debug)]
pub(super) struct Expected {
    challenges: Arc<Challenges>,
    question: Question,
    number: u64,
}

#[cfg(feature = "acme")]
#[derive(Debug)]
enum Question {
    Token(String),
    Name(String),
}

#[cfg(feature = "acme")]
impl Challenges {
    /// From here on requests for `token` are answered.
    pub(super) fn expect_token(self: &Arc<Self>, token: &str, answer: Bytes) -> Expected {
        let mut pending = self.pending();
        pending.count += 1;
        let number = pending.count;
        pending.http.insert(token.to_owned(), (number, answer));
        Expected { challenges: Arc::clone(self), question: Question::Token(token.to_owned()), number }
    }

    /// From here on the authority is shown `certificate` if it asks for `name`.
    pub(super) fn expect_name(self: &Arc<Self>, name: &str, certificate: Arc<CertifiedKey>) -> Expected {
        let mut pending = self.pending();
        pending.count += 1;
        let number = pending.count;
        pending.tls.insert(name.to_owned(), (number, certificate));
        Expected { challenges: Arc::clone(self), question: Question::Name(name.to_owned()), number }
    }
}

#[cfg(feature = "acme")]
impl Drop for Expected {
    fn drop(&mut self) {
        let mut pending = self.challenges.pending();
        let own = self.number;
        match &self.question {
            Question::Token(token) => {
                if pending.http.get(token).is_some_and(|(number, _)| *number == own) {
                    pending.http.remove(token);
                }
            }
            Question::Name(name) => {
                if pending.tls.get(name).is_some_and(|(number, _)| *number == own) {
                    pending.tls.remove(name);
                }
            }
        }
    }
}

#[cfg(all(test, feature = "acme"))]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_pending_is_answered() {
        let challenges = Arc::new(Challenges::default());
        let expected = challenges.expect_token("abc", Bytes::from_static(b"abc.key"));
        let answer = |path: &[u8]| challenges.over_http(path);
        assert_eq!(answer(b"/.well-known/acme-challenge/abc").as_deref(), Some(&b"abc.key"[..]));
        for path in
            ["/.well-known/acme-challenge/", "/.well-known/acme-challenge/abcd", "/abc", "/.well-known/abc"]
        {
            assert_eq!(answer(path.as_bytes()), None, "{path}");
        }
        let again = challenges.expect_token("abc", Bytes::from_static(b"abc.key"));
        drop(expected);
        assert!(answer(b"/.well-known/acme-challenge/abc").is_some(), "what is over takes nothing new away");
        drop(again);
        assert_eq!(answer(b"/.well-known/acme-challenge/abc"), None);
    }
}
