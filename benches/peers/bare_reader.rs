//! The bare reader: one thread that counts packets and bytes per prefix, and nothing else. It runs in a process of its own,
//! so that its CPU time and memory are measured like those of the other peers.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, netlink, recv, send,
        socket_with, sockopt,
    },
};

use crate::traffic::{
    COPY_RANGE, GROUP, KERNEL_BUFFER, QUEUE_THRESHOLD, QUEUE_TIMEOUT, RECEIVE_BUFFER,
};

// `linux/netlink.h`
const NLMSG_HEADER: usize = 16;
const NLM_F_REQUEST: u16 = 1;
// `linux/netfilter/nfnetlink.h`, `nfnetlink_log.h`
const NFGEN_HEADER: usize = 4;
const NFULNL_MSG_PACKET: u16 = 4 << 8;
const NFULNL_MSG_CONFIG: u16 = 4 << 8 | 1;
const NFULNL_CFG_CMD_BIND: u8 = 1;
const NFULNL_COPY_PACKET: u8 = 2;
const NFULA_PAYLOAD: u16 = 9;
const NFULA_PREFIX: u16 = 10;

/// Counts of one prefix.
struct Count {
    prefix: Vec<u8>,
    packets: u64,
    bytes: u64,
}

/// Reads until it is killed. Prints the number of packets and bytes so far when no more arrive.
pub fn run() {
    let socket = open();
    let mut buffer = vec![0; 2 * KERNEL_BUFFER as usize];
    let mut counts: Vec<Count> = Vec::new();
    let mut printed = 0;
    loop {
        match recv(&socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((length, _)) => walk(&buffer[..length], &mut counts),
            Err(Errno::AGAIN) => {
                let wait = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
                let mut polled = [PollFd::new(&socket, PollFlags::IN)];
                let packets = counts.iter().map(|count| count.packets).sum();
                if poll(&mut polled, Some(&wait)) == Ok(0) && packets != printed {
                    let bytes: u64 = counts.iter().map(|count| count.bytes).sum();
                    println!("{packets} {bytes}");
                    printed = packets;
                }
            }
            Err(error) => panic!("recv: {error}"),
        }
    }
}

/// Counts the packets of a datagram.
fn walk(mut datagram: &[u8], counts: &mut Vec<Count>) {
    while let Some((message, kind, rest)) = split(datagram, NLMSG_HEADER, u32_at, 4) {
        datagram = rest;
        if kind == NFULNL_MSG_PACKET {
            let mut attributes = message.get(NFGEN_HEADER..).unwrap_or_default();
            let (mut prefix, mut bytes) = (&[][..], 0);
            while let Some((value, kind, rest)) = split(attributes, 4, u16_at, 2) {
                attributes = rest;
                match kind {
                    NFULA_PREFIX => prefix = value.strip_suffix(&[0]).unwrap_or(value),
                    // The total length of an IPv4 header.
                    NFULA_PAYLOAD if value.len() >= 4 => {
                        bytes = u64::from(u16::from_be_bytes([value[2], value[3]]));
                    }
                    _ => {}
                }
            }
            let found = counts.iter_mut().find(|count| count.prefix == prefix);
            if let Some(count) = found {
                count.packets += 1;
                count.bytes += bytes;
            } else {
                counts.push(Count { prefix: prefix.into(), packets: 1, bytes });
            }
        }
    }
}

/// The value of the first message or attribute, its type, and what follows it. Its length is at its start, and its type at
/// `kind`.
fn split(
    bytes: &[u8],
    header: usize,
    length: fn(&[u8]) -> usize,
    kind: usize,
) -> Option<(&[u8], u16, &[u8])> {
    if bytes.len() < header {
        return None;
    }
    let length = length(bytes);
    let value = bytes.get(header..length)?;
    let kind = u16::from_ne_bytes([bytes[kind], bytes[kind + 1]]);
    Some((value, kind, bytes.get(length.next_multiple_of(4)..).unwrap_or_default()))
}

fn u32_at(bytes: &[u8]) -> usize {
    u32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]) as usize
}

fn u16_at(bytes: &[u8]) -> usize {
    u16::from_ne_bytes([bytes[0], bytes[1]]).into()
}

/// A socket that the group is bound to, with the settings of the exporter.
fn open() -> OwnedFd {
    let protocol = Some(netlink::NETFILTER);
    let socket =
        socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .unwrap();
    bind(&socket, &netlink::SocketAddrNetlink::new(0, 0)).unwrap();
    sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).unwrap();
    disable_overrun_errors(&socket);
    let mode = [&COPY_RANGE.to_be_bytes()[..], &[NFULNL_COPY_PACKET, 0]].concat();
    let attributes = [
        attribute(1, &[NFULNL_CFG_CMD_BIND]),
        attribute(2, &mode),
        attribute(3, &KERNEL_BUFFER.to_be_bytes()),
        attribute(4, &QUEUE_TIMEOUT.to_be_bytes()),
        attribute(5, &QUEUE_THRESHOLD.to_be_bytes()),
    ]
    .concat();
    let length = u32::try_from(NLMSG_HEADER + NFGEN_HEADER + attributes.len()).unwrap();
    let message = [
        &length.to_ne_bytes()[..],
        &NFULNL_MSG_CONFIG.to_ne_bytes(),
        &NLM_F_REQUEST.to_ne_bytes(),
        &[0; 8],
        // Family and version, then the group.
        &[0, 0],
        &GROUP.to_be_bytes(),
        &attributes,
    ]
    .concat();
    send(&socket, &message, SendFlags::empty()).unwrap();
    socket
}

/// A netlink attribute with its padding.
fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(4 + value.len()).unwrap();
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// After an overrun, the kernel would otherwise drop all datagrams until the queue was read empty.
#[expect(unsafe_code, reason = "no crate wraps NETLINK_NO_ENOBUFS")]
fn disable_overrun_errors(socket: &OwnedFd) {
    let on: libc::c_int = 1;
    // SAFETY: the option takes a C int, which `on` is, with its size of 4 bytes.
    let result = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::SOL_NETLINK,
            libc::NETLINK_NO_ENOBUFS,
            (&raw const on).cast(),
            4,
        )
    };
    assert_eq!(result, 0, "NETLINK_NO_ENOBUFS: {}", std::io::Error::last_os_error());
}
