//! From a host name to an agent, and no further.

use tests::{OFFLINE_AGENT, Request, Service, Transport, Tunnel, over_every_transport};

over_every_transport![
    an_unknown_agent_is_a_404,
    an_agent_that_is_not_connected_is_a_404_of_its_own,
    names_that_are_nobodys_look_like_an_unknown_agent,
    names_that_are_none_are_a_400,
    requests_without_a_single_host_are_a_400,
    capitals_ports_and_a_trailing_dot_do_not_matter,
    an_absolute_target_wins_over_the_host,
    other_fields_never_route,
    connect_is_not_allowed,
];

async fn tunnel(transport: Transport) -> (Service, Tunnel) {
    let service = Service::saying("found").await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    (service, tunnel)
}

/// Sends bytes on a connection of their own and returns status and code of the answer.
async fn answer(tunnel: &Tunnel, bytes: impl AsRef<[u8]>) -> (u16, Option<String>) {
    let mut client = tunnel.client().await;
    client.send(bytes).await;
    let head = client.reader.head().await;
    (head.status(), head.value("indranet-error").map(str::to_owned))
}

fn error(status: u16, code: &str) -> (u16, Option<String>) {
    (status, Some(code.to_owned()))
}

async fn an_unknown_agent_is_a_404(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    let response = tunnel.ask(&Request::get("/").to("nobody")).await;
    assert_eq!(
        (response.head.status(), response.head.value("indranet-error")),
        (404, Some("agent_not_found"))
    );
    assert!(response.head.value("x-request-id").is_some());
    tunnel.gateway.counted("agent_not_found", 1).await;
}

async fn an_agent_that_is_not_connected_is_a_404_of_its_own(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    let request = Request::get("/").to(OFFLINE_AGENT);
    assert_eq!(answer(&tunnel, request.bytes()).await, error(404, "agent_offline"));
    tunnel.gateway.counted("agent_offline", 1).await;
}

async fn names_that_are_nobodys_look_like_an_unknown_agent(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    for host in [
        "tunnel.test",
        "127.0.0.1",
        "[::1]",
        "myapp.tunnel.test.evil.example",
        "myapp.evil.example",
        "evil.myapp.tunnel.test",
        "myapptunnel.test",
        "xmyapp.tunnel.test",
        "myapp.xtunnel.test",
        "my_app.tunnel.test",
        "%6dyapp.tunnel.test",
        "xn--myapp.tunnel.test",
        "\u{ff4d}yapp.tunnel.test",
        &format!("{}.tunnel.test", "a".repeat(300)),
        &format!("{}.tunnel.test", "a".repeat(8000)),
    ] {
        let found = answer(&tunnel, Request::get("/").host(host).bytes()).await;
        assert_eq!(found, error(404, "agent_not_found"), "{host}");
    }
}

async fn names_that_are_none_are_a_400(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    for host in [
        "",
        "user@myapp.tunnel.test",
        "myapp.tunnel.test,other.tunnel.test",
        "myapp .tunnel.test",
        "myapp/.tunnel.test",
        "myapp#.tunnel.test",
        "myapp?.tunnel.test",
        "myapp\\.tunnel.test",
        "http://myapp.tunnel.test",
        "\"myapp\".tunnel.test",
        "[::1",
        "myapp..tunnel.test",
        ".myapp.tunnel.test",
        "myapp%0d%0a.tunnel.test",
        "myapp.tunnel.test:http",
        "myapp.tunnel.test:99999",
    ] {
        let found = answer(&tunnel, Request::get("/").host(host).bytes()).await;
        assert_eq!(found, error(400, "bad_host"), "{host:?}");
    }
    assert_eq!(answer(&tunnel, Request::get("/").host("my\0app.tunnel.test").bytes()).await.0, 400);
    assert_eq!(answer(&tunnel, b"GET / HTTP/1.1\r\nhost: \xff\xfe.tunnel.test\r\n\r\n").await.0, 400);
}

async fn requests_without_a_single_host_are_a_400(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\nhost: myapp.tunnel.test\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: myapp.tunnel.test\r\nHost: other.tunnel.test\r\n\r\n",
        "GET http://myapp.tunnel.test/ HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(answer(&tunnel, head).await, error(400, "bad_host"), "{head}");
    }
}

async fn capitals_ports_and_a_trailing_dot_do_not_matter(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    for host in ["MyApp.Tunnel.TEST", "myapp.tunnel.test:8082", "myapp.tunnel.test.", "MYAPP.tunnel.test.:1"]
    {
        assert_eq!(answer(&tunnel, Request::get("/").host(host).bytes()).await, (200, None), "{host}");
    }
}

async fn an_absolute_target_wins_over_the_host(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    let found = Request::get("http://myapp.tunnel.test/").to("nobody");
    assert_eq!(answer(&tunnel, found.bytes()).await, (200, None));
    let lost = Request::get("http://nobody.tunnel.test/");
    assert_eq!(answer(&tunnel, lost.bytes()).await, error(404, "agent_not_found"));
    let foreign = Request::get("ftp://myapp.tunnel.test/");
    assert_eq!(answer(&tunnel, foreign.bytes()).await, error(400, "bad_host"));
}

async fn other_fields_never_route(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    let request = Request::get("/")
        .to("nobody")
        .field("x-forwarded-host", "myapp.tunnel.test")
        .field("x-host", "myapp.tunnel.test")
        .field("forwarded", "host=myapp.tunnel.test");
    assert_eq!(answer(&tunnel, request.bytes()).await, error(404, "agent_not_found"));
}

async fn connect_is_not_allowed(transport: Transport) {
    let (_service, tunnel) = tunnel(transport).await;
    let request = "CONNECT myapp.tunnel.test:80 HTTP/1.1\r\nhost: myapp.tunnel.test:80\r\n\r\n";
    assert_eq!(answer(&tunnel, request).await, error(405, "method_not_allowed"));
}
