use std::net::{Ipv4Addr, SocketAddr};

use ::cli::{Failure, log, signals};
use proto::AgentId;

const LOOPBACK: [SocketAddr; 5] = [local(8082), local(8081), local(8080), local(8083), local(8443)];

/// Flags of `dev`. There is no file below them: what it needs is built in.
#[derive(Debug, clap::Args)]
pub(crate) struct DevSettings {
    /// Where to ask for services over HTTP
    #[arg(long, env = "INDRANET_HTTP", value_name = "ADDR", default_value_t = LOOPBACK[0])]
    pub(crate) http: SocketAddr,
    /// Speak TLS with clients and agents, with a certificate that is made for this run
    #[arg(long)]
    pub(crate) tls: bool,
    /// Where to ask for services over HTTPS, with --tls
    #[arg(long, env = "INDRANET_HTTPS", value_name = "ADDR", default_value_t = LOOPBACK[4])]
    pub(crate) https: SocketAddr,
    /// Where agents connect over gRPC
    #[arg(long, env = "INDRANET_GRPC", value_name = "ADDR", default_value_t = LOOPBACK[1])]
    pub(crate) grpc: SocketAddr,
    /// Where agents connect over WebSocket
    #[arg(long, env = "INDRANET_WS", value_name = "ADDR", default_value_t = LOOPBACK[2])]
    pub(crate) ws: SocketAddr,
    /// Health and metrics
    #[arg(long, env = "INDRANET_ADMIN", value_name = "ADDR", default_value_t = LOOPBACK[3])]
    pub(crate) admin: SocketAddr,
    /// The id of the sample service
    #[arg(long, env = "INDRANET_ID", default_value = "demo")]
    pub(crate) id: AgentId,
    /// Make one request over each transport, print the results and end
    #[arg(long)]
    pub(crate) check: bool,
    /// Listen on addresses that others can reach, although everybody who reaches them may use this gateway
    #[arg(long)]
    pub(crate) i_know: bool,
    /// How log lines look
    #[arg(long, env = "INDRANET_LOG_FORMAT", value_name = "FORMAT", default_value = "text")]
    pub(crate) log_format: log::Format,
    /// What is logged, e.g. debug or info,session=trace
    #[arg(long, env = "INDRANET_LOG", value_name = "FILTER", default_value = log::DEFAULT_LEVEL)]
    pub(crate) log_level: String,
}

/// `dev` on an address that others can reach.
#[derive(Debug, thiserror::Error)]
#[error(
    "{flag} {address} can be reached by others, and dev mode is for this machine only; --i-know overrides this"
)]
struct Exposed {
    flag: &'static str,
    address: SocketAddr,
}

/// Runs gateway, sample service and agent in one process until a signal ends them, or checks them and ends.
pub(super) fn dev(settings: DevSettings) -> Result<(), Failure> {
    log::init(settings.log_format, &settings.log_level).map_err(Failure::configuration)?;
    settings.refuse_exposure().map_err(Failure::configuration)?;
    ::cli::block_on(async { crate::dev(settings, signals::watch().map_err(Failure::runtime)?).await })
}

impl DevSettings {
    fn refuse_exposure(&self) -> Result<(), Exposed> {
        let listeners = [
            ("--http", self.http),
            ("--https", self.https),
            ("--grpc", self.grpc),
            ("--ws", self.ws),
            ("--admin", self.admin),
        ];
        match listeners.into_iter().find(|(_, address)| !address.ip().is_loopback()) {
            Some((flag, address)) if !self.i_know => Err(Exposed { flag, address }),
            _ => Ok(()),
        }
    }
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}
