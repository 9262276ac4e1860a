//! The checked-in code is what the `.proto` gives. `UPDATE_CODEGEN=1` writes it anew instead.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use prost::Message as _;
use prost_types::{FileDescriptorSet, field_descriptor_proto};

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fds = protox::compile(["indranet/tunnel/v1/tunnel.proto"], [root]).expect("the .proto compiles");
    let mut stripped = fds.clone();
    for file in &mut stripped.file {
        file.source_code_info = None; // reflection needs no comments
    }
    let fds = texts_as_bytes(fds);
    let out = std::env::temp_dir().join(format!("indranet-codegen-{}", std::process::id()));
    fs::create_dir_all(&out).unwrap();
    tonic_prost_build::configure()
        .bytes(".")
        .skip_debug(["indranet.tunnel.v1.Header"])
        .build_transport(false)
        .client_mod_attribute(".", "#[cfg(feature = \"grpc-client\")]")
        .server_mod_attribute(".", "#[cfg(feature = \"grpc-server\")]")
        .out_dir(&out)
        .compile_fds(fds)
        .expect("code generation");
    let code = fs::read(out.join("indranet.tunnel.v1.rs")).unwrap();
    fs::remove_dir_all(&out).unwrap();

    check(&root.join("src/generated/indranet.tunnel.v1.rs"), &code);
    check(&root.join("src/generated/tunnel.fds"), &stripped.encode_to_vec());
}

/// Texts that travel in every frame, by message. A string and a byte string are the same on the wire; in Rust the latter is a
/// slice of the buffer that it was read into, the former an allocation. What is in them is checked when it is used.
const AS_BYTES: [(&str, &[&str]); 6] = [
    ("Header", &["name"]),
    ("TunnelRequest", &["id", "method", "path", "authority"]),
    ("TunnelResponse", &["id"]),
    ("TunnelData", &["id"]),
    ("TunnelClose", &["id"]),
    ("TunnelWindow", &["id"]),
];

fn texts_as_bytes(mut fds: FileDescriptorSet) -> FileDescriptorSet {
    for message in fds.file.iter_mut().flat_map(|file| &mut file.message_type) {
        let Some((_, names)) = AS_BYTES.iter().find(|(name, _)| *name == message.name()) else { continue };
        for field in message.field.iter_mut().filter(|field| names.contains(&field.name())) {
            field.set_type(field_descriptor_proto::Type::Bytes);
        }
    }
    fds
}

fn check(path: &Path, fresh: &[u8]) {
    if std::env::var_os("UPDATE_CODEGEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, fresh).unwrap();
    }
    let current = fs::read(path).unwrap_or_default();
    let remedy = "is stale: UPDATE_CODEGEN=1 cargo test -p indranet-proto --test codegen";
    assert!(current == fresh, "{} {remedy}", path.display());
}
