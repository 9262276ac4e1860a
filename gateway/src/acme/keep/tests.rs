//! A keeper before an authority that says what the test wants, in time that passes by itself.

use std::{collections::VecDeque, path::Path, pin::Pin, sync::Mutex};

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Full};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};

use super::*;
use crate::{ExternalAccount, Retry, acme::Cache};

const DIRECTORY: &str = "https://ca.example/directory";
const NAME: &str = "a.example";
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A request that is not about nonces or the directory: when it came, where to, and what it holds.
#[derive(Debug)]
struct Asked {
    at: Instant,
    path: String,
    payload: Value,
}

/// What is answered: a status, a pause and a body.
type Answer = (u16, Option<&'static str>, Value);

/// What is answered next for paths that begin like this; the first one that fits counts.
type Script = Arc<Mutex<Vec<(&'static str, VecDeque<Answer>)>>>;

/// Answers each path with what is next for it, the last one for ever.
#[derive(Clone)]
struct Scripted {
    answers: Script,
    asked: mpsc::UnboundedSender<Asked>,
}

impl Scripted {
    fn answer(&self, path: &str) -> Answer {
        let mut answers = self.answers.lock().unwrap();
        let Some((_, next)) = answers.iter_mut().find(|(prefix, _)| path.starts_with(prefix)) else {
            return (404, None, problem("malformed"));
        };
        if next.len() > 1 { next.pop_front().unwrap() } else { next[0].clone() }
    }
}

impl HttpClient for Scripted {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let path = parts.uri.path().trim_start_matches('/').to_owned();
            let (status, pause, answer) = match (&parts.method, path.as_str()) {
                (&Method::HEAD, _) => (200, None, Value::Null),
                (&Method::GET, "directory") => this.answer("directory"),
                _ => {
                    let body = body.collect().await.unwrap().to_bytes();
                    let envelope: Value = serde_json::from_slice(&body).unwrap_or_default();
                    let payload =
                        BASE64_URL_SAFE_NO_PAD.decode(envelope["payload"].as_str().unwrap_or_default());
                    let payload = serde_json::from_slice(&payload.unwrap()).unwrap_or_default();
                    let answer = this.answer(&path);
                    let _ = this.asked.send(Asked { at: Instant::now(), path: path.clone(), payload });
                    answer
                }
            };
            let mut response = Response::builder().status(status).header("replay-nonce", "nonce");
            response = response.header("location", format!("https://ca.example/{path}/1"));
            if let Some(pause) = pause {
                response = response.header("retry-after", pause);
            }
            Ok(response.body(Full::new(Bytes::from(answer.to_string()))).unwrap().into())
        })
    }
}

/// A keeper that runs, and what it asks.
struct Scene {
    cache: Cache,
    answers: Script,
    asked: mpsc::UnboundedReceiver<Asked>,
    task: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

impl Scene {
    /// One with an account, and whatever `prepare` puts into the cache.
    fn start(answers: Vec<(&'static str, Vec<Answer>)>, prepare: impl FnOnce(&Cache)) -> Self {
        Self::start_as(answers, None, |cache| {
            cache.store_account(&account()).unwrap();
            prepare(cache);
        })
    }

    fn start_as(
        answers: Vec<(&'static str, Vec<Answer>)>,
        external_account: Option<ExternalAccount>,
        prepare: impl FnOnce(&Cache),
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), external_account);
        let cache = config.cache();
        cache.prepare().unwrap();
        prepare(&cache);
        let (send, asked) = mpsc::unbounded_channel();
        let offers_all = ("directory", vec![(200, None, offers(true))]);
        let answers = answers.into_iter().chain([offers_all]);
        let answers: Vec<_> = answers.map(|(path, answers)| (path, VecDeque::from(answers))).collect();
        let answers = Arc::new(Mutex::new(answers));
        let scripted = Scripted { answers: Arc::clone(&answers), asked: send };
        let reach =
            move |_: &AcmeConfig| -> Result<Box<dyn HttpClient>, _> { Ok(Box::new(scripted.clone())) };
        let keeper = Keeper::new(config, Arc::default(), Box::new(reach));
        let task = tokio::spawn(async move { keeper.order_all().await });
        Self { cache, answers, asked, task, _directory: directory }
    }

    /// The next request for a path that begins like this.
    async fn asked(&mut self, path: &str) -> Asked {
        loop {
            let asked = self.asked.recv().await.expect("the keeper goes on");
            if asked.path.starts_with(path) {
                return asked;
            }
        }
    }

    /// The pauses between the next requests for a path, in seconds.
    async fn pauses<const N: usize>(&mut self, path: &str) -> [u64; N] {
        let mut last = self.asked(path).await.at;
        let mut pauses = [0; N];
        for pause in &mut pauses {
            let at = self.asked(path).await.at;
            *pause = (at - last).as_secs();
            last = at;
        }
        pauses
    }

    fn change(&self, path: &'static str, answer: Answer) {
        self.answers.lock().unwrap().insert(0, (path, VecDeque::from([answer])));
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn config(directory: &Path, external_account: Option<ExternalAccount>) -> AcmeConfig {
    AcmeConfig {
        directory: DIRECTORY.to_owned(),
        domains: vec![NAME.to_owned()],
        contacts: Vec::new(),
        cache: directory.to_owned(),
        ca_file: None,
        external_account,
        challenge: Some(crate::Challenge::Http01),
        retry: Retry::default(),
    }
}

fn offers(suggestions: bool) -> Value {
    let url = |path: &str| format!("https://ca.example/{path}");
    json!({"newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("new"),
        "renewalInfo": suggestions.then(|| url("suggestion"))})
}

fn account() -> Vec<u8> {
    let key = KeyPair::generate().unwrap().serialize_der();
    let key = BASE64_URL_SAFE_NO_PAD.encode(key);
    json!({"id": "https://ca.example/account/1", "key_pkcs8": key, "directory": DIRECTORY}).to_string().into()
}

fn problem(kind: &str) -> Value {
    json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "as the test wants it"})
}

fn order(status: &str) -> Value {
    json!({"status": status, "authorizations": ["https://ca.example/authorization"], "finalize": "https://ca.example/finalize"})
}

fn authorization(challenge: &str) -> Value {
    json!({"status": "pending", "identifier": {"type": "dns", "value": NAME},
        "challenges": [{"type": "http-01", "url": "https://ca.example/challenge", "token": "token", "status": challenge}]})
}

fn window(from: SystemTime, until: SystemTime) -> Value {
    let text = |time| humantime::format_rfc3339_seconds(time).to_string();
    json!({"suggestedWindow": {"start": text(from), "end": text(until)}, "explanationURL": "https://ca.example/why"})
}

/// Half a day of its 90 is over.
fn store_fresh(cache: &Cache) {
    store(cache, SystemTime::now() - DAY * 2, SystemTime::now() + DAY * 88);
}

fn store(cache: &Cache, from: SystemTime, until: SystemTime) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = Issuer::new(params, KeyPair::generate().unwrap());
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    params.use_authority_key_identifier_extension = true;
    (params.not_before, params.not_after) = (from.into(), until.into());
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    cache.store_certificate(NAME, &format!("{}{}", key.serialize_pem(), certificate.pem())).unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_authority_that_names_a_pause_gets_it() {
    let limited = (429, Some("7200"), problem("rateLimited"));
    let mut scene = Scene::start(vec![("new", vec![limited])], |_| {});
    for pause in scene.pauses::<3>("new").await {
        assert!((7200..=7921).contains(&pause), "{pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pause_that_makes_no_sense_is_bounded() {
    for (said, bounds) in [
        ("18446744073709551615", 86_400..=95_041),
        ("0", 1..=2),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 86_400..=95_041),
    ] {
        let mut scene = Scene::start(vec![("new", vec![(503, Some(said), Value::Null)])], |_| {});
        let [pause] = scene.pauses("new").await;
        assert!(bounds.contains(&pause), "{said}: {pause}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_one_the_pauses_grow() {
    for answer in [(503, None, Value::Null), (200, Some("soon"), json!("nonsense"))] {
        let mut scene = Scene::start(vec![("new", vec![answer])], |_| {});
        let pauses = scene.pauses::<4>("new").await;
        for (pause, longest) in pauses.into_iter().zip([12, 22, 42, 82]) {
            assert!((120..=longest * 60 + 1).contains(&pause), "{pauses:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_order_that_takes_its_time_is_looked_at_when_it_was_said() {
    let mut scene = Scene::start(
        vec![
            ("new", vec![(201, None, order("pending"))]),
            ("authorization", vec![(200, None, authorization("pending"))]),
            (
                "challenge",
                vec![(
                    200,
                    Some("20"),
                    json!({"type": "http-01", "url": "https://ca.example/challenge", "token": "token", "status": "processing"}),
                )],
            ),
        ],
        |_| {},
    );
    // Where the order is, which begins like the path before it.
    scene.change("new/1", (200, Some("20"), order("pending")));
    let asked = scene.asked("challenge").await.at;
    let looked = scene.asked("new/1").await.at;
    assert_eq!((looked - asked).as_secs(), 20, "as the challenge said");
    assert_eq!(scene.pauses::<2>("new/1").await, [20, 20], "as the order said");
}

#[tokio::test(start_paused = true)]
async fn an_order_that_takes_long_is_gone_on_with() {
    let mut scene = Scene::start(
        vec![
            ("new/1", vec![(200, None, order("processing")), (200, Some("40000"), order("processing"))]),
            ("new", vec![(201, None, order("ready"))]),
            ("finalize", vec![(200, Some("30000"), order("processing"))]),
        ],
        |_| {},
    );
    scene.asked("new").await;
    let finalized = scene.asked("finalize").await.at;
    // The next request of all is about the same order, as the one after it.
    let next = scene.asked("").await;
    assert_eq!(next.path, "new/1");
    assert!((30_000..=33_001).contains(&(next.at - finalized).as_secs()));
    assert!(scene.cache.order(NAME).is_some());
    assert_eq!(scene.asked("").await.path, "new/1");
    let next = scene.asked("").await;
    assert_eq!(next.path, "new/1");
    // What became invalid is followed by another.
    scene.change("new/1", (200, None, order("invalid")));
    scene.asked("new/1").await;
    assert_eq!(scene.asked("new").await.path, "new");
}

#[tokio::test(start_paused = true)]
async fn a_window_that_is_over_renews_at_once_and_says_what_is_replaced() {
    let past = window(SystemTime::now() - DAY, SystemTime::now() - DAY / 2);
    let mut scene = Scene::start(
        vec![
            ("suggestion", vec![(200, Some("21600"), past)]),
            ("new", vec![(409, None, problem("alreadyReplaced")), (429, Some("60"), problem("rateLimited"))]),
        ],
        store_fresh,
    );
    let id = scene.cache.certificate_id(NAME).unwrap().to_string();
    assert_eq!(scene.asked("suggestion").await.path, format!("suggestion/{id}"));
    assert_eq!(scene.asked("new").await.payload["replaces"], json!(id));
    // An authority that does not want to hear of it is asked without.
    let again = scene.asked("new").await.payload;
    assert_eq!((&again["replaces"], &again["identifiers"][0]["value"]), (&Value::Null, &json!(NAME)));
}

#[tokio::test(start_paused = true)]
async fn a_window_is_asked_for_again_as_often_as_was_said_and_may_move() {
    let later = window(SystemTime::now() + DAY * 58, SystemTime::now() + DAY * 60);
    let past = window(SystemTime::now() - DAY, SystemTime::now());
    for (said, bounds) in [("21600", 21_600..=23_761), ("1", 60..=67), ("9999999", 86_400..=95_041)] {
        let mut scene = Scene::start(
            vec![
                ("suggestion", vec![(200, Some(said), later.clone()); 4]),
                ("new", vec![(429, Some("60"), problem("rateLimited"))]),
            ],
            store_fresh,
        );
        for pause in scene.pauses::<2>("").await {
            assert!(bounds.contains(&pause), "{said}: {pause}");
        }
        scene.change("suggestion", (200, Some(said), past.clone()));
        assert!(scene.asked("").await.path.starts_with("suggestion"));
        assert_eq!(scene.asked("").await.path, "new", "it moved");
    }
}

#[tokio::test(start_paused = true)]
async fn where_none_is_offered_or_it_fails_the_rule_counts() {
    let nonsense = window(SystemTime::now(), SystemTime::now() - DAY);
    let too_late = window(SystemTime::now() + DAY * 89, SystemTime::now() + DAY * 90);
    for answer in [
        (500, None, Value::Null),
        (404, None, problem("malformed")),
        (200, Some("60"), nonsense),
        (200, Some("60"), too_late),
        (200, None, json!({"suggestedWindow": {"start": "+999999-01-01T00:00:00Z", "end": ""}})),
    ] {
        let mut scene = Scene::start(vec![("suggestion", vec![answer])], store_fresh);
        let pauses = scene.pauses::<3>("").await;
        assert!(pauses.iter().all(|pause| *pause >= 60), "{pauses:?}");
    }
    // Nothing is asked but for the certificate.
    let answers =
        vec![("directory", vec![(200, None, offers(false))]), ("new", vec![(503, None, Value::Null)])];
    let mut scene = Scene::start(answers, |cache| {
        store(cache, SystemTime::now() - DAY * 4, SystemTime::now() + DAY * 2);
    });
    let asked = scene.asked("").await;
    assert_eq!((asked.path.as_str(), &asked.payload["replaces"]), ("new", &Value::Null));
}

#[tokio::test(start_paused = true)]
async fn nonsense_ends_nothing() {
    let good = offers(true);
    for field in ["newNonce", "newAccount", "newOrder", "renewalInfo"] {
        let bad = |value: Value| {
            let mut directory = good.clone();
            directory[field] = value;
            (200, None, directory)
        };
        let directories = ["", "no url at all", "https://[", "ftp://x", "/nonce"].map(|url| bad(json!(url)));
        let nothing = [bad(Value::Null), (200, None, json!([])), (200, None, Value::Null)];
        let last = (200, None, offers(true));
        let directories = directories.into_iter().chain(nothing).chain([last]).collect();
        let answers = vec![("directory", directories), ("new", vec![(429, None, problem("rateLimited"))])];
        let mut scene = Scene::start(answers, |cache| {
            store(cache, SystemTime::now() - DAY * 4, SystemTime::now() + DAY * 2);
        });
        scene.asked("new").await;
        assert!(!scene.task.is_finished(), "{field}");
    }
    // Whatever an order, an authorization or a challenge is.
    let values = [
        json!(null),
        json!([]),
        json!({"status": "valid"}),
        json!({"status": 7}),
        order("valid"),
        order("other"),
        json!({"status": "pending", "authorizations": ["no url at all"], "finalize": "no url at all"}),
        json!({"status": "ready", "authorizations": [], "finalize": "no url at all"}),
    ];
    for value in values {
        let answers = vec![
            ("new/1", vec![(200, None, value.clone())]),
            ("new", vec![(201, None, value.clone())]),
            ("authorization", vec![(200, None, value.clone())]),
        ];
        let mut scene = Scene::start(answers, |_| {});
        for pause in scene.pauses::<2>("new").await {
            assert!(pause >= 120, "{value}: {pause}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_known_elsewhere_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("eab");
    std::fs::write(&key_file, "c2VjcmV0").unwrap();
    let external = ExternalAccount { key_id: "kid-1".to_owned(), key_file };
    let answers = vec![("account", vec![(403, None, problem("unauthorized"))])];
    let mut scene = Scene::start_as(answers, Some(external.clone()), |_| {});
    let asked = scene.asked("account").await.payload;
    let part = |name: &str| {
        let part = asked["externalAccountBinding"][name].as_str().unwrap();
        BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()
    };
    let header: Value = serde_json::from_slice(&part("protected")).unwrap();
    assert_eq!(header, json!({"alg": "HS256", "kid": "kid-1", "url": "https://ca.example/account"}));
    assert!(asked["termsOfServiceAgreed"] == true && !part("signature").is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_said_with_the_remedy() {
    let directory = tempfile::tempdir().unwrap();
    let key_file = directory.path().join("eab");
    std::fs::write(&key_file, "c2VjcmV0").unwrap();
    let external = ExternalAccount { key_id: "kid-1".to_owned(), key_file };
    for (external, kind, remedy) in [
        (None, "externalAccountRequired", "--acme-eab-kid ID and --acme-eab-key-file FILE"),
        (Some(external), "unauthorized", "see whether --acme-eab-kid"),
    ] {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path(), external);
        config.cache().prepare().unwrap();
        let (send, _asked) = mpsc::unbounded_channel();
        let answers = [("directory", (200, None, offers(true))), ("account", (403, None, problem(kind)))];
        let answers = answers.map(|(path, answer)| (path, VecDeque::from([answer])));
        let scripted = Scripted { answers: Arc::new(Mutex::new(answers.into())), asked: send };
        let reach =
            move |_: &AcmeConfig| -> Result<Box<dyn HttpClient>, _> { Ok(Box::new(scripted.clone())) };
        let error = account::register(&config, &config.cache(), &reach).await.map(drop).unwrap_err();
        assert!(chain(&error).contains(&format!("as the test wants it ({kind})")), "{}", chain(&error));
        assert!(error.remedy().unwrap().contains(remedy), "{:?}", error.remedy());
        assert!(!format!("{error:?}").contains("c2Vj"));
    }
}
