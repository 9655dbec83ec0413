//! A recording that the program serves on a free port of this host.

use std::{
    ffi::OsStr,
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    process::{Child, Command, Stdio},
};

use super::program::{EXPORTER, get_from};

/// The program, which ends with the value.
pub struct Served {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
}

impl Served {
    /// Starts `replay --serve` with further arguments; returns when it listens.
    pub fn start<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Self {
        let mut child = Command::new(EXPORTER)
            .args(["replay", "--serve", "--web.listen-address", "127.0.0.1:0"])
            .args(arguments)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        // The first log line with an address is the one it listens on.
        let address = loop {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the exporter ended");
            let address = line
                .split(|character: char| !(character.is_ascii_digit() || ".:".contains(character)))
                .find_map(|word| word.parse::<SocketAddr>().ok());
            if let Some(address) = address {
                break address;
            }
        };
        // Keeps reading the log, so that the pipe does not fill.
        std::thread::spawn(move || log.read_to_string(&mut String::new()));
        Self { child, address }
    }

    /// Status and body of a GET.
    pub fn get(&self, path: &str) -> (u16, String) {
        get_from(self.address, path).unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
