use std::{fs, os::unix::fs::PermissionsExt as _};

use super::*;

const URL: &str = "https://ca.example/directory";

#[test]
fn authorities_are_kept_apart_and_files_are_their_owners_only() {
    let root = tempfile::tempdir().unwrap();
    let cache = Cache::new(root.path(), URL);
    assert_eq!(cache.directory, root.path().join("ca.example_directory"));
    assert_eq!(Cache::new(root.path(), "https://../x").directory, root.path().join("_x"));
    cache.prepare().unwrap();
    assert_eq!(cache.account().unwrap(), None);
    cache.store_account(b"secret").unwrap();
    assert_eq!(cache.account().unwrap().unwrap().as_slice(), b"secret");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&cache.directory), 0o700);
    assert_eq!(mode(&cache.account_file()), 0o600);
    cache.forget_account().unwrap();
    assert_eq!(cache.account().unwrap(), None);
}

#[test]
fn a_certificate_without_its_key_counts_as_none() {
    use rcgen::{CertificateParams, KeyPair};

    let root = tempfile::tempdir().unwrap();
    let cache = Cache::new(root.path(), URL);
    cache.prepare().unwrap();
    let [key, other] = [(); 2].map(|()| KeyPair::generate().unwrap());
    let params = CertificateParams::new(["a.example".to_owned()]).unwrap();
    let certificate = params.self_signed(&key).unwrap().pem();
    for (key, is_good) in
        [(key.serialize_pem(), true), (other.serialize_pem(), false), (String::new(), false)]
    {
        cache.store_certificate("a.example", &format!("{key}{certificate}")).unwrap();
        assert_eq!(cache.validity("a.example").is_some(), is_good);
    }
    assert_eq!(cache.validity("b.example"), None);
}

#[test]
fn one_at_a_time_orders() {
    let root = tempfile::tempdir().unwrap();
    let caches = [Cache::new(root.path(), URL), Cache::new(root.path(), URL)];
    caches[0].prepare().unwrap();
    let lock = caches[0].lock().unwrap().unwrap();
    assert!(caches[1].lock().unwrap().is_none());
    drop(lock);
    assert!(caches[1].lock().unwrap().is_some());
}

#[test]
fn what_is_no_directory_is_named() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Cache::new(&file, URL).prepare().unwrap_err().to_string();
    assert!(error.contains("file/ca.example_directory"), "{error}");
}
