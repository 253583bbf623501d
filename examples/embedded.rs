//! The broker inside another program, on free ports: for tests of an application, or as a part of it.
//!
//! ```console
//! $ cargo run --example embedded
//! amqp://guest:guest@127.0.0.1:40813/%2F
//! http://127.0.0.1:40951
//! ```
//!
//! It serves until Ctrl-C. The data directory is `./data`, or what is given as the first argument.

use std::net::SocketAddr;
use std::path::PathBuf;

use viaduct::config::Config;
use viaduct::config::Listeners;
use viaduct::server::Broker;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    // Port 0 is any free port; `listening` tells which.
    let free = || vec![SocketAddr::from(([127, 0, 0, 1], 0)).into()];
    let broker = Broker::start(Config {
        data_dir: std::env::args_os()
            .nth(1)
            .map_or_else(|| PathBuf::from("data"), PathBuf::from),
        listeners: Listeners {
            amqp: free(),
            aws: free(),
            metrics: Vec::new(),
        },
        ..Config::default()
    })
    .await?;
    for address in &broker.listening().amqp {
        println!("amqp://guest:guest@{address}/%2F");
    }
    for address in &broker.listening().aws {
        println!("http://{address}");
    }

    tokio::signal::ctrl_c().await?;
    // Tells the clients, syncs, and closes the data directory.
    broker.stop().await?;
    Ok(())
}
