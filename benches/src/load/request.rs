/// Largest request body that goes out together with the head.
const INLINE: u64 = 64 * 1024;

/// A request as bytes, and what is expected of its response.
#[derive(Clone, Debug)]
pub struct Request {
    /// The head, and the body if it is not large.
    pub(super) bytes: Vec<u8>,
    /// Body bytes to send after that.
    pub(super) streamed: u64,
    /// Body bytes of the response.
    pub(super) expected: u64,
    pub(super) reuse: Reuse,
    method: &'static str,
    host: String,
    body: u64,
}

/// What becomes of a connection after a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reuse {
    /// It carries the next request.
    KeepAlive,
    /// It is closed, and the next request goes over a new one.
    Close,
}

impl Request {
    /// Asks `host` for a body of `length` bytes.
    pub fn get(host: &str, length: u64) -> Self {
        Self::new("GET", host, 0, length)
    }

    /// Sends `host` a body of `length` bytes and expects an empty one.
    pub fn post(host: &str, length: u64) -> Self {
        Self::new("POST", host, length, 0)
    }

    /// Makes each request on a connection of its own.
    #[must_use]
    pub fn with_new_connections(self) -> Self {
        Self { reuse: Reuse::Close, ..self }.written()
    }

    fn new(method: &'static str, host: &str, body: u64, expected: u64) -> Self {
        let (host, reuse) = (host.to_owned(), Reuse::KeepAlive);
        Self { bytes: Vec::new(), streamed: 0, expected, reuse, method, host, body }.written()
    }

    fn written(mut self) -> Self {
        let Self { method, host, body, expected, .. } = &self;
        let mut head = format!("{method} /{expected} HTTP/1.1\r\nhost: {host}\r\n");
        if *method == "POST" {
            head += &format!("content-length: {body}\r\n");
        }
        if self.reuse == Reuse::Close {
            head += "connection: close\r\n";
        }
        head += "\r\n";
        let inline = if *body <= INLINE { *body } else { 0 };
        self.streamed = body - inline;
        self.bytes = head.into_bytes();
        self.bytes.resize(self.bytes.len() + inline as usize, b'x');
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_body_goes_out_with_the_head() {
        let request = Request::post("here", 3);
        assert_eq!(request.bytes, b"POST /0 HTTP/1.1\r\nhost: here\r\ncontent-length: 3\r\n\r\nxxx");
        assert_eq!(request.streamed, 0);
    }

    #[test]
    fn a_large_body_is_streamed() {
        let request = Request::post("here", INLINE + 1);
        assert!(request.bytes.ends_with(b"\r\n\r\n"));
        assert_eq!(request.streamed, INLINE + 1);
    }

    #[test]
    fn a_connection_that_is_not_kept_is_announced_to_close() {
        let request = Request::get("here", 5).with_new_connections();
        assert_eq!(request.bytes, b"GET /5 HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n");
    }
}
