//! An authority that gives certificates to whoever it finds behind a name, as RFC 8555 has it.

mod jws;
mod look;

use std::{
    collections::{HashSet, VecDeque},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::{Duration, SystemTime},
};

use ::gateway::{AcmeConfig, Challenge, Retry, TlsConfig};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Incoming};
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};

use self::jws::Signed;
use crate::{Gateway, Onward, Opener, Pki, Secure, Service, ServiceBody};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A public key on P-256 in DER, up to its point (RFC 5480).
const P256: &[u8] =
    b"\x30\x59\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07\x03\x42\x00";

/// An authority that really looks, and really signs. It takes orders one by one, as the scenario allows them.
#[derive(Debug)]
pub struct Authority {
    front: Opener,
    _service: Service,
    desk: Arc<Desk>,
}

/// How much of its time a new certificate has before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// 89 of 90 days.
    Fresh,
    /// Less than a third, so that it is to be renewed at once.
    Short,
    /// Less than half of six days, so that it is to be renewed at once.
    Brief,
}

impl Life {
    /// The time behind it, and the time before it.
    fn times(self) -> [Duration; 2] {
        match self {
            Self::Fresh => [DAY, 89 * DAY],
            Self::Short => [80 * DAY, 10 * DAY],
            Self::Brief => [84 * DAY / 24, 60 * DAY / 24],
        }
    }
}

#[derive(Debug)]
struct Desk {
    pki: Pki,
    /// Orders that may come.
    allowed: Semaphore,
    /// Whether none is taken, not even those that wait.
    refusing: watch::Sender<bool>,
    /// Whether it takes its time to sign.
    holding: watch::Sender<bool>,
    /// Where names lead.
    target: watch::Sender<Option<[SocketAddr; 2]>>,
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    nonces: HashSet<String>,
    accounts: Vec<Value>,
    orders: Vec<Order>,
    lives: VecDeque<Life>,
    refused: usize,
    looked: Vec<&'static str>,
    /// The account elsewhere without which nobody is registered: what its key is called, and the key.
    external: Option<(String, Vec<u8>)>,
    /// How many it did not register.
    turned_away: usize,
    /// Whether it suggests to renew every certificate at once.
    suggesting: bool,
    /// Which certificates it was asked about, and which ones were replaced.
    asked_about: Vec<String>,
    replaced: Vec<String>,
}

#[derive(Debug)]
struct Order {
    domain: String,
    /// What the name must answer, for the account.
    answer: String,
    /// How it shall be looked, once it may be.
    asked: Option<&'static str>,
    status: &'static str,
    /// The public key that was asked for.
    point: Vec<u8>,
    certificate: String,
    replaces: Value,
}

impl Authority {
    /// One that allows no order yet.
    pub async fn start() -> Self {
        let pki = Pki::new();
        let own = pki.issue("authority", &["127.0.0.1"]);
        let (target, _) = watch::channel(None);
        let (allowed, books) = (Semaphore::new(0), Mutex::default());
        let (refusing, holding) = (watch::Sender::new(false), watch::Sender::new(false));
        let desk = Arc::new(Desk { pki, allowed, refusing, holding, target, books });
        let clerk = Arc::clone(&desk);
        let service = Service::start(move |request| {
            let clerk = Arc::clone(&clerk);
            async move { clerk.serve(request).await }
        })
        .await;
        let front = Opener::start(&desk.pki, &own, &[(service.addr(), Onward::Plain)]).await;
        Self { front, _service: service, desk }
    }

    /// A gateway that orders a certificate for each of `domains` here, and has none besides.
    pub fn config(&self, domains: &[String], cache: &Path, challenge: Challenge) -> TlsConfig {
        let soon = Duration::from_millis(20);
        let acme = AcmeConfig {
            directory: format!("https://{}/directory", self.front.addr()),
            domains: domains.to_vec(),
            contacts: vec!["mailto:ops@example.com".to_owned()],
            cache: cache.to_owned(),
            ca_file: Some(self.desk.pki.ca_file()),
            external_account: None,
            challenge: Some(challenge),
            retry: Retry { least: soon, first: soon, longest: soon },
        };
        TlsConfig { acme: Some(acme), agents: false, ..self.desk.pki.config(&[]) }
    }

    /// All names lead to this gateway.
    pub fn find(&self, gateway: &Gateway) {
        self.desk.target.send_replace(Some([gateway.http(), gateway.https()]));
    }

    /// One more order may come, whose certificate has this life.
    pub fn allow(&self, life: Life) {
        self.desk.books().lives.push_back(life);
        self.desk.allowed.add_permits(1);
    }

    /// From here on orders are refused, or no longer.
    pub fn refuse(&self, refuse: bool) {
        self.desk.refusing.send_replace(refuse);
    }

    /// From here on certificates take a day, or no longer.
    pub fn hold(&self, hold: bool) {
        self.desk.holding.send_replace(hold);
    }

    /// From here on nobody is registered without this account elsewhere.
    pub fn require(&self, key_id: &str, key: &[u8]) {
        self.desk.books().external = Some((key_id.to_owned(), key.to_vec()));
    }

    /// How many were not registered.
    pub fn turned_away(&self) -> usize {
        self.desk.books().turned_away
    }

    /// From here on it suggests to renew every certificate at once.
    pub fn suggest(&self) {
        self.desk.books().suggesting = true;
    }

    /// About which certificates it was asked when to renew them.
    pub fn asked_about(&self) -> Vec<String> {
        self.desk.books().asked_about.clone()
    }

    /// Which certificates were to be replaced.
    pub fn replaced(&self) -> Vec<String> {
        self.desk.books().replaced.clone()
    }

    /// How many orders wait for their certificate.
    pub fn held(&self) -> usize {
        self.desk.books().orders.iter().filter(|order| order.status == "processing").count()
    }

    /// Whoever has an account has it no longer.
    pub fn forget(&self) {
        self.desk.books().accounts.clear();
    }

    /// How many orders it took, and how many it refused.
    pub fn orders(&self) -> [usize; 2] {
        let books = self.desk.books();
        [books.orders.len(), books.refused]
    }

    /// How many accounts it has.
    pub fn accounts(&self) -> usize {
        self.desk.books().accounts.len()
    }

    /// In which ways it looked.
    pub fn looked(&self) -> Vec<&'static str> {
        self.desk.books().looked.clone()
    }

    /// A client's connection that trusts this authority.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn connect(&self, gateway: &Gateway, name: &str, alpn: &[&str]) -> std::io::Result<Secure> {
        self.desk.pki.connect(gateway, name, alpn).await
    }
}

impl Desk {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    async fn serve(&self, request: Request<Incoming>) -> Response<ServiceBody> {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        let path = request.uri().path().to_owned();
        let base = format!("https://{host}");
        if *request.method() != Method::POST {
            let is_suggesting = self.books().suggesting;
            return match path.as_str() {
                "/directory" => self.answer(200, None, &directory(&base, is_suggesting)),
                _ if path.starts_with("/renewal/") => self.suggestion(&path["/renewal/".len()..]),
                _ => self.answer(200, None, &Value::Null),
            };
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let signed = Signed::parse(&body);
        assert_eq!(signed.header["url"], format!("{base}{path}"));
        if !self.books().nonces.remove(signed.header["nonce"].as_str().unwrap()) {
            return self.problem(400, "badNonce");
        }
        let mut parts = path.trim_start_matches('/').split('/');
        let (kind, number) = (parts.next().unwrap(), parts.next());
        if kind == "account" {
            return self.account(&base, &signed);
        }
        let number = number.map(|number| number.parse().unwrap());
        let Some(key) = self.known(&signed) else { return self.problem(400, "accountDoesNotExist") };
        match (kind, number) {
            ("order", None) => self.take(&base, &signed, &key).await,
            ("order", Some(number)) => {
                self.look(number).await;
                self.show(&base, number)
            }
            ("authorization", Some(number)) => {
                let authorization = self.books().orders[number].authorization(&base, number);
                self.answer(200, None, &authorization)
            }
            ("challenge", Some(number)) => {
                let kind = if parts.next() == Some("http-01") { "http-01" } else { "tls-alpn-01" };
                let challenge = {
                    let order = &mut self.books().orders[number];
                    order.asked = Some(kind);
                    order.challenge(&base, number, kind)
                };
                self.answer(200, None, &challenge)
            }
            ("finalize", Some(number)) => {
                self.take_request(number, &signed);
                self.show(&base, number)
            }
            ("certificate", Some(number)) => {
                let pem = self.books().orders[number].certificate.clone();
                self.reply(200, None, pem.into())
            }
            _ => self.problem(404, "malformed"),
        }
    }

    fn account(&self, base: &str, signed: &Signed) -> Response<ServiceBody> {
        let key = signed.header["jwk"].clone();
        assert!(signed.is_by(&key));
        let wanted: Value = serde_json::from_slice(&signed.payload).unwrap();
        assert_eq!(wanted["termsOfServiceAgreed"], true);
        assert_eq!(wanted["contact"], json!(["mailto:ops@example.com"]));
        let mut books = self.books();
        if let Some((key_id, secret)) = &books.external {
            let url = format!("{base}/account");
            if !jws::is_bound(&wanted["externalAccountBinding"], key_id, secret, &url, &key) {
                books.turned_away += 1;
                drop(books);
                return self.problem(403, "externalAccountRequired");
            }
        }
        books.accounts.push(key);
        let location = format!("{base}/account/{}", books.accounts.len() - 1);
        drop(books);
        self.answer(201, Some(location), &json!({"status": "valid"}))
    }

    /// The key of the account that signed.
    fn known(&self, signed: &Signed) -> Option<Value> {
        let number: usize = signed.header["kid"].as_str()?.rsplit_once('/')?.1.parse().ok()?;
        let key = self.books().accounts.get(number).cloned()?;
        signed.is_by(&key).then_some(key)
    }

    async fn take(&self, base: &str, signed: &Signed, key: &Value) -> Response<ServiceBody> {
        let mut refusing = self.refusing.subscribe();
        tokio::select! {
            biased;
            _ = refusing.wait_for(|refusing| *refusing) => {
                self.books().refused += 1;
                return self.problem(503, "serverInternal");
            }
            allowed = self.allowed.acquire() => allowed.unwrap().forget(),
        }
        let wanted: Value = serde_json::from_slice(&signed.payload).unwrap();
        let mut books = self.books();
        let number = books.orders.len();
        books.replaced.extend(wanted["replaces"].as_str().map(str::to_owned));
        books.orders.push(Order {
            domain: wanted["identifiers"][0]["value"].as_str().unwrap().to_owned(),
            answer: format!("{}.{}", token(number), jws::thumbprint(key)),
            asked: None,
            status: "pending",
            point: Vec::new(),
            certificate: String::new(),
            replaces: wanted["replaces"].clone(),
        });
        let order = books.orders[number].json(base, number);
        drop(books);
        self.answer(201, Some(format!("{base}/order/{number}")), &order)
    }

    /// Looks whether the name leads to whoever ordered, if it may.
    async fn look(&self, number: usize) {
        let (domain, answer, way) = {
            let order = &self.books().orders[number];
            let ("pending", Some(way)) = (order.status, order.asked) else { return };
            (order.domain.clone(), order.answer.clone(), way)
        };
        let [http, https] = self.target.subscribe().wait_for(Option::is_some).await.unwrap().unwrap();
        let found = match way {
            "http-01" => look::over_http(http, &domain, &token(number), &answer).await,
            _ => look::over_tls(https, &domain, &answer).await,
        };
        let mut books = self.books();
        books.looked.push(way);
        books.orders[number].status = if found { "ready" } else { "invalid" };
    }

    /// Takes a request for a certificate.
    fn take_request(&self, number: usize, signed: &Signed) {
        let wanted: Value = serde_json::from_slice(&signed.payload).unwrap();
        let request = jws::decoded(wanted["csr"].as_str().unwrap());
        let at = request.windows(P256.len()).position(|found| found == P256).unwrap() + P256.len();
        let order = &mut self.books().orders[number];
        assert_eq!(order.status, "ready");
        assert!(request.windows(order.domain.len()).any(|name| name == order.domain.as_bytes()));
        order.point = request[at..at + 65].to_vec();
        order.status = "processing";
    }

    /// The state of an order, whose certificate is signed now if it may be.
    fn show(&self, base: &str, number: usize) -> Response<ServiceBody> {
        let mut books = self.books();
        if books.orders[number].status == "processing" && !*self.holding.borrow() {
            let [past, future] = books.lives.pop_front().unwrap().times();
            let (order, now) = (&mut books.orders[number], SystemTime::now());
            order.certificate = self.pki.sign_point(&order.point, &order.domain, now - past, now + future);
            order.status = "valid";
        }
        let (order, status) = (books.orders[number].json(base, number), books.orders[number].status);
        drop(books);
        let mut response = self.answer(200, None, &order);
        if status == "processing" {
            response.headers_mut().insert("retry-after", 86_400.into());
        }
        response
    }

    /// When to renew a certificate (RFC 9773, section 4.2).
    fn suggestion(&self, id: &str) -> Response<ServiceBody> {
        self.books().asked_about.push(id.to_owned());
        let window = json!({"start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z"});
        self.answer(200, None, &json!({"suggestedWindow": window}))
    }

    fn problem(&self, status: u16, kind: &str) -> Response<ServiceBody> {
        let kind = format!("urn:ietf:params:acme:error:{kind}");
        self.answer(status, None, &json!({"type": kind, "detail": "as the scenario wants it"}))
    }

    fn answer(&self, status: u16, location: Option<String>, value: &Value) -> Response<ServiceBody> {
        self.reply(status, location, value.to_string().into())
    }

    /// Every answer has a nonce for the next request.
    fn reply(&self, status: u16, location: Option<String>, body: Bytes) -> Response<ServiceBody> {
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        self.books().nonces.insert(nonce.clone());
        let mut response = Response::builder().status(status).header("replay-nonce", nonce);
        if let Some(location) = location {
            response = response.header("location", location);
        }
        response.body(Full::new(body).map_err(|never| match never {}).boxed_unsync()).unwrap()
    }
}

impl Order {
    fn json(&self, base: &str, number: usize) -> Value {
        let url = |kind| format!("{base}/{kind}/{number}");
        json!({
            "status": self.status,
            "identifiers": [{"type": "dns", "value": self.domain}],
            "authorizations": [url("authorization")],
            "finalize": url("finalize"),
            "certificate": (self.status == "valid").then(|| url("certificate")),
            "replaces": self.replaces,
        })
    }

    fn authorization(&self, base: &str, number: usize) -> Value {
        let challenges = ["dns-01", "http-01", "tls-alpn-01"].map(|kind| self.challenge(base, number, kind));
        let status = if matches!(self.status, "pending" | "invalid") { self.status } else { "valid" };
        json!({
            "status": status,
            "identifier": {"type": "dns", "value": self.domain},
            "challenges": challenges,
        })
    }

    fn challenge(&self, base: &str, number: usize, kind: &str) -> Value {
        let status = if self.asked == Some(kind) { "processing" } else { "pending" };
        json!({
            "type": kind,
            "url": format!("{base}/challenge/{number}/{kind}"),
            "token": token(number),
            "status": status,
        })
    }
}

fn directory(base: &str, is_suggesting: bool) -> Value {
    json!({
        "newNonce": format!("{base}/nonce"),
        "newAccount": format!("{base}/account"),
        "newOrder": format!("{base}/order"),
        "revokeCert": format!("{base}/revoke"),
        "keyChange": format!("{base}/key"),
        "renewalInfo": is_suggesting.then(|| format!("{base}/renewal")),
    })
}

fn token(number: usize) -> String {
    format!("token-{number}")
}
