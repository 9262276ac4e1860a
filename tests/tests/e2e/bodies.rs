//! Bodies arrive as they were sent, in both directions.

use tests::{Message, Request, Service, Transport, Tunnel, noise, over_every_transport};

over_every_transport![
    bodies_of_declared_length_come_back_equal,
    bodies_in_chunks_come_back_equal,
    twenty_mebibytes_of_declared_length_come_back_equal,
    twenty_mebibytes_in_chunks_come_back_equal,
    many_bodies_cross_at_once_without_mixing,
];

const KIB: usize = 1024;
/// Around the largest chunk of the tunnel, and beyond what a link grants at first.
const LENGTHS: [usize; 8] = [0, 1, 1000, 32 * KIB - 1, 32 * KIB, 32 * KIB + 1, 300 * KIB, KIB * KIB];

fn assert_echoed(response: &Message, body: &[u8]) {
    assert_eq!(response.head.status(), 200);
    // Not assert_eq: nobody wants to read them.
    assert!(response.body == body, "{} bytes came back for {}", response.body.len(), body.len());
}

async fn bodies_of_declared_length_come_back_equal(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let mut client = tunnel.client().await;
    for length in LENGTHS {
        let body = noise(length);
        let response = client.ask(&Request::post("/").body(&body)).await;
        assert_eq!(response.head.content_length(), Some(length));
        assert_echoed(&response, &body);
    }
}

async fn bodies_in_chunks_come_back_equal(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let mut client = tunnel.client().await;
    for length in LENGTHS {
        let body = noise(length);
        assert_echoed(&client.ask(&Request::new("PUT", "/").chunked(&body)).await, &body);
    }
}

async fn twenty_mebibytes_of_declared_length_come_back_equal(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let body = noise(20 * KIB * KIB);
    assert_echoed(&tunnel.ask(&Request::post("/").body(&body)).await, &body);
}

async fn twenty_mebibytes_in_chunks_come_back_equal(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let body = noise(20 * KIB * KIB);
    let response = tunnel.ask(&Request::post("/").chunked(&body)).await;
    assert!(response.head.is_chunked());
    assert_echoed(&response, &body);
}

async fn many_bodies_cross_at_once_without_mixing(transport: Transport) {
    let service = Service::echo().await;
    let tunnel = Tunnel::start(transport, service.addr()).await;
    let exchanges = (1..=16).map(|index| {
        let tunnel = &tunnel;
        async move {
            let body = noise(index * 50_021).split_off(index);
            assert_echoed(&tunnel.ask(&Request::post("/").body(&body)).await, &body);
        }
    });
    futures_util::future::join_all(exchanges).await;
}
