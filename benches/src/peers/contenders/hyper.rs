use std::env;

use super::{Contender, Setup, Site, TWO_HYPER};
use crate::{Part as _, peers::launch::Launch, proxy::Role};

/// What a tunnel that parses HTTP at both ends would be without a link between them.
pub(super) const CONTENDER: Contender = Contender {
    name: TWO_HYPER,
    what: "plain reverse proxies made with hyper, one thread each, one behind the other",
    programs: &[],
    version: &[],
    setup,
};

fn setup(site: &Site<'_>) -> anyhow::Result<Setup> {
    let (entry, inner) = (super::free()?, super::free()?);
    let program = env::current_exe()?;
    let outer = Role { listen: entry, upstream: inner };
    let server = Launch::new("outer hyper proxy", &program).args(outer.args());
    let inner = Role { listen: inner, upstream: site.upstream };
    let agent = Launch::new("inner hyper proxy", &program).args(inner.args());
    Ok(Setup { agent: Some(agent), ..Setup::hop(entry, server) })
}
