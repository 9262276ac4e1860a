//! Real processes under random faults, and the load that other checks are made with: `chaos soak`, `chaos load`,
//! `chaos service`. Explained in `docs/reliability.md`.

mod ask;
mod fault;
mod kind;
mod load;
mod metrics;
mod network;
mod process;
mod service;
mod soak;
mod tally;
mod town;

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};
use cli::{Failure, output};
use tokio::{
    io::{AsyncReadExt as _, stdin},
    runtime::Builder,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use self::{
    load::{Mix, Target},
    service::Service,
};

/// Lets gateways, agents and networks fail while clients ask, and says whether every promise was kept
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Random faults for as long as you like; ends with 1 if a promise was broken
    Soak(soak::Arguments),
    /// Requests at a fixed rate, every answer checked; prints what became of them as JSON
    Load(LoadArguments),
    /// The service that the load asks for; prints where it listens, and ends with its standard input
    Service,
}

#[derive(clap::Args, Debug)]
struct LoadArguments {
    /// Where clients connect
    #[arg(long)]
    addr: SocketAddr,
    /// Their `host` field; repeated, they take turns
    #[arg(long = "host", required = true)]
    hosts: Vec<String>,
    /// How long, unless standard input ends before
    #[arg(long, default_value_t = 3600)]
    seconds: u64,
    #[command(flatten)]
    mix: Mix,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("{}", Failure::runtime(error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let kept = runtime.block_on(async {
        match arguments.command {
            Command::Soak(arguments) => soak::run(arguments).await,
            Command::Load(arguments) => load(arguments).await.map(|()| true),
            Command::Service => serve().await.map(|()| true),
        }
    })?;
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    Ok(if kept { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn load(arguments: LoadArguments) -> anyhow::Result<()> {
    let LoadArguments { addr, hosts, seconds, mix } = arguments;
    let stop = CancellationToken::new();
    let end = async {
        tokio::select! {
            () = input_ended() => {}
            () = sleep(Duration::from_secs(seconds)) => {}
        }
        stop.cancel();
    };
    let target = Target { addr, hosts };
    let (tally, ()) = tokio::join!(load::run(&target, &mix, stop.clone()), end);
    output::line(&serde_json::to_string(&tally.summary())?)?;
    Ok(())
}

async fn serve() -> anyhow::Result<()> {
    let service = Service::start().await?;
    output::line(&service.addr.to_string())?;
    input_ended().await;
    Ok(())
}

/// Whoever started this program has gone, or wants it to end.
async fn input_ended() {
    let mut nothing = [0; 64];
    while stdin().read(&mut nothing).await.is_ok_and(|read| read > 0) {}
}
