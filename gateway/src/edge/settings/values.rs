//! Values that only these tables have.

use std::time::Duration;

use cli::Span;
use proto::AgentId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// An agent id in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Id(pub AgentId);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        AgentId::parse(&String::deserialize(deserializer)?).map(Self).map_err(de::Error::custom)
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// A key that the other table has and this one has not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Absent;

impl<'de> Deserialize<'de> for Absent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Option::<de::IgnoredAny>::deserialize(deserializer)? {
            None => Ok(Self),
            Some(_) => Err(de::Error::custom("this is about one agent: write it into its [[agent]] table")),
        }
    }
}

impl Serialize for Absent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_none()
    }
}

/// A time to wait, which travels as milliseconds in 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "Span", into = "Span")]
pub struct Timeout(pub(in crate::edge) Duration);

/// A time that nobody can wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a time-out is more than zero and at most 49 days")]
pub struct InvalidTimeout;

impl TryFrom<Span> for Timeout {
    type Error = InvalidTimeout;

    fn try_from(Span(time): Span) -> Result<Self, InvalidTimeout> {
        let possible = (1..=u128::from(u32::MAX)).contains(&time.as_millis());
        possible.then_some(Self(time)).ok_or(InvalidTimeout)
    }
}

impl From<Timeout> for Span {
    fn from(Timeout(time): Timeout) -> Self {
        Self(time)
    }
}

/// What a client is told while the agent is not connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "u16", into = "u16")]
pub enum OfflineStatus {
    /// 404: as if there were nothing here.
    NotFound,
    /// 503: there will be something again.
    Unavailable,
}

/// A status that says something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("offline_status is 404 or 503")]
pub struct InvalidOfflineStatus;

impl TryFrom<u16> for OfflineStatus {
    type Error = InvalidOfflineStatus;

    fn try_from(status: u16) -> Result<Self, InvalidOfflineStatus> {
        match status {
            404 => Ok(Self::NotFound),
            503 => Ok(Self::Unavailable),
            _ => Err(InvalidOfflineStatus),
        }
    }
}

impl From<OfflineStatus> for u16 {
    fn from(status: OfflineStatus) -> Self {
        match status {
            OfflineStatus::NotFound => 404,
            OfflineStatus::Unavailable => 503,
        }
    }
}
