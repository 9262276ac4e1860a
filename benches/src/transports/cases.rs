use crate::load::Request;

/// A response body that is of no weight.
const SMALL: u64 = 16;
const KIB: u64 = 1024;

/// One kind of load, over either transport.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) name: &'static str,
    /// Clients at a time.
    pub(super) concurrency: usize,
    pub(super) kind: Kind,
}

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// Asks for so many bytes, again and again.
    Get(u64),
    /// The same, each time on a new connection.
    GetOnNewConnections(u64),
    /// Sends so many bytes, again and again.
    Post(u64),
    /// Takes its share of the bulk, once.
    Download,
    /// Sends its share of the bulk, once.
    Upload,
}

pub(super) const CASES: [Case; 12] = [
    Case { name: "GET small c=1", concurrency: 1, kind: Kind::Get(SMALL) },
    Case { name: "GET small c=16", concurrency: 16, kind: Kind::Get(SMALL) },
    Case { name: "GET small c=64", concurrency: 64, kind: Kind::Get(SMALL) },
    Case { name: "GET small c=16, new connections", concurrency: 16, kind: Kind::GetOnNewConnections(SMALL) },
    Case { name: "GET 1 KiB c=16", concurrency: 16, kind: Kind::Get(KIB) },
    Case { name: "GET 64 KiB c=16", concurrency: 16, kind: Kind::Get(64 * KIB) },
    Case { name: "POST 1 KiB c=16", concurrency: 16, kind: Kind::Post(KIB) },
    Case { name: "POST 64 KiB c=16", concurrency: 16, kind: Kind::Post(64 * KIB) },
    Case { name: "download, 1 stream", concurrency: 1, kind: Kind::Download },
    Case { name: "download, 4 streams", concurrency: 4, kind: Kind::Download },
    Case { name: "upload, 1 stream", concurrency: 1, kind: Kind::Upload },
    Case { name: "upload, 4 streams", concurrency: 4, kind: Kind::Upload },
];

impl Case {
    /// The request of each client, where all clients together move `bulk` bytes in a bulk case.
    pub(super) fn request(&self, host: &str, bulk: u64) -> Request {
        let share = bulk / self.concurrency as u64;
        match self.kind {
            Kind::Get(length) => Request::get(host, length),
            Kind::GetOnNewConnections(length) => Request::get(host, length).with_new_connections(),
            Kind::Post(length) => Request::post(host, length),
            Kind::Download => Request::get(host, share),
            Kind::Upload => Request::post(host, share),
        }
    }

    /// Whether bytes are counted rather than requests.
    pub(super) fn is_bulk(&self) -> bool {
        matches!(self.kind, Kind::Download | Kind::Upload)
    }
}
