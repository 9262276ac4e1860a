//! The generated messages, checked in so that building needs neither `protoc` nor a build script.
//! `tests/codegen.rs` holds them to the `.proto`; `UPDATE_CODEGEN=1 cargo test -p indranet-proto` writes them anew.

#![allow(missing_docs, clippy::all, clippy::pedantic, unreachable_pub)]

include!("generated/indranet.tunnel.v1.rs");

/// The encoded `FileDescriptorSet` of the tunnel service, for gRPC reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!("generated/tunnel.fds");
