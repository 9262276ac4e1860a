//! Exchanges between a gateway and a service that are both played by the scenario: the one frame by frame, the other byte
//! by byte.

mod connections;
mod interim;
mod requests;
mod responses;
mod scene;
mod speed;
mod upgrades;
mod uploads;
