use crate::{AGENT, DOMAIN};

/// How long the chunks are that a body is cut into.
const CHUNK: usize = 10_000;

pub(super) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// A request as a client sends it, to [`AGENT`] unless it says otherwise.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: String,
    target: String,
    host: String,
    fields: Vec<u8>,
    body: Vec<u8>,
}

impl Request {
    /// A request without fields but Host, and without a body.
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            host: String::new(),
            fields: vec![],
            body: vec![],
        }
        .to(AGENT)
    }

    /// A GET.
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// A POST.
    pub fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    /// For another agent.
    pub fn to(self, agent: &str) -> Self {
        self.host(&format!("{agent}.{DOMAIN}"))
    }

    /// For another host.
    pub fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// With one field more.
    pub fn field(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.fields.extend_from_slice(name.as_bytes());
        self.fields.extend_from_slice(b": ");
        self.fields.extend_from_slice(value.as_ref());
        self.fields.extend_from_slice(b"\r\n");
        self
    }

    /// With a body of declared length.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        body.as_ref().clone_into(&mut self.body);
        self.declaring(body.as_ref().len())
    }

    /// With a body in chunks.
    pub fn chunked(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().chunks(CHUNK).flat_map(chunk).chain(LAST_CHUNK.iter().copied()).collect();
        self.field("transfer-encoding", "chunked")
    }

    /// With a declared length for a body that the scenario sends later.
    pub fn declaring(self, length: usize) -> Self {
        self.field("content-length", length.to_string())
    }

    /// The same request for HTTP/2.
    pub(crate) fn to_h2(&self) -> http::request::Builder {
        let lines = self.fields.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii_end);
        let uri = format!("http://{}{}", self.host, self.target);
        let request = http::Request::builder().method(self.method.as_str()).uri(uri);
        super::head::fields(lines)
            .into_iter()
            .fold(request, |request, (name, value)| request.header(name, value))
    }

    /// The body as it goes over the wire.
    pub(crate) fn body_bytes(&self) -> &[u8] {
        &self.body
    }

    /// What goes over the wire.
    pub fn bytes(&self) -> Vec<u8> {
        let Self { method, target, host, fields, body } = self;
        let mut bytes = format!("{method} {target} HTTP/1.1\r\nhost: {host}\r\n").into_bytes();
        bytes.extend_from_slice(fields);
        bytes.extend_from_slice(b"\r\n");
        bytes.extend_from_slice(body);
        bytes
    }
}

pub(super) fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}
