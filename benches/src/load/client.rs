use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{LoadError, Request, request::Reuse, response::Head};

/// Enough that bulk needs few system calls, and little enough to stay in cache.
const BUFFER: usize = 128 * 1024;
/// Longest part of an error response that is shown.
const EXCERPT: usize = 500;

/// A client that makes one request at a time.
#[derive(Debug)]
pub(super) struct Client {
    addr: SocketAddr,
    /// The open connection, if connections are kept.
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) async fn new(addr: SocketAddr, reuse: Reuse) -> io::Result<Self> {
        let stream = match reuse {
            Reuse::KeepAlive => Some(connect(addr).await?),
            Reuse::Close => None,
        };
        Ok(Self { addr, stream, buffer: vec![0; BUFFER] })
    }

    /// Makes one request after the other until one ends after `end`, and says how long each took.
    pub(super) async fn repeat<'a>(
        &mut self,
        requests: impl Iterator<Item = &'a Request>,
        end: Instant,
    ) -> Result<Vec<Duration>, LoadError> {
        let mut latencies = Vec::new();
        let mut begun = Instant::now();
        for request in requests {
            match &mut self.stream {
                Some(stream) => exchange(stream, &mut self.buffer, request).await?,
                None => exchange_once(self.addr, &mut self.buffer, request).await?,
            }
            let ended = Instant::now();
            latencies.push(ended - begun);
            if ended >= end {
                break;
            }
            begun = ended;
        }
        Ok(latencies)
    }
}

/// Waits for the server to close, too: else the client would be left with a port in TIME_WAIT for each request.
async fn exchange_once(addr: SocketAddr, buffer: &mut [u8], request: &Request) -> Result<(), LoadError> {
    let mut stream = connect(addr).await?;
    exchange(&mut stream, buffer, request).await?;
    match stream.read(buffer).await? {
        0 => Ok(()),
        _ => Err(LoadError::Response("more bytes than it announced")),
    }
}

async fn exchange(stream: &mut TcpStream, buffer: &mut [u8], request: &Request) -> Result<(), LoadError> {
    send(stream, request).await?;
    let (head, filled) = read_head(stream, buffer).await?;
    if head.status != 200 {
        let excerpt = String::from_utf8_lossy(&buffer[..filled.min(EXCERPT)]);
        return Err(LoadError::Status(excerpt.into_owned()));
    }
    if head.length != request.expected {
        return Err(LoadError::Length { expected: request.expected, announced: head.length });
    }
    let excess = LoadError::Response("more bytes than it announced");
    let mut left = head.length.checked_sub((filled - head.end) as u64).ok_or(excess)?;
    while left > 0 {
        let most = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
        left -= read(stream, &mut buffer[..most]).await? as u64;
    }
    Ok(())
}

pub(super) async fn send(stream: &mut TcpStream, request: &Request) -> io::Result<()> {
    static PIECE: [u8; BUFFER] = [b'x'; BUFFER];
    stream.write_all(&request.bytes).await?;
    let mut left = request.streamed;
    while left > 0 {
        let most = usize::try_from(left).map_or(BUFFER, |left| left.min(BUFFER));
        left -= stream.write(&PIECE[..most]).await? as u64;
    }
    Ok(())
}

/// The head, and how much of the buffer is filled.
async fn read_head(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<(Head, usize), LoadError> {
    let mut filled = 0;
    loop {
        if filled == buffer.len() {
            return Err(LoadError::Response("an endless head"));
        }
        filled += read(stream, &mut buffer[filled..]).await?;
        if let Some(head) = Head::parse(&buffer[..filled])? {
            return Ok((head, filled));
        }
    }
}

async fn read(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<usize, LoadError> {
    match stream.read(buffer).await? {
        0 => Err(LoadError::Closed),
        count => Ok(count),
    }
}

pub(super) async fn connect(addr: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(addr).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
