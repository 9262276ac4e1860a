use crate::load::Request;

/// A response body that is of no weight.
pub(super) const SMALL: u64 = 16;
const MEDIUM: u64 = 64 << 10;
/// What all streams of a bulk case move together before each asks again.
const BULK: u64 = 100 << 20;
/// More than a slow reader ever gets.
const HUGE: u64 = 1 << 30;

/// A kind of load, or of life.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    /// For the command line and for programs.
    pub(super) key: &'static str,
    /// For people.
    pub(super) name: &'static str,
    pub(super) kind: Kind,
}

/// What is done to a contender.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// So many clients ask for so many bytes, again and again.
    Get { clients: usize, length: u64 },
    /// The same, with small bodies and each time on a new connection.
    Connect { clients: usize },
    /// So many streams take their share of the bulk, again and again.
    Download { streams: usize },
    /// So many streams send theirs.
    Upload { streams: usize },
    /// So many clients ask for small bodies: first alone, then beside a download, then beside a slow reader.
    Beside { clients: usize },
    /// A fresh one answers one request and rests.
    Memory,
    /// The server is joined by many agents which have nothing to do.
    Herd,
    /// The server is killed, and another one started in its place.
    Recovery,
}

pub(super) const GET_64: Case =
    Case { key: "get-64", name: "Small GETs, 64 clients", kind: Kind::Get { clients: 64, length: SMALL } };
pub(super) const GET_1: Case =
    Case { key: "get-1", name: "Small GETs, one client", kind: Kind::Get { clients: 1, length: SMALL } };
pub(super) const CONNECT: Case = Case {
    key: "connect",
    name: "Small GETs, new connections, 16 clients",
    kind: Kind::Connect { clients: 16 },
};
pub(super) const MEDIUM_16: Case = Case {
    key: "get-64k",
    name: "GETs of 64 KiB, 16 clients",
    kind: Kind::Get { clients: 16, length: MEDIUM },
};
pub(super) const DOWN_1: Case =
    Case { key: "down-1", name: "Download, one stream", kind: Kind::Download { streams: 1 } };
pub(super) const DOWN_8: Case =
    Case { key: "down-8", name: "Download, 8 streams", kind: Kind::Download { streams: 8 } };
pub(super) const BESIDE: Case =
    Case { key: "beside", name: "Small GETs with a neighbour", kind: Kind::Beside { clients: 8 } };
pub(super) const UP_1: Case =
    Case { key: "up-1", name: "Upload, one stream", kind: Kind::Upload { streams: 1 } };
pub(super) const UP_4: Case =
    Case { key: "up-4", name: "Upload, 4 streams", kind: Kind::Upload { streams: 4 } };
pub(super) const MEMORY: Case = Case { key: "memory", name: "Memory at rest", kind: Kind::Memory };
pub(super) const HERD: Case = Case { key: "agents", name: "Memory for each idle agent", kind: Kind::Herd };
pub(super) const RECOVERY: Case =
    Case { key: "recovery", name: "Recovery from a killed server", kind: Kind::Recovery };

pub(super) const CASES: [Case; 12] =
    [GET_64, GET_1, CONNECT, MEDIUM_16, DOWN_1, DOWN_8, BESIDE, UP_1, UP_4, MEMORY, HERD, RECOVERY];

impl Case {
    /// Whether requests carry bodies, which nginx has no way to take and drop.
    pub(super) fn uploads(&self) -> bool {
        matches!(self.kind, Kind::Upload { .. })
    }

    /// Whether processes are started for it rather than put under load.
    pub(super) fn is_life(&self) -> bool {
        matches!(self.kind, Kind::Memory | Kind::Herd | Kind::Recovery)
    }
}

/// What one stream of `streams` moves with each request.
pub(super) fn share(streams: usize) -> u64 {
    BULK / streams as u64
}

/// The download that goes on beside small requests.
pub(super) fn download(host: &str) -> Request {
    Request::get(host, BULK)
}

/// What a slow reader asks for.
pub(super) fn endless(host: &str) -> Request {
    Request::get(host, HUGE)
}

/// All lengths that are asked for.
pub(super) fn lengths() -> Vec<u64> {
    let own = CASES.iter().filter_map(|case| match case.kind {
        Kind::Get { length, .. } => Some(length),
        Kind::Download { streams } => Some(share(streams)),
        _ => None,
    });
    own.chain([SMALL, BULK, HUGE]).collect()
}
