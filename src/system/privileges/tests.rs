//! Tests of the sandbox from inside, each on a thread of its own, because a sandbox cannot be left.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
};

use super::*;

/// Drops privileges on a thread, and runs `work` there.
fn confined<T: Send>(access: SandboxAccess, work: impl FnOnce(&Confinement) -> T + Send) -> T {
    let retained = RetainedPrivileges { account: None, sandbox: Some(access) };
    thread::scope(|scope| {
        scope.spawn(|| work(&drop_privileges(&retained).unwrap())).join().unwrap()
    })
}

fn denied<T>(outcome: io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

#[test]
fn every_layer_is_active_on_this_kernel() {
    let confinement = confined(SandboxAccess::default(), Clone::clone);
    assert!(confinement.missing().is_empty(), "{:?}", confinement.missing());
    for layer in Layer::ALL.into_iter().filter(|layer| *layer != Layer::User) {
        assert!(confinement.has(layer), "{layer:?}");
    }
}

#[test]
fn only_allowed_files_can_be_accessed() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["read", "write", "outside"] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("file"), name).unwrap();
    }
    let access = SandboxAccess {
        read: vec![path("read")],
        write: vec![path("write")],
        ..SandboxAccess::default()
    };
    confined(access, |_| {
        assert_eq!(fs::read_to_string(path("read/file")).unwrap(), "read");
        assert!(denied(fs::write(path("read/file"), "x")));
        assert!(denied(fs::write(path("read/new"), "x")));
        assert!(denied(fs::remove_file(path("read/file"))));

        fs::write(path("write/new"), "x").unwrap();
        fs::rename(path("write/new"), path("write/newer")).unwrap();
        fs::remove_file(path("write/newer")).unwrap();
        assert!(denied(fs::rename(path("write/file"), path("outside/stolen"))));

        assert!(denied(fs::read(path("outside/file"))));
        assert!(denied(fs::read("/etc/passwd")));
        assert!(denied(fs::read_dir("/")));
        assert!(fs::read("/proc/self/stat").is_ok());
        assert!(denied(fs::read("/proc/1/stat")));
    });
    confined(SandboxAccess { names: true, ..SandboxAccess::default() }, |_| {
        assert!(
            fs::read("/etc/nsswitch.conf").is_ok() || !Path::new("/etc/nsswitch.conf").exists()
        );
        assert!(denied(fs::read(path("read/file"))));
    });
}

#[test]
fn no_program_can_be_started_and_no_privilege_regained() {
    confined(
        SandboxAccess { read: vec!["/usr".into(), "/bin".into()], ..SandboxAccess::default() },
        |_| {
            assert!(Command::new("/bin/true").status().is_err());

            let exec = nix::unistd::execv(c"/bin/true", &[c"true"]);
            assert_eq!(exec.unwrap_err(), nix::Error::EPERM);
            let root = rustix::process::Uid::ROOT;
            assert!(rustix::thread::set_thread_res_uid(root, root, root).is_err());
            assert!(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).is_err());
            assert!(nix::sys::signal::kill(nix::unistd::getppid(), None).is_err());
            // Threads can be started, with the same restrictions.
            assert!(thread::spawn(|| denied(fs::read("/etc/passwd"))).join().unwrap());
        },
    );
}

#[test]
fn only_allowed_ports_can_be_connected_to() {
    let listeners = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let [wanted, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    confined(SandboxAccess { connect: vec![wanted.port()], ..SandboxAccess::default() }, |_| {
        TcpStream::connect(wanted).unwrap();
        assert!(denied(TcpStream::connect(other)));
        assert!(denied(TcpListener::bind(("127.0.0.1", 0))));
        let raw = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Packet,
            nix::sys::socket::SockType::Raw,
            nix::sys::socket::SockFlag::empty(),
            None,
        );
        assert!(raw.is_err());
    });
}

/// Landlock checks plain TCP connections only.
#[test]
fn other_kinds_of_connections_are_denied() {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, recv, send, sendto, socket,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let unix = tempfile::tempdir().unwrap().path().join("socket");
    let made = |kind, protocol| socket(AddressFamily::INET, kind, protocol);
    confined(
        SandboxAccess { connect: vec![address.port() ^ 1], ..SandboxAccess::default() },
        |_| {
            assert!(made(SocketType::STREAM, Some(ipproto::MPTCP)).is_err());
            assert!(made(SocketType::DGRAM, None).is_err());
            assert!(made(SocketType::STREAM, Some(ipproto::SCTP)).is_err());
            assert!(std::os::unix::net::UnixStream::connect(&unix).is_err());
            let tcp = made(SocketType::STREAM, None).unwrap();
            let fast_open = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.cast_unsigned());
            assert!(sendto(&tcp, b"out", fast_open, &address).is_err());
            // Sending over an open socket is allowed.
            let (one, other) = rustix::net::socketpair(
                AddressFamily::UNIX,
                SocketType::STREAM,
                rustix::net::SocketFlags::empty(),
                None,
            )
            .unwrap();
            assert_eq!(send(&one, b"in", SendFlags::empty()), Ok(2));
            assert_eq!(recv(&other, &mut [0; 2], RecvFlags::empty()).unwrap().0, 2);
        },
    );
    confined(SandboxAccess::default(), |_| {
        assert!(made(SocketType::STREAM, None).is_err());
        let parent = rustix::process::getppid();
        let limit = rustix::process::Rlimit { current: Some(0), maximum: None };
        let limited = rustix::process::prlimit(parent, rustix::process::Resource::Core, limit);
        assert!(limited.is_err());
    });
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "a connection arrived");
    // Names are resolved over UDP.
    confined(SandboxAccess { names: true, ..SandboxAccess::default() }, |_| {
        assert!(made(SocketType::DGRAM, None).is_ok());
        assert!(made(SocketType::STREAM, None).is_err());
    });
}

#[test]
fn a_numeric_id_needs_no_entry_in_the_user_database() {
    let account = UserAccount::find("4711", "4712").unwrap();
    assert_eq!(account.to_string(), "4711");
    assert!(!account.is_root());
    assert!(UserAccount::find("0", "").unwrap().is_root());
}

#[test]
fn the_error_names_an_unknown_user_or_group() {
    let wrong = UserAccount::choose("no-such-user", "").unwrap_err().to_string();
    assert!(wrong.contains("privileges.user = \"no-such-user\""), "{wrong}");
    let wrong = UserAccount::choose("", "no-such-group").unwrap_err().to_string();
    assert!(wrong.contains("privileges.group = \"no-such-group\""), "{wrong}");
}
