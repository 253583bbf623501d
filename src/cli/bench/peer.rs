//! What a protocol has to bring so that a run can be made over it.

use std::sync::Arc;

use serde::Serialize;

use super::receiving::Received;
use super::sent::Sent;
use super::shared::Shared;

/// Who serves, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Identity {
    pub(super) product: String,
    pub(super) version: String,
}

/// A protocol and the server that it is spoken to.
///
/// [`produce`](Self::produce) and [`consume`](Self::consume) run once a connection: they connect, say
/// [`Shared::is_ready`], and keep their books in [`Sending`](super::sending::Sending) and
/// [`Receiving`](super::receiving::Receiving). A failure of any of them ends the run.
pub(super) trait Peer: Send + Sync + 'static {
    /// Name of the protocol: `bench` in the report.
    const NAME: &'static str;

    /// What is kept from the beginning to the end.
    type Control;

    /// Makes the queues.
    fn prepare(
        &self,
        shared: &Shared,
    ) -> impl Future<Output = anyhow::Result<(Identity, Self::Control)>>;

    /// Sends until [`Turn::End`](super::sending::Turn::End), closes its book, and keeps the connection until
    /// [`Shared::stop`].
    fn produce(
        self: Arc<Self>,
        producer: usize,
        shared: Arc<Shared>,
    ) -> impl Future<Output = anyhow::Result<Sent>> + Send;

    /// Receives until [`Shared::stop`].
    fn consume(
        self: Arc<Self>,
        consumer: usize,
        shared: Arc<Shared>,
    ) -> impl Future<Output = anyhow::Result<Received>> + Send;

    /// Deletes the queues, if they are to be deleted.
    fn clean_up(
        &self,
        shared: &Shared,
        control: Self::Control,
    ) -> impl Future<Output = anyhow::Result<()>>;
}
