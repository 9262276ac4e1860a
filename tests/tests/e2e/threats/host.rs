//! Host and agent id: what `e2e::routing` leaves open.

use tests::{
    OFFLINE_AGENT, Tunnel, Upstream,
    h2::{Fate, frame, hpack},
    over_every_transport,
};

use super::*;

over_every_transport![
    host_names_that_are_nobodys_get_one_and_the_same_answer,
    host_names_that_are_none_are_refused_over_http_2_too,
    host_fields_that_do_not_route_do_not_over_http_2_either,
    host_two_of_them_are_refused_however_they_are_written,
    host_of_an_absolute_target_is_the_one_that_arrives,
];

/// Names that must not be told apart from an agent that does not exist.
fn nobodys() -> Vec<String> {
    let names = [
        "nobody.tunnel.test",
        "tunnel.test",
        "127.0.0.1",
        "[::1]",
        "myapp.evil.example",
        "myapp.tunnel.test.evil.example",
        "evil.myapp.tunnel.test",
        "xmyapp.tunnel.test",
        "myapptunnel.test",
        "my_app.tunnel.test",
        "xn--myapp.tunnel.test",
        "%6dyapp.tunnel.test",
        "\u{ff4d}yapp.tunnel.test",
        "\u{212a}elvin.tunnel.test",
        "www.tunnel.test",
    ];
    let mut names: Vec<_> = names.map(str::to_owned).into();
    names.extend([63, 64, 300, 8000].map(|length| format!("{}.tunnel.test", "a".repeat(length))));
    names
}

async fn host_names_that_are_nobodys_get_one_and_the_same_answer(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    for accept in ["text/plain", "text/html", "application/json"] {
        let mut answers = Vec::new();
        for name in nobodys() {
            let response = scene.ask(&Request::get("/").host(&name).field("accept", accept)).await;
            let id = response.head.value("x-request-id").unwrap().to_owned();
            let mut fields = response.head.fields.clone();
            fields.retain(|(name, _)| !matches!(name.as_str(), "x-request-id" | "date"));
            let body = String::from_utf8(response.body).unwrap().replace(&id, "");
            answers.push((response.head.start, fields, body));
        }
        assert!(answers[0].0.starts_with("HTTP/1.1 404 "));
        for (answer, name) in answers.iter().zip(nobodys()) {
            assert_eq!(answer, &answers[0], "{name:.80}");
        }
    }
    scene.assert_over().await;
}

/// What becomes of a GET over HTTP/2 with these fields behind method, scheme and path.
async fn fate(scene: &Scene, fields: &[(&str, &[u8])]) -> Fate {
    let mut client = scene.h2().await;
    let pseudo: [(&str, &[u8]); 3] = [(":method", b"GET"), (":scheme", b"http"), (":path", b"/")];
    let block = hpack::block(&[&pseudo[..], fields].concat());
    client.send(frame::headers(1, frame::END_HEADERS | frame::END_STREAM, block)).await;
    client.fate(1).await
}

async fn host_names_that_are_none_are_refused_over_http_2_too(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let names = [
        "user@myapp.tunnel.test",
        "myapp..tunnel.test",
        ".myapp.tunnel.test",
        "myapp.tunnel.test:99999",
        "myapp.tunnel.test:",
        "myapp%0d%0a.tunnel.test",
        "myapp%2f.tunnel.test",
        "myapp.tunnel.test,other.tunnel.test",
        "[::1",
    ];
    for name in names {
        let in_field = fate(&scene, &[("host", name.as_bytes())]).await;
        assert_eq!(in_field, Fate::Status(400), "{name}");
        // Some are no authority even to the library, which resets the stream.
        let in_authority = fate(&scene, &[(":authority", name.as_bytes())]).await;
        assert!(
            matches!(in_authority, Fate::Status(400) | Fate::Reset(frame::PROTOCOL_ERROR)),
            "{name} {in_authority:?}"
        );
    }
    assert_eq!(fate(&scene, &[]).await, Fate::Status(400), "none");
    for name in nobodys().iter().filter(|name| name.is_ascii()) {
        assert_eq!(fate(&scene, &[("host", name.as_bytes())]).await, Fate::Status(404), "{name:.80}");
    }
    for name in ["MyApp.Tunnel.TEST", "myapp.tunnel.test:8082", "myapp.tunnel.test."] {
        assert_eq!(fate(&scene, &[(":authority", name.as_bytes())]).await, Fate::Status(200), "{name}");
        assert_eq!(fate(&scene, &[("host", name.as_bytes())]).await, Fate::Status(200), "{name}");
    }
    scene.assert_over().await;
}

async fn host_fields_that_do_not_route_do_not_over_http_2_either(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let fields: [(&str, &[u8]); 5] = [
        (":authority", b"nobody.tunnel.test"),
        ("x-forwarded-host", b"myapp.tunnel.test"),
        ("x-host", b"myapp.tunnel.test"),
        ("x-original-host", b"myapp.tunnel.test"),
        ("forwarded", b"host=myapp.tunnel.test"),
    ];
    assert_eq!(fate(&scene, &fields).await, Fate::Status(404));
    scene.gateway.counted("agent_not_found", 1).await;
    scene.assert_over().await;
}

async fn host_two_of_them_are_refused_however_they_are_written(transport: Transport) {
    let mut scene = Scene::new(transport).await;
    let name = "myapp.tunnel.test";
    for second in [name, "other.tunnel.test", ""] {
        for between in ["", "x: y\r\n"] {
            let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\n{between}host: {second}\r\n\r\n");
            let mut client = scene.gateway.client().await;
            client.send(request).await;
            let head = client.reader.head().await;
            assert_eq!((head.status(), head.value("indranet-error")), (400, Some("bad_host")));
        }
        let twice = [("host", name.as_bytes()), ("host", second.as_bytes())];
        assert_eq!(fate(&scene, &twice).await, Fate::Status(400));
    }
    scene.assert_over().await;
}

async fn host_of_an_absolute_target_is_the_one_that_arrives(transport: Transport) {
    let upstream = Upstream::start().await;
    let tunnel = Tunnel::start(transport, upstream.addr()).await;
    let mut client = tunnel.client().await;
    client.begin(&Request::get("http://MyApp.tunnel.test:81/a?b").to(OFFLINE_AGENT)).await;
    let mut service = upstream.accept().await;
    let head = service.request().await.head;
    assert_eq!((head.target(), head.value("host")), ("/a?b", Some("MyApp.tunnel.test:81")));
    assert_eq!(head.value("x-forwarded-host"), Some("MyApp.tunnel.test:81"));
    service.answer("found").await;
    assert_eq!(client.reader.response(&Request::get("/")).await.body, b"found");
}
