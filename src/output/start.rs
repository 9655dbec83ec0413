//! Starts and ends the threads of the outputs.

use std::{
    io,
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use jiff::tz::TimeZone;
use rustls::ClientConfig;
use tokio::time::sleep;

use super::{
    OutputConfig, OutputConfigs, OutputTarget, Outputs,
    format::{CaptureFormat, Formatter, OutputFormat},
    queue::OutputQueue,
    records::Records,
    sink::{
        DatagramSink, DatagramTarget, FileContent, FileSink, Rotation, Sink, StreamSink,
        StreamTarget,
    },
    writer::{Framing, Writer},
};
use crate::{
    event::CurrentNames,
    mirror::{
        anonymize::Anonymizer,
        row_builder::RowBuilder,
        select::{SelectionError, Selector},
    },
    networks::LocationLookup,
    system::{
        host_name,
        logging::{ConditionLog, LogThrottle},
        untrusted_text::one_line,
        verifying_client,
    },
};

/// Maximum length of the host's name in rows, bytes: that of the column `host`.
const MAX_HOST: usize = 255;

/// Why the outputs cannot start.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// A selection is invalid.
    #[error("output {name}: {error}")]
    Selection {
        /// The output.
        name: String,
        /// What is wrong.
        error: SelectionError,
    },
    /// The root certificates cannot be used.
    #[error("output {name}: {reason}")]
    Certificates {
        /// The output.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// The system provides no thread.
    #[error("cannot start an output: {0}")]
    Start(#[from] io::Error),
}

/// What is read before privileges are dropped.
#[derive(Debug)]
pub struct OutputResources {
    outputs: Vec<OutputResource>,
    zone: TimeZone,
    host: String,
}

/// What one output needs.
#[derive(Debug)]
struct OutputResource {
    config: OutputConfig,
    anonymizer: Anonymizer,
    /// Of a `tls://` target.
    tls: Option<Arc<ClientConfig>>,
}

impl OutputResources {
    /// Reads what the outputs need. `anonymizers` are those of the outputs, in their order. `host` is the name of this host;
    /// empty for the system's.
    ///
    /// # Errors
    /// Root certificates cannot be used.
    pub fn open(
        configs: &OutputConfigs,
        anonymizers: Vec<Anonymizer>,
        host: &str,
    ) -> Result<Self, OutputError> {
        let host = match host {
            "" => host_name(),
            host => host.to_owned(),
        };
        // Some formats end their rows at a line break.
        let host = one_line(&host, MAX_HOST).into();
        let zone = TimeZone::try_system().unwrap_or(TimeZone::UTC);
        let resource = |(config, anonymizer): (&OutputConfig, Anonymizer)| {
            let tls = match config.target {
                OutputTarget::Tls(..) => Some(Arc::new(client_tls(config)?)),
                _ => None,
            };
            Ok(OutputResource { config: config.clone(), anonymizer, tls })
        };
        let outputs = configs.iter().zip(anonymizers).map(resource);
        Ok(Self { outputs: outputs.collect::<Result<_, OutputError>>()?, zone, host })
    }
}

/// The running outputs.
#[derive(Debug)]
pub struct RunningOutputs {
    outputs: Outputs,
    threads: Vec<JoinHandle<()>>,
}

impl RunningOutputs {
    /// Starts a thread for each output; `None` if there is none. `names` are those of the events that will be offered. `locations`
    /// makes a look-up for one output. A target that cannot be opened is no error: rows wait.
    ///
    /// # Errors
    /// A selection or a certificate is invalid, or a thread cannot be started.
    pub fn start(
        resources: OutputResources,
        names: &CurrentNames,
        locations: &dyn Fn() -> LocationLookup,
    ) -> Result<Option<Self>, OutputError> {
        let OutputResources { outputs, zone, host } = resources;
        if outputs.is_empty() {
            return Ok(None);
        }
        let keep_messages = outputs.iter().any(|output| output.config.format.needs_bytes());
        let mut queues = Vec::new();
        let mut threads = Vec::new();
        for OutputResource { config, anonymizer, tls } in outputs {
            let name = config.name.clone();
            let needs_messages = config.format.needs_bytes();
            let queue =
                OutputQueue::new(name.clone(), config.queue_size, needs_messages, names.clone());
            let queue = Arc::new(queue);
            let selector = Selector::new(&config.selection(), names.get())
                .map_err(|error| OutputError::Selection { name: name.clone(), error })?;
            let capture = CaptureFormat {
                link: config.link_layer,
                is_pcapng: config.format == OutputFormat::Pcapng,
            };
            tracing::info!(output = name, target = %config.target, "writing packets");
            let writer = Writer {
                target: config.target.to_string(),
                queue: Arc::clone(&queue),
                selector,
                framing: framing(&config),
                sink: sink(&config, capture, tls),
                formatter: Formatter {
                    format: config.format,
                    capture,
                    rows: RowBuilder::new(names.get(), locations()),
                    anonymizer,
                    has_header: !matches!(config.target, OutputTarget::Journal(_)),
                    host: host.clone(),
                    zone: zone.clone(),
                },
                records: Records::default(),
                is_cut: false,
                log: ConditionLog::new("output"),
                panics: LogThrottle::default(),
                name,
            };
            queues.push(queue);
            threads.push(thread::Builder::new().name("output".into()).spawn(|| writer.run())?);
        }
        let outputs = Outputs { queues: queues.into(), keep_messages };
        Ok(Some(Self { outputs, threads }))
    }

    /// The handle that accepts events and reports the state of the outputs.
    #[must_use]
    pub fn outputs(&self) -> Outputs {
        self.outputs.clone()
    }

    /// Writes what was offered, for at most `grace`; the rest is lost.
    pub async fn end(self, grace: Duration) {
        let deadline = Instant::now() + grace;
        for queue in &*self.outputs.queues {
            queue.close();
        }
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < deadline {
            sleep(Duration::from_millis(5)).await;
        }
        for output in self.outputs.status() {
            tracing::info!(
                output = output.name,
                written = output.account.written,
                lost = output.account.dropped.iter().sum::<u64>() + output.account.queued,
                "output ended"
            );
        }
    }
}

/// What stands between two rows at a target.
fn framing(config: &OutputConfig) -> Framing {
    match &config.target {
        _ if config.format.is_capture() => Framing::None,
        target if target.has_datagrams() => Framing::None,
        OutputTarget::Tcp(..) | OutputTarget::Tls(..) if config.format == OutputFormat::Syslog => {
            Framing::OctetCount
        }
        _ => Framing::Newline,
    }
}

fn sink(
    config: &OutputConfig,
    capture: CaptureFormat,
    tls: Option<Arc<ClientConfig>>,
) -> Box<dyn Sink> {
    let header = if config.format.is_capture() { capture.header() } else { Vec::new() };
    let stream = |target| -> Box<dyn Sink> { Box::new(StreamSink::new(target, header.clone())) };
    let datagram = |target| -> Box<dyn Sink> { Box::new(DatagramSink::new(target)) };
    match config.target.clone() {
        OutputTarget::None | OutputTarget::Stdout => stream(StreamTarget::Stdout),
        OutputTarget::Unix(path) => stream(StreamTarget::Unix(path)),
        OutputTarget::Tcp(host, port) => stream(StreamTarget::Tcp(host, port)),
        OutputTarget::Tls(host, port) => stream(StreamTarget::Tls(host, port, tls)),
        OutputTarget::Unixgram(path) => datagram(DatagramTarget::Unix(path)),
        OutputTarget::Journal(path) => datagram(DatagramTarget::Journal(path)),
        OutputTarget::Udp(host, port) => datagram(DatagramTarget::Udp(host, port)),
        OutputTarget::File(path) => {
            let rotation = Rotation {
                size: config.rotate_size,
                interval: config.rotate_interval,
                keep: config.keep,
            };
            let content = match config.format {
                OutputFormat::Pcap | OutputFormat::Pcapng => {
                    FileContent::Capture { header, is_pcapng: capture.is_pcapng }
                }
                OutputFormat::Json | OutputFormat::Ecs | OutputFormat::UlogdJson => {
                    FileContent::JsonLines
                }
                _ => FileContent::Lines,
            };
            Box::new(FileSink::new(path, rotation, content))
        }
    }
}

/// Checks the root certificates of an output.
///
/// # Errors
/// Its target is `tls://`, and they cannot be used.
pub fn check_certificates(config: &OutputConfig) -> Result<(), OutputError> {
    match config.target {
        OutputTarget::Tls(..) => client_tls(config).map(drop),
        _ => Ok(()),
    }
}

/// TLS that verifies the receiver.
fn client_tls(config: &OutputConfig) -> Result<ClientConfig, OutputError> {
    let roots = Some(config.ca_file.clone()).filter(|file| !file.as_os_str().is_empty());
    verifying_client(roots.as_deref()).map_err(|error| OutputError::Certificates {
        name: config.name.clone(),
        reason: error.to_string(),
    })
}
