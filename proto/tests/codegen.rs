//! The checked-in code is what the `.proto` gives. `UPDATE_CODEGEN=1` writes it anew instead.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path};

use prost::Message as _;

#[test]
fn generated_code_is_current() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let fds = protox::compile(["indranet/tunnel/v1/tunnel.proto"], [root]).expect("the .proto compiles");
    let mut stripped = fds.clone();
    for file in &mut stripped.file {
        file.source_code_info = None; // reflection needs no comments
    }
    let out = std::env::temp_dir().join(format!("indranet-codegen-{}", std::process::id()));
    fs::create_dir_all(&out).unwrap();
    tonic_prost_build::configure()
        .bytes(".")
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

fn check(path: &Path, fresh: &[u8]) {
    if std::env::var_os("UPDATE_CODEGEN").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, fresh).unwrap();
    }
    let current = fs::read(path).unwrap_or_default();
    let remedy = "is stale: UPDATE_CODEGEN=1 cargo test -p indranet-proto --test codegen";
    assert!(current == fresh, "{} {remedy}", path.display());
}
