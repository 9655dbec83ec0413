//! The live sources at once: NFLOG groups and lines of the kernel log, read by one thread.

use std::time::Duration;

use super::{ReadOutcome, Record, Source, kernel_log::KernelLog, nflog::Nflog};

/// NFLOG groups, lines of the kernel log, or both.
pub struct LiveSource {
    nflog: Option<Nflog>,
    kernel_log: Option<KernelLog>,
    has_nflog_ended: bool,
    has_kernel_log_ended: bool,
}

impl LiveSource {
    /// Combines the configured sources.
    #[must_use]
    pub fn new(nflog: Option<Nflog>, kernel_log: Option<KernelLog>) -> Self {
        let (has_nflog_ended, has_kernel_log_ended) = (nflog.is_none(), kernel_log.is_none());
        Self { nflog, kernel_log, has_nflog_ended, has_kernel_log_ended }
    }

    fn read_lines(&mut self, take: &mut dyn FnMut(&Record<'_>)) -> anyhow::Result<ReadOutcome> {
        match &mut self.kernel_log {
            Some(log) if !self.has_kernel_log_ended => {
                let outcome = log.read(take)?;
                self.has_kernel_log_ended = outcome == ReadOutcome::End;
                Ok(outcome)
            }
            _ => Ok(ReadOutcome::End),
        }
    }
}

impl Source for LiveSource {
    fn fill(
        &mut self,
        timeout: Duration,
        take: &mut dyn FnMut(&Record<'_>),
    ) -> anyhow::Result<ReadOutcome> {
        let log = self.kernel_log.as_mut().filter(|_| !self.has_kernel_log_ended);
        let packets = match &mut self.nflog {
            Some(nflog) if !self.has_nflog_ended => {
                let outcome =
                    nflog.fill_or_wake(timeout, log.as_ref().map(|log| log.descriptor()), take)?;
                self.has_nflog_ended = outcome == ReadOutcome::End;
                outcome
            }
            _ => match log {
                Some(log) => {
                    let outcome = log.fill(timeout, take)?;
                    self.has_kernel_log_ended = outcome == ReadOutcome::End;
                    return Ok(outcome);
                }
                None => return Ok(ReadOutcome::End),
            },
        };
        // One datagram and one chunk of lines in turn.
        let lines = self.read_lines(take)?;
        Ok(match (packets, lines) {
            (ReadOutcome::Batch, _) | (_, ReadOutcome::Batch) => ReadOutcome::Batch,
            (ReadOutcome::End, ReadOutcome::End) => ReadOutcome::End,
            _ => ReadOutcome::Idle,
        })
    }

    fn can_defer(&self) -> bool {
        // Positions in log files are those of the latest lines.
        self.kernel_log.is_none()
    }

    fn handing_over(&mut self) {
        if let Some(log) = &mut self.kernel_log {
            log.handing_over();
        }
    }

    fn handed_over(&mut self) {
        if let Some(log) = &mut self.kernel_log {
            log.handed_over();
        }
    }

    fn close(&mut self) {
        if let Some(nflog) = &mut self.nflog {
            nflog.close();
        }
        if let Some(log) = &mut self.kernel_log {
            log.close();
        }
    }
}
