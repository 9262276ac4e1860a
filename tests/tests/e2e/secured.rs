//! What scenarios about TLS share: gateways with a certificate, what clients are shown, and a stream that must not notice.

use gateway::Config;
use tests::{AGENT, Chunk, DOMAIN, Gateway, Issued, Pki, Request, Secure, Upstream, Wire};

/// The host name of the agent.
pub(crate) fn host() -> String {
    format!("{AGENT}.{DOMAIN}")
}

/// A gateway that shows the usual certificate on every port, with that certificate and who signed it.
pub(crate) async fn secured(adjust: impl FnOnce(&mut Config)) -> (Pki, Issued, Gateway) {
    let pki = Pki::new();
    let usual = pki.usual();
    let tls = pki.config(&[&usual]);
    let gateway = Gateway::start_with_config(|config| {
        config.tls = Some(tls);
        adjust(config);
    })
    .await;
    (pki, usual, gateway)
}

/// The certificate that a client is shown.
pub(crate) fn certificate(stream: &Secure) -> Vec<u8> {
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

/// A response that is on its way while something else happens.
pub(crate) struct Streaming {
    client: Wire,
    service: Wire,
}

impl Streaming {
    /// Begins with half of it.
    pub(crate) async fn begin(mut client: Wire, upstream: &Upstream) -> Self {
        client.begin(&Request::get("/").to(AGENT)).await;
        let mut service = upstream.accept().await;
        service.reader.head().await;
        service.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
        service.writer.chunk("before").await;
        client.reader.head().await;
        assert_eq!(client.reader.chunk().await, Some(Chunk::Data(b"before".to_vec())));
        Self { client, service }
    }

    /// The other half arrives over the same connection and the same link.
    pub(crate) async fn finish(mut self, gateway: &Gateway) {
        self.service.writer.chunk("after").await;
        self.service.writer.last_chunk().await;
        assert_eq!(self.client.reader.chunk().await, Some(Chunk::Data(b"after".to_vec())));
        assert_eq!(self.client.reader.chunk().await, Some(Chunk::Last(Vec::new())));
        assert_eq!(gateway.metrics().await.sessions(), 1, "the agent's link is the same");
    }
}
