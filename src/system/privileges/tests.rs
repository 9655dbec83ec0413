//! What is refused, tried from inside: on a thread of its own, because there is no way back.

use std::{
    fs, io,
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    thread,
};

use super::*;

/// Drops privileges on a thread, and does `work` there.
fn confined<T: Send>(needs: Needs, work: impl FnOnce(&Confinement) -> T + Send) -> T {
    let plan = Plan { account: None, sandbox: Some(needs) };
    thread::scope(|scope| scope.spawn(|| work(&drop_privileges(&plan).unwrap())).join().unwrap())
}

fn refused<T>(outcome: io::Result<T>) -> bool {
    outcome.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}

#[test]
fn every_layer_is_in_force_on_this_kernel() {
    let confinement = confined(Needs::default(), Clone::clone);
    assert!(confinement.missing().is_empty(), "{:?}", confinement.missing());
    for layer in Layer::ALL.into_iter().filter(|layer| *layer != Layer::User) {
        assert!(confinement.has(layer), "{layer:?}");
    }
}

#[test]
fn only_the_files_that_are_needed_can_be_reached() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["read", "write", "outside"] {
        fs::create_dir(path(name)).unwrap();
        fs::write(path(name).join("file"), name).unwrap();
    }
    let needs = Needs { read: vec![path("read")], write: vec![path("write")], ..Needs::default() };
    confined(needs, |_| {
        // A file that is replaced is read, too.
        assert_eq!(fs::read_to_string(path("read/file")).unwrap(), "read");
        assert!(refused(fs::write(path("read/file"), "x")));
        assert!(refused(fs::write(path("read/new"), "x")));
        assert!(refused(fs::remove_file(path("read/file"))));

        fs::write(path("write/new"), "x").unwrap();
        fs::rename(path("write/new"), path("write/newer")).unwrap();
        fs::remove_file(path("write/newer")).unwrap();
        assert!(refused(fs::rename(path("write/file"), path("outside/stolen"))));

        assert!(refused(fs::read(path("outside/file"))));
        assert!(refused(fs::read("/etc/passwd")));
        assert!(refused(fs::read_dir("/")));
        assert!(fs::read("/proc/self/stat").is_ok());
        assert!(refused(fs::read("/proc/1/stat")));
    });
    confined(Needs { names: true, ..Needs::default() }, |_| {
        assert!(
            fs::read("/etc/nsswitch.conf").is_ok() || !Path::new("/etc/nsswitch.conf").exists()
        );
        assert!(refused(fs::read(path("read/file"))));
    });
}

#[test]
fn no_program_can_be_started_and_no_right_taken_back() {
    confined(Needs { read: vec!["/usr".into(), "/bin".into()], ..Needs::default() }, |_| {
        assert!(Command::new("/bin/true").status().is_err());
        // Nor can this process become another program.
        let exec = nix::unistd::execv(c"/bin/true", &[c"true"]);
        assert_eq!(exec.unwrap_err(), nix::Error::EPERM);
        let root = rustix::process::Uid::ROOT;
        assert!(rustix::thread::set_thread_res_uid(root, root, root).is_err());
        assert!(nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWUSER).is_err());
        assert!(nix::sys::signal::kill(nix::unistd::getppid(), None).is_err());
        // Threads can be started, and are held alike.
        assert!(thread::spawn(|| refused(fs::read("/etc/passwd"))).join().unwrap());
    });
}

#[test]
fn only_the_ports_that_are_needed_can_be_connected_to() {
    let listeners = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
    let [wanted, other] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
    confined(Needs { connect: vec![wanted.port()], ..Needs::default() }, |_| {
        TcpStream::connect(wanted).unwrap();
        assert!(refused(TcpStream::connect(other)));
        assert!(refused(TcpListener::bind(("127.0.0.1", 0))));
        let raw = nix::sys::socket::socket(
            nix::sys::socket::AddressFamily::Packet,
            nix::sys::socket::SockType::Raw,
            nix::sys::socket::SockFlag::empty(),
            None,
        );
        assert!(raw.is_err());
    });
}

/// What goes past Landlock, which looks at plain connections only.
#[test]
fn no_other_way_leads_out() {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketType, ipproto, recv, send, sendto, socket,
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let unix = tempfile::tempdir().unwrap().path().join("socket");
    let made = |kind, protocol| socket(AddressFamily::INET, kind, protocol);
    confined(Needs { connect: vec![address.port() ^ 1], ..Needs::default() }, |_| {
        assert!(made(SocketType::STREAM, Some(ipproto::MPTCP)).is_err());
        assert!(made(SocketType::DGRAM, None).is_err());
        assert!(made(SocketType::STREAM, Some(ipproto::SCTP)).is_err());
        assert!(std::os::unix::net::UnixStream::connect(&unix).is_err());
        let tcp = made(SocketType::STREAM, None).unwrap();
        let fast_open = SendFlags::from_bits_retain(libc::MSG_FASTOPEN.cast_unsigned());
        assert!(sendto(&tcp, b"out", fast_open, &address).is_err());
        // What is sent over what there is goes its way.
        let (one, other) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::STREAM,
            rustix::net::SocketFlags::empty(),
            None,
        )
        .unwrap();
        assert_eq!(send(&one, b"in", SendFlags::empty()), Ok(2));
        assert_eq!(recv(&other, &mut [0; 2], RecvFlags::empty()).unwrap().0, 2);
    });
    confined(Needs::default(), |_| {
        assert!(made(SocketType::STREAM, None).is_err());
        let parent = rustix::process::getppid();
        let limit = rustix::process::Rlimit { current: Some(0), maximum: None };
        let limited = rustix::process::prlimit(parent, rustix::process::Resource::Core, limit);
        assert!(limited.is_err());
    });
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "something came out");
    // A name is looked up by UDP, and nothing else goes that way.
    confined(Needs { names: true, ..Needs::default() }, |_| {
        assert!(made(SocketType::DGRAM, None).is_ok());
        assert!(made(SocketType::STREAM, None).is_err());
    });
}

#[test]
fn a_number_needs_no_entry_in_the_list_of_users() {
    let account = Account::find("4711", "4712").unwrap();
    assert_eq!(account.to_string(), "4711");
    assert!(!account.is_root());
    assert!(Account::find("0", "").unwrap().is_root());
}

#[test]
fn an_unknown_user_is_named() {
    let wrong = Account::choose("no-such-user", "").unwrap_err().to_string();
    assert!(wrong.contains("privileges.user = \"no-such-user\""), "{wrong}");
    let wrong = Account::choose("", "no-such-group").unwrap_err().to_string();
    assert!(wrong.contains("privileges.group = \"no-such-group\""), "{wrong}");
}
