/// Something small that is done again and again.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    name: &'static str,
    times: u32,
    prepare: fn() -> Doing,
}

/// Does it once for each call.
pub(super) type Doing = Box<dyn FnMut()>;

/// How often most operations are done while their instructions are counted: enough that what happens now and then, such
/// as a buffer that is full, counts with its share.
const TIMES: u32 = 2_048;

impl Operation {
    /// An operation; what it needs is made by `prepare` and not measured.
    pub(super) const fn new(name: &'static str, prepare: fn() -> Doing) -> Self {
        Self { name, times: TIMES, prepare }
    }

    /// One that is large enough to be counted over fewer times.
    pub(super) const fn large(name: &'static str, prepare: fn() -> Doing) -> Self {
        Self { name, times: TIMES / 16, prepare }
    }

    /// What it is called, e.g. `http1/parse-request`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// How often it is done while its instructions are counted.
    pub(super) fn times(&self) -> u32 {
        self.times
    }

    /// Makes what it needs. Each call of what is returned does it once.
    pub fn prepare(&self) -> impl FnMut() + use<> {
        (self.prepare)()
    }

    /// Does it so many times.
    pub fn repeat(&self, times: u32) {
        let mut once = self.prepare();
        (0..times).for_each(|_| once());
    }
}
