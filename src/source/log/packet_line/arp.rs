//! The fields of an ARP packet.

use super::{link::Link, tokens::Tokens, values};

/// Length of an ARP header without its addresses (RFC 826).
const HEADER: u32 = 8;
/// Length of an ARP packet for IPv4 over Ethernet.
const ETHERNET_IPV4: u32 = 28;

/// Reads the fields after `ARP `: the sender, unless the link layer has it already. Returns the packet's length.
pub(super) fn read(tokens: Tokens<'_>, link: &mut Link) -> u32 {
    let mut length = HEADER;
    for token in tokens {
        let Some(at) = token.text.iter().position(|byte| *byte == b'=') else { break };
        match (&token.text[..at], &token.text[at + 1..]) {
            (b"HTYPE" | b"PTYPE" | b"OPCODE" | b"MACDST" | b"IPDST", _) => {}
            (b"MACSRC", value) => {
                if link.sender.as_bytes().is_empty() {
                    link.set_sender(value);
                }
            }
            (b"IPSRC", value) if values::address(value).is_some() => length = ETHERNET_IPV4,
            _ => break,
        }
    }
    length
}
