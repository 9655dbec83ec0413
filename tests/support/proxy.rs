//! A proxy between the exporter and a database's socket, which cuts connections at commits.

use std::{
    fs,
    io::{Read, Write},
    net::Shutdown,
    os::unix::{
        fs::PermissionsExt as _,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    thread,
};

/// Cuts one in this many commits, alternately before the server receives it and after it answers.
pub struct Proxy {
    state: Arc<State>,
    listen: PathBuf,
}

struct State {
    server: PathBuf,
    cutting: AtomicBool,
    commits: AtomicU32,
    cuts: AtomicU32,
    closing: AtomicBool,
}

/// One in this many commits is cut.
const EVERY: u32 = 3;

impl Proxy {
    /// Listens on its own socket in front of the server's; does not cut yet.
    pub fn start(listen: &Path, server: &Path) -> Self {
        let listener = UnixListener::bind(listen).unwrap();
        // Every user may connect, as to a server.
        fs::set_permissions(listen, fs::Permissions::from_mode(0o777)).unwrap();
        let state = Arc::new(State {
            server: server.into(),
            cutting: AtomicBool::new(false),
            commits: AtomicU32::new(0),
            cuts: AtomicU32::new(0),
            closing: AtomicBool::new(false),
        });
        let accepting = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.closing.load(Relaxed) {
                    return;
                }
                let state = Arc::clone(&accepting);
                // Without a server the client's connection is closed.
                if let (Ok(client), Ok(server)) = (client, UnixStream::connect(&state.server)) {
                    thread::spawn(move || forward(&state, client, server));
                }
            }
        });
        Self { state, listen: listen.into() }
    }

    /// Starts or stops cutting.
    pub fn cut(&self, cutting: bool) {
        self.state.cutting.store(cutting, Relaxed);
    }

    /// Number of commits while cutting.
    pub fn commits(&self) -> u32 {
        self.state.commits.load(Relaxed)
    }

    /// Number of cuts.
    pub fn cuts(&self) -> u32 {
        self.state.cuts.load(Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.state.closing.store(true, Relaxed);
        // Wakes the accepting thread.
        let _ = UnixStream::connect(&self.listen);
    }
}

fn forward(state: &State, mut client: UnixStream, mut server: UnixStream) {
    let silent = Arc::new(AtomicBool::new(false));
    let mut back = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let muted = Arc::clone(&silent);
    let returning = thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while let Ok(length @ 1..) = back.0.read(&mut buffer) {
            if muted.load(Relaxed) || back.1.write_all(&buffer[..length]).is_err() {
                break;
            }
        }
        let _ = back.0.shutdown(Shutdown::Both);
        let _ = back.1.shutdown(Shutdown::Both);
    });
    let mut buffer = vec![0; 65_536];
    while let Ok(length @ 1..) = client.read(&mut buffer) {
        let part = &buffer[..length];
        let commits = part.len() < 64 && part.windows(6).any(|word| word == b"COMMIT");
        if commits
            && state.cutting.load(Relaxed)
            && state.commits.fetch_add(1, Relaxed) % EVERY == EVERY - 1
        {
            if state.cuts.fetch_add(1, Relaxed).is_multiple_of(2) {
                // The server commits, but its answer is lost.
                silent.store(true, Relaxed);
                let _ = server.write_all(part);
                let _ = returning.join();
                return;
            }
            break;
        }
        if server.write_all(part).is_err() {
            break;
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
    let _ = returning.join();
}
