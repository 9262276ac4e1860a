use std::os::unix::{fs::PermissionsExt as _, net::UnixListener as StdListener};

use super::*;
use crate::status::tests::{accept, board};

fn directory(name: &str) -> tempdir::Directory {
    tempdir::Directory::new(name)
}

/// Directories that are gone after the test. Not below the target: the path of a socket must be short.
mod tempdir {
    use std::{
        fs,
        path::{Path, PathBuf},
    };

    pub(super) struct Directory(PathBuf);

    impl Directory {
        pub(super) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("indranet-test-{name}-{}", uuid::Uuid::new_v4()));
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(super) fn path(&self) -> &Path {
            &self.0
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[tokio::test]
async fn an_agent_answers_and_leaves_nothing_behind() {
    let directory = directory("answers");
    let sockets = directory.path().join("sockets");
    let (board, url) = board();
    let _link = accept(&board, &url, 0);
    let source = Source::new(board);
    let socket = Socket::bind_in(&sockets, "myapp").unwrap();
    assert_eq!(fs::metadata(&sockets).unwrap().mode() & 0o777, 0o700);
    let answering = {
        let source = source.clone();
        tokio::spawn(async move { socket.serve(source).await })
    };
    let asked = sockets.clone();
    let all = tokio::task::spawn_blocking(move || ask_all_in(&asked)).await.unwrap().unwrap();
    assert_eq!((all.len(), all[0].id.as_str(), all[0].is_online()), (1, "myapp", true));
    answering.abort();
    let _ = answering.await; // cancelled, as it was told
    assert_eq!(fs::read_dir(&sockets).unwrap().count(), 0);
}

#[tokio::test]
async fn sockets_of_dead_agents_are_removed_and_those_of_others_kept() {
    let directory = directory("stale");
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let [dead, alive] = ["agent-dead-1.sock", "agent-alive-2.sock"].map(|name| directory.path().join(name));
    drop(StdListener::bind(&dead).unwrap());
    let _alive = StdListener::bind(&alive).unwrap();
    let _socket = Socket::bind_in(directory.path(), "myapp").unwrap();
    assert!(!dead.exists() && alive.exists());
}

#[tokio::test]
async fn a_directory_that_others_may_enter_is_refused() {
    let directory = directory("open");
    for mode in [0o750, 0o701, 0o777] {
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = Socket::bind_in(directory.path(), "myapp").unwrap_err();
        assert!(matches!(refused, SocketError::Foreign(_)), "{mode:o}: {refused}");
        assert!(matches!(ask_all_in(directory.path()), Err(SocketError::Foreign(_))));
    }
    let link = directory.path().join("link");
    let target = directory.path().join("target");
    DirBuilder::new().mode(0o700).create(&target).unwrap();
    std::os::unix::fs::symlink(&target, &link).unwrap();
    assert!(matches!(ask_all_in(&link), Err(SocketError::Foreign(_))), "a link is no directory");
}

#[tokio::test]
async fn no_directory_is_no_agent() {
    let directory = directory("none");
    assert_eq!(ask_all_in(&directory.path().join("nothing")).unwrap(), []);
}
