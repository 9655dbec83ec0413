//! Further outputs of packets: lines, syslog messages and captures, to files, sockets and the journal.
//!
//! ```text
//! readers ─offer▶ OutputQueue ─▶ Writer: select, make rows ─▶ Sink     once for each output
//! ```
//!
//! Each output has a bounded queue and a thread, so that a slow target delays neither the readers nor another output.
//! [`account`] counts the packets in each state.

pub mod account;
pub mod config;
mod format;
mod messages;
mod metrics;
mod queue;
mod records;
mod sink;
mod start;
mod status;
mod target;
mod ulogd;
mod writer;

use std::sync::Arc;

pub use config::{OutputConfig, OutputConfigs};
pub use format::OutputFormat;
pub use messages::PacketMessages;
pub use metrics::OutputMetrics;
pub use start::{OutputError, OutputResources, RunningOutputs, check_certificates};
pub use status::OutputStatus;
pub use target::OutputTarget;

use self::queue::{OutputQueue, PacketBatch};
use crate::event::{Event, UsedNames};

/// The readers' handle to all outputs.
#[derive(Clone, Debug)]
pub struct Outputs {
    queues: Arc<[Arc<OutputQueue>]>,
    keep_messages: bool,
}

impl Outputs {
    /// Whether an output needs the messages of packets.
    #[must_use]
    pub fn keep_messages(&self) -> bool {
        self.keep_messages
    }

    /// Offers a batch to every output. Never waits. `messages` are those of the events, or empty.
    pub fn offer(&self, events: &[Event], messages: &PacketMessages) {
        if events.is_empty() {
            return;
        }
        let (events, messages) = (Arc::new(events.to_vec()), Arc::new(messages.clone()));
        let batch = PacketBatch { events, messages };
        for queue in &*self.queues {
            queue.offer(&batch);
        }
    }

    /// Marks every name that a queued event refers to. Only [`Self::offer`] adds one.
    pub fn mark_names(&self, used: &mut UsedNames) {
        for queue in &*self.queues {
            queue.mark_names(used);
        }
    }

    /// The state of each output at this moment.
    #[must_use]
    pub fn status(&self) -> Vec<OutputStatus> {
        self.queues.iter().map(|queue| queue.status()).collect()
    }

    /// Opens all files again, because they were renamed.
    pub fn reopen(&self) {
        for queue in &*self.queues {
            queue.request_reopen();
        }
    }
}
