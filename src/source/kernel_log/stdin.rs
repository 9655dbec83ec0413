//! Reads lines from standard input.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsFd as _,
    sync::Arc,
};

use super::{
    line_splitter::LineSplitter,
    meter::{Input, LineMeter},
    queue::{Chunk, ChunkQueue, is_readable},
};

/// Maximum bytes of one read.
const CHUNK: usize = 64 * 1024;

/// Reads standard input until its end, or until the queue is stopped, and then what is there.
pub(super) fn run(queue: &ChunkQueue, meter: &Arc<LineMeter>) -> io::Result<()> {
    // Not through `std::io::stdin`, whose buffer `poll` does not see.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut splitter = LineSplitter::new(Input::Stdin, Arc::clone(meter));
    let mut buffer = vec![0; CHUNK];
    let push = |lines: Vec<u8>| {
        let chunk = Chunk { lines, input: Input::Stdin, stream: 0, sender: None, checkpoint: None };
        chunk.lines.is_empty() || queue.push(chunk)
    };
    loop {
        let is_stopped = !queue.wait(Some(input.as_fd()), None)?;
        if is_stopped && (queue.is_over() || !is_readable(input.as_fd())) {
            push(splitter.end());
            return Ok(());
        }
        match input.read(&mut buffer) {
            Ok(0) => {
                push(splitter.end());
                return Ok(());
            }
            Ok(length) => {
                if !push(splitter.lines(&buffer[..length])) {
                    return Ok(());
                }
            }
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock
                ) => {}
            Err(error) => return Err(error),
        }
    }
}
