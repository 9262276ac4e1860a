//! Sessions without a transport and without an acceptor, for models and fuzz targets: frames go in one by one, at times
//! that the caller names. No other code makes one.

use std::{
    sync::{Arc, Mutex, atomic::AtomicBool},
    time::{Duration, Instant},
};

use link::{Budget, CloseReason, Lifecycle, Link};
use proto::{AgentFrame, AgentId, TokenId, limits};
use uuid::Uuid;

use crate::{
    Registry, Terms, acceptor, reader,
    session::{GatewayLink, Outbound, Retirement, Session},
    sweeper::Sweeper,
};

impl Session {
    /// A session on the usual terms, whose credit beyond the guaranteed part comes out of `budget`.
    #[doc(hidden)]
    pub fn detached(
        agent_id: AgentId,
        token: TokenId,
        instance_id: &str,
        budget: &Budget,
    ) -> (Arc<Self>, Outbound) {
        let (link, outbound) = Link::new(acceptor::settings(&Terms::default(), budget));
        link.table().set_response_timeout(Some(limits::RESPONSE_TIMEOUT));
        let session = Self {
            id: Uuid::new_v4(),
            agent_id,
            token,
            secret: proto::Secret::from_bytes([0; proto::Secret::LEN]),
            instance_id: instance_id.to_owned(),
            connection: 0,
            serving: AtomicBool::new(true),
            suspect: AtomicBool::new(false),
            life: Mutex::new(Lifecycle::authenticating(link::now())),
            transport: "test",
            peer: None,
            client: None,
            link,
            inline_limit: 0,
            features: Vec::new(),
            timeout_ms: 0,
            retirement: Retirement::default(),
            dismissed: AtomicBool::new(false),
            watched: AtomicBool::new(false),
            sweeper: Sweeper::new(Arc::new(Registry::new(Duration::ZERO, 0)), limits::HEARTBEAT_TIMEOUT),
        };
        (Arc::new(session), outbound)
    }

    /// What the read loop does with a frame.
    ///
    /// # Errors
    /// Why the read loop ends.
    #[doc(hidden)]
    pub fn on_frame(&self, frame: AgentFrame, now: Instant) -> Result<(), CloseReason> {
        reader::on_frame(self, frame, now)
    }

    /// The link, whose table takes every other event.
    #[doc(hidden)]
    pub fn link(&self) -> &GatewayLink {
        &self.link
    }
}
