//! A WebSocket echo server on the bridge's own settings, for a conformance suite: `cargo run --example echo --features
//! echo -- 127.0.0.1:9001`.

use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9001".to_owned());
    ws_bridge::echo::serve(TcpListener::bind(addr).await?).await
}
