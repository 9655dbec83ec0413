//! Decodes headers layer by layer, as far as the captured bytes reach.

use etherparse::{
    EtherType, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice, Ipv6RawExtHeaderSlice,
    err::ipv4::HeaderSliceError, ether_type,
};

use super::{Addresses, DecodeIssue, Headers, Transport, protocol};

/// Minimum length of an IPv4 header (RFC 791), which is its length without options.
const IPV4_FIXED: usize = 20;

/// First byte of an IPv4 header without options: version 4, five words.
const IPV4_WITHOUT_OPTIONS: u8 = 0x45;

/// Maximum payload that the length field of an IPv6 header can express (RFC 8200). A longer packet is a
/// jumbogram (RFC 2675), whose field is 0.
const IPV6_MAX_PAYLOAD: u32 = 0xffff;

/// Offset of the byte that holds a TCP header's length in its upper half (RFC 9293).
const TCP_DATA_OFFSET: usize = 12;

/// Offset of a TCP header's flags.
const TCP_FLAGS: usize = 13;

/// Minimum length of a TCP header in 32-bit words.
const TCP_MIN_WORDS: u8 = 5;

/// Decodes a packet from its IP header on, as far as its bytes reach.
///
/// `ether_type` is the link layer's type of the payload, if known; otherwise the version nibble decides.
/// `wire_length` is the payload's length before truncation. It is used if the IP header has no length.
#[must_use]
pub fn decode(payload: &[u8], ether_type: Option<u16>, wire_length: u32) -> Headers {
    let mut headers = Headers {
        addresses: None,
        protocol: None,
        length: wire_length,
        ttl: None,
        transport: Transport::None,
        issue: None,
    };
    let version = payload.first().map(|byte| byte >> 4);
    match (ether_type.map(EtherType), version) {
        (Some(ether_type::IPV4) | None, Some(4)) => ipv4(payload, &mut headers),
        (Some(ether_type::IPV6) | None, Some(6)) => ipv6(payload, &mut headers),
        (None | Some(ether_type::IPV4 | ether_type::IPV6), None) => {
            headers.issue = Some(DecodeIssue::Truncated);
        }
        (Some(ether_type::IPV4 | ether_type::IPV6), _) => {
            headers.issue = Some(DecodeIssue::Malformed);
        }
        _ => headers.issue = Some(DecodeIssue::NotIp),
    }
    headers
}

fn ipv4(packet: &[u8], headers: &mut Headers) {
    let header = match Ipv4HeaderSlice::from_slice(packet) {
        Ok(header) => header,
        Err(HeaderSliceError::Content(_)) => return headers.issue = Some(DecodeIssue::Malformed),
        Err(HeaderSliceError::Len(_)) => {
            headers.issue = Some(DecodeIssue::Truncated);
            // If only the options are truncated, the fixed part can still be decoded.
            let Some(mut fixed) = packet.first_chunk::<IPV4_FIXED>().copied() else { return };
            fixed[0] = IPV4_WITHOUT_OPTIONS;
            if let Ok(header) = Ipv4HeaderSlice::from_slice(&fixed) {
                ipv4_fields(&header, headers);
            }
            return;
        }
    };
    ipv4_fields(&header, headers);
    let length = header.slice().len();
    let total = usize::from(header.total_len());
    if total != 0 && total < length {
        headers.issue = Some(DecodeIssue::Malformed);
    }
    // Only the first fragment carries the headers that follow.
    if header.fragments_offset().value() == 0 {
        let claimed = if total < length { None } else { Some(total - length) };
        Upper::new(&packet[length..], claimed).read_transport(headers);
    }
}

fn ipv4_fields(header: &Ipv4HeaderSlice<'_>, headers: &mut Headers) {
    headers.addresses = Some(Addresses::V4 {
        source: header.source_addr(),
        destination: header.destination_addr(),
    });
    headers.ttl = Some(header.ttl());
    // The field is 0 for a segment above 64 KiB that offloading has not split yet (BIG TCP).
    if header.total_len() != 0 {
        headers.length = header.total_len().into();
    }
    // AH (RFC 4302) is reported as the protocol, as the kernel's firewalls do.
    headers.protocol = Some(header.protocol().0);
}

fn ipv6(packet: &[u8], headers: &mut Headers) {
    let Ok(header) = Ipv6HeaderSlice::from_slice(packet) else {
        // The version was checked, so only the length can be wrong.
        return headers.issue = Some(DecodeIssue::Truncated);
    };
    headers.addresses = Some(Addresses::V6 {
        source: header.source_addr(),
        destination: header.destination_addr(),
    });
    headers.ttl = Some(header.hop_limit());
    let length = header.slice().len();
    let fixed = u32::try_from(length).unwrap_or(u32::MAX);
    let mut claimed = Some(usize::from(header.payload_length()));
    if header.payload_length() != 0 {
        headers.length = fixed + u32::from(header.payload_length());
    } else if headers.length.saturating_sub(fixed) > IPV6_MAX_PAYLOAD {
        claimed = None;
    } else {
        // No payload: the bytes after the header are padding of the link layer.
        headers.length = fixed;
    }
    let upper = Upper::new(&packet[length..], claimed);
    if let Some(upper) = upper.skip_extensions(header.next_header().0, headers) {
        upper.read_transport(headers);
    }
}

/// The payload of an IP header.
struct Upper<'a> {
    bytes: &'a [u8],
    /// Whether the capture may end before the packet does.
    is_truncated: bool,
}

impl<'a> Upper<'a> {
    /// The bytes after an IP header. `claimed` is their length according to the header.
    fn new(bytes: &'a [u8], claimed: Option<usize>) -> Self {
        match claimed {
            Some(claimed) if claimed <= bytes.len() => {
                Self { bytes: &bytes[..claimed], is_truncated: false }
            }
            _ => Self { bytes, is_truncated: true },
        }
    }

    /// Skips IPv6 extension headers (RFC 8200, section 4) as the kernel's `ipv6_find_hdr` does, and sets the
    /// protocol. `None` if the transport header cannot be reached.
    fn skip_extensions(mut self, first: u8, headers: &mut Headers) -> Option<Self> {
        let mut next = first;
        let mut is_first = true;
        loop {
            let length = match next {
                protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION_OPTIONS => {
                    // RFC 8200: hop-by-hop options come first and occur once.
                    if next == protocol::HOP_BY_HOP && !is_first {
                        headers.issue = Some(DecodeIssue::Malformed);
                    }
                    Ipv6RawExtHeaderSlice::from_slice(self.bytes).ok().map(|extension| {
                        next = extension.next_header().0;
                        extension.slice().len()
                    })
                }
                protocol::FRAGMENT => {
                    let fragment = Ipv6FragmentHeaderSlice::from_slice(self.bytes).ok();
                    if let Some(fragment) = &fragment
                        && fragment.fragment_offset().value() != 0
                    {
                        // Only the first fragment carries the headers that follow. If the next header
                        // is another extension, a later fragment does not contain the protocol.
                        let named = fragment.next_header().0;
                        headers.protocol = (!protocol::is_extension(named)).then_some(named);
                        return None;
                    }
                    fragment.map(|fragment| {
                        next = fragment.next_header().0;
                        fragment.slice().len()
                    })
                }
                upper => {
                    headers.protocol = Some(upper);
                    return Some(self);
                }
            };
            is_first = false;
            let Some(length) = length else {
                headers.issue = headers.issue.or(Some(self.short_issue()));
                return None;
            };
            self.bytes = &self.bytes[length..];
        }
    }

    fn read_transport(&self, headers: &mut Headers) {
        let bytes = self.bytes;
        let minimum = match headers.protocol {
            Some(protocol::TCP) => 20,
            Some(protocol::UDP | protocol::UDPLITE | protocol::ICMP) => 8,
            Some(protocol::SCTP | protocol::DCCP) => 12,
            Some(protocol::ICMPV6) => 4,
            _ => return,
        };
        if bytes.len() < minimum {
            headers.issue = headers.issue.or(Some(self.short_issue()));
        }
        let &[first, second, ref rest @ ..] = bytes else { return };
        if matches!(headers.protocol, Some(protocol::ICMP | protocol::ICMPV6)) {
            headers.transport = Transport::Icmp { kind: first, code: second };
            return;
        }
        let &[third, fourth, ..] = rest else { return };
        let source = u16::from_be_bytes([first, second]);
        let destination = u16::from_be_bytes([third, fourth]);
        headers.transport = match (headers.protocol, bytes.get(TCP_FLAGS)) {
            (Some(protocol::TCP), Some(&flags)) => Transport::Tcp { source, destination, flags },
            _ => Transport::Ports { source, destination },
        };
        if headers.protocol == Some(protocol::TCP)
            && bytes.get(TCP_DATA_OFFSET).is_some_and(|byte| byte >> 4 < TCP_MIN_WORDS)
        {
            headers.issue = Some(DecodeIssue::Malformed);
        }
    }

    /// The issue of headers that end too early: truncated by the capture, or malformed.
    fn short_issue(&self) -> DecodeIssue {
        if self.is_truncated { DecodeIssue::Truncated } else { DecodeIssue::Malformed }
    }
}

#[cfg(test)]
mod tests;
