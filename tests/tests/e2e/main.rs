//! What a tunnel does for whoever is on either side of it. Each scenario runs over every transport.

#![allow(clippy::unwrap_used, reason = "in a test, to panic is to report")]

mod acme;
mod authentication;
mod bodies;
mod connections;
mod edge;
mod equality;
mod framing;
mod grpc;
mod handover;
mod headers;
mod leaving;
mod lifecycle;
mod links;
mod misbehaving;
mod requests;
mod routing;
mod secured;
mod streaming;
mod surviving;
mod switching;
mod threats;
mod tls;
mod troubles;
