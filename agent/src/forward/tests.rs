//! Exchanges between a gateway and a service that are both played by the scenario: the one frame by frame, the other byte
//! by byte.

mod connections;
mod http2;
mod interim;
mod requests;
mod responses;
mod routing;
mod scene;
mod tls;
mod upgrades;
mod uploads;
