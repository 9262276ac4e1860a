use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

/// What carries bytes to and from the local service: as they are on the left, through TLS on the right.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// Whether HTTP/2 was agreed on while connecting.
pub(super) fn speaks_http2(stream: &Stream) -> bool {
    match stream {
        Stream::Left(_) => false,
        Stream::Right(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
    }
}
