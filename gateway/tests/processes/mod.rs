//! Gateways as processes: what systemd gives and is told, an end, an heir, and running out of descriptors.

use std::{
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixDatagram,
    process::{Child, ChildStderr, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{Directory, bare, program};

/// What is not there by then never comes.
const PATIENCE: Duration = Duration::from_secs(20);

/// A gateway that runs, and ends with the test.
struct Gateway {
    process: Child,
    log: BufReader<ChildStderr>,
    ready: String,
}

impl Gateway {
    /// Waits until it says that it is ready.
    fn start(command: &mut Command) -> Self {
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(process.stderr.take().unwrap());
        let mut gateway = Self { process, log, ready: String::new() };
        gateway.ready = gateway.logs("gateway ready");
        gateway
    }

    /// Waits for a line of its log.
    fn logs(&mut self, text: &str) -> String {
        let mut all = String::new();
        loop {
            let begin = all.len();
            assert!(self.log.read_line(&mut all).unwrap() > 0, "`{text}` is not in\n{all}");
            if all[begin..].contains(text) {
                return all[begin..].to_owned();
            }
        }
    }

    /// The address of a port, as the log names it.
    fn address(&self, port: &str) -> SocketAddr {
        let value = self.ready.split_whitespace().find_map(|word| word.strip_prefix(port)?.strip_prefix('='));
        value.unwrap().parse().unwrap()
    }

    fn terminate(&self) {
        self.send(Signal::TERM);
    }

    fn send(&self, signal: Signal) {
        let id = Pid::from_raw(self.process.id().try_into().unwrap()).unwrap();
        kill_process(id, signal).unwrap();
    }

    fn ends(mut self) {
        assert!(self.process.wait().unwrap().success());
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill(); // it may have ended
        let _ = self.process.wait();
    }
}

/// A gateway on addresses of its own, unless the test says which.
fn serve(command: &mut Command, tokens: &str, addresses: Option<[SocketAddr; 4]>) -> Gateway {
    command.args(["serve", "--domain", "t.test", "--tokens", tokens]);
    for (port, flag) in ["--http", "--grpc", "--ws", "--admin"].into_iter().enumerate() {
        let address = addresses.map_or("127.0.0.1:0".to_owned(), |addresses| addresses[port].to_string());
        command.args([flag, &address]);
    }
    Gateway::start(command)
}

fn sharing() -> Command {
    let mut command = program();
    command.env("INDRANET_REUSE_PORT", "true");
    command
}

/// A connection that asks for something that every port answers in HTTP.
struct Client(TcpStream);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(stream)
    }

    /// The head of the answer, of which the body does not matter.
    fn ask(&mut self, path: &str) -> String {
        write!(self.0, "HEAD {path} HTTP/1.1\r\nhost: app.t.test\r\n\r\n").unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        String::from_utf8(head).unwrap()
    }
}

/// Listens for what a service manager is told.
struct Manager(UnixDatagram);

impl Manager {
    fn at(path: &str) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn hears(&self, wanted: &str) {
        let mut buffer = [0; 1024];
        loop {
            let length = self.0.recv(&mut buffer).unwrap();
            let text = std::str::from_utf8(&buffer[..length]).unwrap();
            if text.lines().any(|line| line == wanted) {
                return;
            }
        }
    }
}

/// Does what systemd does: opens sockets, names them, and becomes the program.
const ACTIVATE: &str = r#"
import os, socket, sys
names = sys.argv[1].split(":")
sockets = [socket.create_server(("127.0.0.1", 0), backlog=16) for _ in names]
# In place of descriptors that are taken by the sockets themselves: first far away, then where they belong.
far = [os.dup2(s.fileno(), 100 + i) for i, s in enumerate(sockets)]
for i, fd in enumerate(far):
    os.dup2(fd, 3 + i)
    os.close(fd)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))
os.execv(sys.argv[2], sys.argv[2:])
"#;

fn activated(names: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-c", ACTIVATE, names, env!("CARGO_BIN_EXE_gateway-tunnel")]);
    command
}

#[test]
fn systemd_gives_sockets_and_is_told_how_it_goes() {
    let directory = Directory::new("activated");
    let (tokens, socket) = (directory.file("tokens.toml", ""), directory.path("notify"));
    let manager = Manager::at(&socket);
    let mut command = activated("ws:http:admin");
    command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", "300000");
    // These addresses are taken by nobody and used by nobody: the sockets are there already.
    let addresses = ["192.0.2.1:1", "127.0.0.1:0", "192.0.2.1:2", "192.0.2.1:3"];
    let gateway = serve(&mut command, &tokens, Some(addresses.map(|address| address.parse().unwrap())));
    manager.hears("READY=1");
    manager.hears("WATCHDOG=1");
    let mut client = Client::connect(gateway.address("http"));
    assert!(client.ask("/").starts_with("HTTP/1.1 404 "));
    assert!(Client::connect(gateway.address("admin")).ask("/readyz").starts_with("HTTP/1.1 200 "));
    drop(client);
    gateway.terminate();
    manager.hears("STOPPING=1");
    gateway.ends();
}

#[test]
fn a_socket_with_a_wrong_name_is_an_error_that_names_the_remedy() {
    let directory = Directory::new("misnamed");
    let tokens = directory.file("tokens.toml", "");
    let arguments = ["serve", "--domain", "t.test", "--tokens", &tokens];
    let (code, _, stderr) = crate::outcome(activated("gateway-http.socket").args(arguments));
    assert_eq!(code, Some(78));
    assert!(stderr.contains("FileDescriptorName"), "{stderr}");
}

#[test]
fn systemd_gives_the_socket_of_https_to_a_gateway_that_has_a_certificate() {
    let directory = Directory::new("activated-tls");
    let tokens = directory.file("tokens.toml", "");
    let issued = rcgen::generate_simple_self_signed(["app.t.test".to_owned()]).unwrap();
    let cert = directory.file("cert.pem", &issued.cert.pem());
    let key = directory.file("key.pem", &issued.signing_key.serialize_pem());
    let mut command = activated("https:http");
    command
        .env("INDRANET_TLS_CERT", &cert)
        .env("INDRANET_TLS_KEY", &key)
        .env("INDRANET_HTTPS", "192.0.2.1:1");
    let gateway = serve(&mut command, &tokens, None);
    // Both speak TLS, and only one of them nothing else.
    assert!(Client::connect(gateway.address("https")).ask("/").starts_with("HTTP/1.1 400 "));
    assert!(Client::connect(gateway.address("http")).ask("/").starts_with("HTTP/1.1 404 "));
    gateway.terminate();
    gateway.ends();
}

#[test]
fn a_socket_of_https_without_a_certificate_is_an_error_that_names_the_remedy() {
    let directory = Directory::new("activated-no-tls");
    let tokens = directory.file("tokens.toml", "");
    let arguments = ["serve", "--domain", "t.test", "--tokens", &tokens, "--http", "127.0.0.1:0"];
    let arguments =
        [&arguments[..], &["--grpc", "127.0.0.1:0", "--ws", "127.0.0.1:0", "--admin", "127.0.0.1:0"]];
    let (code, _, stderr) = crate::outcome(activated("http:https").args(arguments.concat()));
    assert_eq!(code, Some(78));
    assert!(stderr.contains("--tls-cert"), "{stderr}");
}

#[test]
fn a_newer_process_takes_over() {
    let directory = Directory::new("heir");
    let tokens = directory.file("tokens.toml", "");
    let mut gateway = serve(&mut sharing(), &tokens, None);
    let addresses = ["http", "grpc", "ws", "admin"].map(|port| gateway.address(port));
    for _ in 0..5 {
        let mut kept = Client::connect(addresses[0]);
        assert!(kept.ask("/").starts_with("HTTP/1.1 404 "));
        let heir = serve(&mut sharing(), &tokens, Some(addresses));
        gateway.logs("a newer process serves now");
        assert!(Client::connect(addresses[0]).ask("/").starts_with("HTTP/1.1 404 "));
        gateway.terminate();
        let last = kept.ask("/");
        assert!(last.contains("connection: close"), "{last}");
        drop(kept);
        gateway.ends();
        gateway = heir;
    }
}

#[test]
fn a_hangup_ends_nobody_without_a_terminal() {
    let directory = Directory::new("hangup");
    let tokens = directory.file("tokens.toml", "");
    let mut gateway = serve(&mut program(), &tokens, None);
    gateway.send(Signal::HUP);
    gateway.logs("SIGHUP");
    assert!(Client::connect(gateway.address("http")).ask("/").starts_with("HTTP/1.1 404 "));
    gateway.terminate();
    gateway.ends();
}

#[test]
fn who_comes_to_a_process_that_ends_is_refused_at_once() {
    let directory = Directory::new("ends");
    let tokens = directory.file("tokens.toml", "");
    let mut gateway = serve(&mut program(), &tokens, None);
    let addresses = ["http", "grpc", "ws"].map(|port| gateway.address(port));
    let mut kept = Client::connect(addresses[0]);
    assert!(kept.ask("/").starts_with("HTTP/1.1 404 "));
    gateway.terminate();
    gateway.logs("ports closed");
    for address in addresses {
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
    }
    assert!(kept.ask("/").contains("connection: close"), "it goes on with whom it had");
    drop(kept);
    gateway.ends();
}

#[test]
fn a_process_that_ends_keeps_no_port_from_those_that_come_later() {
    let directory = Directory::new("later");
    let tokens = directory.file("tokens.toml", "");
    let mut gateway = serve(&mut sharing(), &tokens, None);
    let addresses = ["http", "grpc", "ws", "admin"].map(|port| gateway.address(port));
    let mut kept = Client::connect(addresses[0]);
    assert!(kept.ask("/").starts_with("HTTP/1.1 404 "));
    let heir = serve(&mut sharing(), &tokens, Some(addresses));
    gateway.logs("a newer process serves now");
    gateway.terminate();
    gateway.logs("ports closed");
    drop(heir); // by SIGKILL
    let _later = serve(&mut sharing(), &tokens, Some(addresses));
    // Were there two queues, half of them would be in that of a process which takes nobody any more.
    for _ in 0..20 {
        assert!(Client::connect(addresses[0]).ask("/").starts_with("HTTP/1.1 404 "));
    }
    assert!(kept.ask("/").contains("connection: close"), "it goes on with whom it had");
    drop(kept);
    gateway.ends();
}

#[test]
fn processes_that_do_not_find_each_other_share_ports_all_the_same() {
    let directory = Directory::new("strangers");
    let tokens = directory.file("tokens.toml", "");
    let mut gateway = serve(&mut sharing(), &tokens, None);
    let [http, grpc, ws] = ["http", "grpc", "ws"].map(|port| gateway.address(port));
    let mut kept = Client::connect(http);
    assert!(kept.ask("/").starts_with("HTTP/1.1 404 "));
    let other = serve(&mut sharing(), &tokens, Some([http, grpc, ws, "127.0.0.1:0".parse().unwrap()]));
    gateway.terminate();
    gateway.logs("ports closed");
    for _ in 0..20 {
        assert!(Client::connect(http).ask("/").starts_with("HTTP/1.1 404 "));
    }
    drop((kept, other));
    gateway.ends();
}

#[test]
fn running_out_of_descriptors_is_survived() {
    let directory = Directory::new("descriptors");
    let tokens = directory.file("tokens.toml", "");
    let mut command = bare("sh");
    let limited = r#"ulimit -n 64; exec "$0" "$@""#;
    command.args(["-c", limited, env!("CARGO_BIN_EXE_gateway-tunnel")]);
    let mut gateway = serve(&mut command, &tokens, None);
    let mut operator = Client::connect(gateway.address("admin"));
    assert!(operator.ask("/healthz").starts_with("HTTP/1.1 200 "));
    let many: Vec<_> = (0..80).map(|_| TcpStream::connect(gateway.address("ws")).unwrap()).collect();
    gateway.logs("cannot accept connections");
    assert!(operator.ask("/healthz").starts_with("HTTP/1.1 200 "), "existing work goes on");
    drop(many);
    assert!(Client::connect(gateway.address("http")).ask("/").starts_with("HTTP/1.1 404 "));
    drop(operator);
    gateway.terminate();
    gateway.ends();
}

#[test]
fn what_becomes_of_the_files_about_tokens_is_said() {
    let directory = Directory::new("files");
    let tokens = directory.file("tokens.toml", "");
    let mut command = program();
    command.env("INDRANET_AUDIT_LOG", "/dev/full");
    let mut gateway = serve(&mut command, &tokens, None);
    let new = ["token", "new", "--agent-id", "a", "--tokens", &tokens];
    assert_eq!(crate::run(&new).0, Some(0));
    let line = gateway.logs("it loses lines");
    assert!(line.contains("/dev/full") && line.contains("lines_lost=1"), "{line}");
    std::fs::remove_file(&tokens).unwrap();
    let line = gateway.logs("a file is gone");
    assert!(line.contains(&tokens), "{line}");
    assert_eq!(crate::run(&new).0, Some(0));
    gateway.logs("token file reloaded");
    gateway.terminate();
    gateway.ends();
}
