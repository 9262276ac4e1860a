//! The catalogue of threats, row by row. `docs/security.md` says which test stands for which row; rows that other
//! scenarios cover are there and not here.
//!
//! Each scenario ends with others being unharmed: a client that was connected before the attack is served, no agent has
//! lost its session, and nothing of the attack is left in progress.

use std::{fs, path::Path};

use tests::{
    AGENT, Agent, DOMAIN, Gateway, Message, OTHER_AGENT, Request, Rogue, Service, Transport, Wire, h2,
};

mod agents;
mod credentials;
mod framing;
mod h2_agents;
mod h2_attacks;
mod h2_fields;
mod h2_ingress;
mod host;
mod logs;
mod websocket;

/// A gateway with a decent agent, an agent that answers nothing of its own accord, and a client that was there before.
struct Scene {
    gateway: Gateway,
    /// The agent called [`OTHER_AGENT`].
    silent: Rogue,
    bystander: Wire,
    _agent: Agent,
    service: Service,
}

impl Scene {
    async fn new(transport: Transport) -> Self {
        Self::with(transport, |_limits| {}).await
    }

    async fn with(transport: Transport, adjust: impl FnOnce(&mut gateway::Limits)) -> Self {
        let gateway = Gateway::start_with(adjust).await;
        let service = Service::saying("unharmed").await;
        let mut agent = Agent::start(transport, gateway.port(transport), AGENT, service.addr());
        agent.online().await;
        let silent = Rogue::join(transport, &gateway, OTHER_AGENT).await;
        let mut scene = Self { bystander: gateway.client().await, gateway, silent, _agent: agent, service };
        scene.assert_others_unharmed().await;
        scene
    }

    /// A new client connection that speaks HTTP/2.
    async fn h2(&self) -> h2::H2 {
        h2::H2::connect(self.gateway.http()).await
    }

    async fn ask(&self, request: &Request) -> Message {
        self.gateway.client().await.ask(request).await
    }

    /// Clients that were there before, and new ones, are served.
    async fn assert_others_unharmed(&mut self) {
        assert_eq!(self.bystander.ask(&Request::get("/")).await.body, b"unharmed");
        assert_eq!(self.ask(&Request::get("/")).await.body, b"unharmed");
        self.gateway.has_sessions(2).await;
    }

    /// As before, and nothing is left of what was attempted.
    async fn assert_over(&mut self) {
        self.assert_others_unharmed().await;
        self.gateway.idle().await;
    }
}

/// The table in `docs/security.md` is worth as much as what it names.
#[test]
fn every_test_that_the_table_names_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let table = fs::read_to_string(root.join("docs/security.md")).unwrap();
    let is_path =
        |text: &&str| text.contains("::") && text.starts_with(|first: char| first.is_ascii_lowercase());
    let named = table.split('`').skip(1).step_by(2).filter(is_path).filter(|path| !path.ends_with("NAME"));
    let mut count = 0;
    for path in named {
        let (module, name) = path.rsplit_once("::").unwrap();
        let file = match module.split_once("::") {
            Some((name @ ("agent" | "gateway" | "session"), module)) => {
                format!("{name}/src/{}.rs", module.replace("::", "/"))
            }
            Some(("http1", module)) => format!("http1/tests/{module}.rs"),
            _ => format!("tests/tests/e2e/{}.rs", module.replace("::", "/")),
        };
        // Few tests stand below what they are about, more beside it.
        let file = match file.strip_suffix("/tests.rs") {
            Some(tested) if !root.join(&file).exists() => format!("{tested}.rs"),
            _ => file,
        };
        let source =
            fs::read_to_string(root.join(&file)).unwrap_or_else(|error| panic!("{path}: {file}: {error}"));
        assert!(source.contains(&format!("fn {name}(")), "{path} is not in {file}");
        count += 1;
    }
    assert!(count > 100, "{count} tests named");
}

/// The host of an agent.
fn host_of(agent: &str) -> String {
    format!("{agent}.{DOMAIN}")
}
