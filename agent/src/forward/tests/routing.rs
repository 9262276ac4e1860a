use proto::{TunnelRequest, limits};
use tokio::net::TcpListener;

use super::scene::{OK, Peer, Scene, config, get, within};
use crate::{Config, HostField, Route, Upstream};

async fn service() -> (TcpListener, Upstream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, Upstream::http("127.0.0.1", port))
}

/// The head that arrives at `listener` when `path` is asked for.
async fn asked(config: &Config, listener: &TcpListener, path: &'static str) -> String {
    let unused = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut scene = Scene::with(unused, config, limits::INITIAL_WINDOW);
    let id = scene.ask(TunnelRequest { path: path.into(), ..get() });
    let mut peer = Peer(within(listener.accept()).await.unwrap().0);
    let head = peer.head().await;
    peer.write(OK).await;
    scene.response(id).await;
    head
}

#[tokio::test]
async fn the_longest_prefix_decides() {
    let (default, upstream) = service().await;
    let (api, at_api) = service().await;
    let (deep, at_deep) = service().await;
    let route = |prefix: &str, upstream: &Upstream, strip_prefix| {
        let (prefix, upstream) = (prefix.to_owned(), upstream.clone());
        Route { prefix, upstream, strip_prefix }
    };
    let routes = vec![route("/api", &at_api, false), route("/api/deep", &at_deep, true)];
    let config = Config { routes, ..config(upstream) };
    for (listener, path, seen) in [
        (&default, "/", "/"),
        (&default, "/apis?x=/api", "/apis?x=/api"),
        (&api, "/api", "/api"),
        (&api, "/api/deeper?x", "/api/deeper?x"),
        (&deep, "/api/deep", "/"),
        (&deep, "/api/deep/a?x", "/a?x"),
    ] {
        let head = asked(&config, listener, path).await;
        assert!(head.starts_with(&format!("GET {seen} HTTP/1.1\r\n")), "{path}: {head}");
    }
}

#[tokio::test]
async fn the_service_sees_the_host_that_was_asked_for() {
    let (listener, upstream) = service().await;
    let own = listener.local_addr().unwrap().to_string();
    for (host, seen) in [
        (HostField::Preserve, "local"),
        (HostField::Upstream, own.as_str()),
        (HostField::Named("Web:80".to_owned()), "Web:80"),
    ] {
        let config = Config { host, ..config(upstream.clone()) };
        let head = asked(&config, &listener, "/").await;
        assert!(head.starts_with(&format!("GET / HTTP/1.1\r\nhost: {seen}\r\n")), "{head}");
    }
}
