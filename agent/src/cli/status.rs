use ::cli::{Exit, Failure, output};
use agent::{
    status::{Status, socket},
    ui,
};

/// What `status` can be told.
#[derive(Debug, clap::Args)]
pub(crate) struct Ask {
    /// Only agents of this id
    id: Option<String>,
    /// Print JSON, an array with a document for each agent
    #[arg(long)]
    json: bool,
}

/// Why `status` does not end with 0.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no agent of this user is running here; start one with `agent-tunnel connect`")]
    Nobody,
    #[error("no agent `{0}` of this user is running here; `agent-tunnel status` shows those that are")]
    NotThere(String),
    #[error("{0} has no link to a gateway")]
    Offline(String),
}

impl Ask {
    /// Shows every agent that is asked for.
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut agents = socket::ask_all().map_err(Failure::runtime)?;
        if let Some(id) = &self.id {
            agents.retain(|agent| agent.id == *id);
        }
        let text = if self.json {
            serde_json::to_string(&agents).map_err(Failure::runtime)? + "\n"
        } else {
            ui::table(&agents)
        };
        output::write(text.as_bytes()).map_err(Failure::runtime)?;
        trouble(self.id, &agents).map_or(Ok(()), |trouble| Err(Failure::new(Exit::Unreachable, trouble)))
    }
}

fn trouble(wanted: Option<String>, agents: &[Status]) -> Option<Trouble> {
    if agents.is_empty() {
        return Some(wanted.map_or(Trouble::Nobody, Trouble::NotThere));
    }
    let offline = agents.iter().find(|agent| !agent.is_online())?;
    Some(Trouble::Offline(offline.id.clone()))
}
