//! What a gateway counts, as its operator reads it.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(5);

/// The sum of a gauge over its labels.
pub(crate) async fn gauge(admin: SocketAddr, name: &str) -> anyhow::Result<u64> {
    let text = timeout(PATIENCE, scrape(admin)).await.context("the admin port does not answer")??;
    sum(&text, name).with_context(|| format!("there is no gauge {name}"))
}

async fn scrape(admin: SocketAddr) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(admin).await?;
    let request = format!("GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "the admin port says {:?}", answer.lines().next());
    Ok(answer)
}

fn sum(text: &str, name: &str) -> Option<u64> {
    let value = |line: &str| {
        let rest = line.strip_prefix(name)?;
        let rest = if rest.starts_with('{') { rest.split_once('}')?.1 } else { rest };
        rest.strip_prefix(' ')?.trim().parse::<u64>().ok()
    };
    text.lines().filter_map(value).reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gauge_is_summed_over_its_labels_and_not_over_its_namesakes() {
        let text = "# TYPE a gauge\na{x=\"1\"} 2\na{x=\"2\"} 3\na_b 7\nc 9\n";
        assert_eq!(
            [sum(text, "a"), sum(text, "a_b"), sum(text, "c"), sum(text, "d")],
            [Some(5), Some(7), Some(9), None]
        );
    }
}
