use std::{
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use link::{Budget, CloseReason, LifeEvent, Link, ReaderGone, Settings};
use proto::{
    AgentFrame, AgentId, ConnectAccepted, ConnectError, Feature, auth, connect_error::Code, gateway_frame,
    limits,
};
use tokio::time::timeout;
use uuid::Uuid;

use crate::{
    ChannelBinding, Config, GatewayUrl,
    board::Board,
    clock::{Clock, Skew},
    connect_request::{self, Binding},
    dial::{DialError, Inbound},
    record::Record,
    world::World,
};

/// A link as the agent holds it.
pub(crate) type AgentLink = Link<AgentFrame, Infallible>;

/// From an address to an accepted link.
///
/// ```text
/// Idle --dial--> Dialing --transport up, ConnectRequest sent--> Authenticating
/// Authenticating --ConnectAccepted, its signature good--> Ready  (the caller runs a session)
/// Authenticating --ConnectError CLOCK_SKEW, its signature good--> Dialing   (once, with the gateway's time)
/// Authenticating --ConnectError, 5 s, a wrong signature--> Idle  (the caller backs off)
/// Dialing --transport error, 5 s--> Idle
/// ```
pub(crate) struct Connector {
    pub(crate) config: Arc<Config>,
    pub(crate) instance_id: Uuid,
    clock: Clock,
    /// Addresses whose gateway said that it sees no TLS.
    unseen: Mutex<Vec<GatewayUrl>>,
    budget: Budget,
    board: Arc<Board>,
    world: Arc<dyn World>,
}

/// A link that the gateway accepted.
pub(crate) struct Ready {
    pub(crate) link: AgentLink,
    pub(crate) inbound: Inbound,
    pub(crate) accepted: ConnectAccepted,
    pub(crate) record: Arc<Record>,
}

/// Why an address did not accept us.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ConnectFailure {
    #[error(transparent)]
    Dial(#[from] DialError),
    #[error("{}", refusal(.0))]
    Refused(ConnectError),
    #[error("the link ended before the gateway answered: {0}")]
    Ended(String),
    #[error("connected, but no answer within {} s", limits::CONNECT_TIMEOUT.as_secs())]
    Silent,
    #[error("the gateway does not know this token's secret: something else answers at this address")]
    Impostor,
    #[error("refused by the gateway (clock_skew): {0}")]
    ClockSkew(Skew),
}

fn refusal(error: &ConnectError) -> String {
    let code = error.code().as_str_name().trim_start_matches("CODE_").to_ascii_lowercase();
    format!("refused by the gateway ({code}): {}", error.message)
}

impl ConnectFailure {
    /// Whether trying again with the same settings is hopeless.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            Self::Refused(error) => !error.retryable,
            Self::ClockSkew(_) => true,
            _ => false,
        }
    }

    /// Whether the gateway has no room for one more link.
    pub(crate) fn is_limit(&self) -> bool {
        matches!(self, Self::Refused(error) if error.code() == Code::Limit)
    }

    /// The pause that the gateway asks for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(error) if error.retry_after_ms > 0 => {
                Some(Duration::from_millis(error.retry_after_ms.into()))
            }
            _ => None,
        }
    }
}

impl Connector {
    pub(crate) fn new(config: Arc<Config>, board: Arc<Board>, world: Arc<dyn World>, budget: Budget) -> Self {
        let instance_id = uuid::Builder::from_random_bytes(world.random().to_be_bytes()).into_uuid();
        let (clock, unseen) = (Clock::default(), Mutex::default());
        Self { config, instance_id, clock, unseen, budget, board, world }
    }

    /// Dials `url` for a slot and authenticates. A gateway that sees no TLS although we do is asked again without its value;
    /// if it sees some after all, it knows that somebody else said so.
    ///
    /// # Cancel safety
    /// Dropping the future closes the connection.
    pub(crate) async fn connect(&self, slot: u32, url: &GatewayUrl) -> Result<Ready, ConnectFailure> {
        let was_unseen = self.is_unseen(url);
        let outcome = self.connect_as_known(slot, url).await;
        let may_give_way = url.tls && self.config.channel_binding == ChannelBinding::Auto;
        match refused_with(&outcome) {
            Some(Code::Protocol) if may_give_way && !was_unseen => {
                self.set_unseen(url, true);
                let outcome = self.connect_as_known(slot, url).await;
                match &outcome {
                    Ok(_) => tracing::warn!(
                        "{url}: TLS ends before the gateway, so that its end can read everything; the signature is not \
                         bound to the connection (--channel-binding require would refuse this)"
                    ),
                    Err(_) => self.set_unseen(url, false),
                }
                outcome
            }
            // What stood in front of the gateway may have gone.
            Some(Code::Unauthenticated) if was_unseen => {
                self.set_unseen(url, false);
                self.connect_as_known(slot, url).await
            }
            _ => outcome,
        }
    }

    /// Dials and authenticates, once more if this host's clock was wrong.
    async fn connect_as_known(&self, slot: u32, url: &GatewayUrl) -> Result<Ready, ConnectFailure> {
        match self.attempt(slot, url).await {
            Err(ConnectFailure::ClockSkew(skew)) => {
                tracing::warn!("{skew}. Until then the difference is taken into account");
                self.clock.correct(skew);
                self.attempt(slot, url).await
            }
            outcome => outcome,
        }
    }

    async fn attempt(&self, slot: u32, url: &GatewayUrl) -> Result<Ready, ConnectFailure> {
        let record = self.board.on_attempt(slot, url);
        let (link, outbound) = Link::new(settings(&self.budget));
        let nonce: [u8; auth::NONCE_LEN] = self.world.random().to_be_bytes();
        let mut request = connect_request::signed(
            &self.config.agent_id,
            &self.config.credential,
            &url.host,
            self.instance_id,
            self.clock.correct_time(self.world.unix_millis()),
            nonce,
            self.config.max_concurrent,
        );
        // The number is no part of what is signed: it says nothing about who this is.
        request.connection = slot;
        if self.config.passthrough {
            request.features.push(Feature::Passthrough.into());
        }
        let mut bound = Binding::None;
        let introduce = Box::new(|binding: Binding| {
            bound = self.binding(url, binding);
            link.table().push_control(bound.bind(request, &self.config.credential));
        });
        let mut inbound = self.world.dial(url, introduce, outbound).await?;
        record.on(LifeEvent::TransportUp);
        let first =
            timeout(limits::CONNECT_TIMEOUT, inbound.next()).await.map_err(|_| ConnectFailure::Silent)?;
        let frame = match first {
            Some(Ok(frame)) => frame.frame,
            Some(Err(error)) => return Err(ConnectFailure::Ended(error.to_string())),
            None => return Err(ConnectFailure::Ended("closed".to_owned())),
        };
        match frame {
            Some(gateway_frame::Frame::Accepted(accepted)) => {
                self.check_signature(&accepted, &nonce)?;
                let max_concurrent = agreed(self.config.max_concurrent, accepted.max_concurrent);
                link.table().agree(max_concurrent as usize, accepted.initial_window);
                record.on_accepted(link.clone(), accepted.gateway_id.clone());
                Ok(Ready { link, inbound, accepted, record })
            }
            Some(gateway_frame::Frame::Error(error)) => {
                Err(self.refused(hinted(error, bound, &self.config.agent_id), &nonce))
            }
            _ => {
                link.close(CloseReason::Protocol("expected ConnectAccepted".into()));
                Err(ConnectFailure::Ended(
                    "its first frame was neither ConnectAccepted nor ConnectError".into(),
                ))
            }
        }
    }

    /// What is signed of a connection of which `binding` can be said.
    fn binding(&self, url: &GatewayUrl, binding: Binding) -> Binding {
        match (binding, self.config.channel_binding) {
            (Binding::Tls(_), ChannelBinding::None) => Binding::None,
            (Binding::Tls(_), ChannelBinding::Auto) if self.is_unseen(url) => Binding::Unseen,
            (binding, _) => binding,
        }
    }

    fn is_unseen(&self, url: &GatewayUrl) -> bool {
        self.unseen.lock().unwrap_or_else(PoisonError::into_inner).contains(url)
    }

    fn set_unseen(&self, url: &GatewayUrl, is_unseen: bool) {
        let mut unseen = self.unseen.lock().unwrap_or_else(PoisonError::into_inner);
        unseen.retain(|other| other != url);
        if is_unseen {
            unseen.push(url.clone());
        }
    }

    fn check_signature(&self, accepted: &ConnectAccepted, nonce: &[u8]) -> Result<(), ConnectFailure> {
        let transcript = auth::accept_transcript(nonce, &accepted.session_id, &accepted.gateway_id);
        auth::verify(&self.config.credential.secret, &transcript, &accepted.server_signature)
            .map_err(|_| ConnectFailure::Impostor)
    }

    /// Anybody could say that this host's clock is wrong; only the gateway can prove that it said so.
    fn refused(&self, error: ConnectError, nonce: &[u8]) -> ConnectFailure {
        if error.code() != Code::ClockSkew {
            return ConnectFailure::Refused(error);
        }
        let transcript = auth::skew_transcript(nonce, error.server_time);
        match auth::verify(&self.config.credential.secret, &transcript, &error.server_signature) {
            Ok(()) => ConnectFailure::ClockSkew(Skew::between(error.server_time, self.world.unix_millis())),
            Err(_) => ConnectFailure::Impostor,
        }
    }
}

fn refused_with(outcome: &Result<Ready, ConnectFailure>) -> Option<Code> {
    match outcome {
        Err(ConnectFailure::Refused(error)) => Some(error.code()),
        _ => None,
    }
}

/// A signature that is bound to a connection is wrong on every other, which the gateway cannot tell from a wrong token. Of a
/// token that is no longer good it speaks only after a good signature, in other words. An id that was made up nobody knows.
fn hinted(mut error: ConnectError, bound: Binding, id: &AgentId) -> ConnectError {
    let in_doubt = error.code() == Code::Unauthenticated && error.message.contains("wrong signature");
    if in_doubt && matches!(bound, Binding::Tls(_)) {
        error.message.push_str(
            "; if they are right, something between this agent and the gateway opens their TLS connection and reads it",
        );
    }
    if error.code() == Code::AgentIdNotAllowed {
        let hint = format!(
            "; this agent claims `{id}`: name one that the token is for with --id, without which one is made up"
        );
        error.message.push_str(&hint);
    }
    error
}

/// How many requests at a time an agent serves that wants `own`, with 0 for any number, and was told `accepted`.
fn agreed(own: u32, accepted: u32) -> u32 {
    let most = if own == 0 { u32::MAX } else { own };
    accepted.clamp(1, most)
}

/// What an agent grants on a link.
pub(crate) fn settings(budget: &Budget) -> Settings {
    Settings {
        max_concurrent: limits::MAX_CONCURRENT as usize,
        send_window: limits::INITIAL_WINDOW,
        recv_window: limits::INITIAL_WINDOW,
        reader_gone: ReaderGone::StopSending,
        // The gateway keeps the clock of an exchange and cancels what is overdue.
        response_timeout: None,
        idle_timeout: None,
        budget: budget.clone(),
    }
}

#[cfg(test)]
mod tests {
    use proto::{Credential, Secret, TokenId};

    use super::*;
    use crate::{Upstream, world::Machine};

    const NONCE: [u8; auth::NONCE_LEN] = [7; auth::NONCE_LEN];

    fn connector() -> Connector {
        let credential = Credential {
            token: TokenId::parse("itk_a").unwrap(),
            secret: Secret::from_bytes([1; Secret::LEN]),
        };
        let agent_id = AgentId::parse("myapp").unwrap();
        let upstream = Upstream::http("127.0.0.1".to_owned(), 9);
        let config = Config::new(upstream, Vec::new(), agent_id, credential);
        let board = Board::new(&config, Arc::new(|_| {}));
        let machine = Arc::new(Machine::new(&config));
        Connector::new(Arc::new(config), board, machine, Budget::new(limits::PROCESS_MEMORY))
    }

    #[test]
    fn the_gateway_says_how_many_requests_there_are_within_what_the_agent_wants() {
        for (own, accepted, expected) in [(0, 5000, 5000), (0, 0, 1), (7, 5000, 7), (7, 3, 3)] {
            assert_eq!(agreed(own, accepted), expected);
        }
    }

    fn skew(server_time: i64, secret: &Secret, nonce: &[u8]) -> ConnectError {
        let signature = auth::sign(secret, &auth::skew_transcript(nonce, server_time));
        ConnectError {
            code: Code::ClockSkew.into(),
            server_time,
            server_signature: signature.to_vec().into(),
            ..ConnectError::default()
        }
    }

    #[test]
    fn somebody_in_between_is_suspected_only_where_a_signature_is_wrong() {
        let hinted = |message: &str, bound| {
            let code = Code::Unauthenticated.into();
            let error = ConnectError { code, message: message.to_owned(), ..ConnectError::default() };
            hinted(error, bound, &AgentId::parse("myapp").unwrap()).message
        };
        let suspects = |text: &str| text.contains("opens their TLS connection");
        let bound = || Binding::Tls([1; auth::BINDING_LEN]);
        assert!(suspects(&hinted("unknown token or wrong signature: check INDRANET_TOKEN", bound())));
        assert!(!suspects(&hinted("unknown token or wrong signature: check INDRANET_TOKEN", Binding::None)));
        for withdrawn in ["the token has expired", "the token was revoked", "the token's secret was rotated"]
        {
            assert!(!suspects(&hinted(withdrawn, bound())), "{withdrawn}");
        }
    }

    #[test]
    fn an_id_that_a_token_may_not_claim_is_named_with_its_flag() {
        let error = ConnectError { code: Code::AgentIdNotAllowed.into(), ..ConnectError::default() };
        let message = hinted(error, Binding::None, &AgentId::parse("fond-fox").unwrap()).message;
        assert!(message.contains("claims `fond-fox`") && message.contains("--id"), "{message}");
    }

    #[test]
    fn only_the_gateway_itself_can_tell_an_agent_the_time() {
        let connector = connector();
        let secret = &connector.config.credential.secret;
        let good = skew(1000, secret, &NONCE);
        for forged in [
            ConnectError { server_signature: bytes::Bytes::new(), ..good.clone() },
            ConnectError { server_time: 1001, ..good.clone() },
            skew(1000, &Secret::from_bytes([2; Secret::LEN]), &NONCE),
            skew(1000, secret, &[8; 16]),
        ] {
            let failure = connector.refused(forged, &NONCE);
            assert!(matches!(failure, ConnectFailure::Impostor) && !failure.is_final(), "{failure}");
        }
        let failure = connector.refused(good, &NONCE);
        assert!(failure.is_final(), "a second time");
        let text = failure.to_string();
        assert!(text.contains("ahead of the gateway's") && text.contains("NTP"), "{text}");
    }
}
