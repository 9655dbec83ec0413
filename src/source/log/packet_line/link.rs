//! Link-layer fields: `MAC=`, or `MACSRC=`, `MACDST=` and `MACPROTO=` of rules with the option `macdecode`.

use super::values;
use crate::event::HardwareAddress;

/// `EtherType` of IPv4.
pub(super) const IPV4: u16 = 0x0800;
/// `EtherType` of IPv6.
pub(super) const IPV6: u16 = 0x86dd;
/// `EtherType` of ARP.
pub(super) const ARP: u16 = 0x0806;
/// Minimum of an `EtherType`; a smaller number is a length (IEEE 802.3).
const MIN_ETHER_TYPE: u16 = 0x0600;
/// `EtherTypes` of headers before IP: 802.1Q and 802.1ad tags, PPPoE.
const ENCAPSULATIONS: [u16; 3] = [0x8100, 0x88a8, 0x8864];
/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Maximum number of bytes that are read: `MAX_ADDR_LEN` of the kernel for each address.
const MAX_HEADER: usize = 80;

/// The link layer of a packet.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Link {
    /// Hardware address of the sender; empty for none.
    pub sender: HardwareAddress,
    pub ether_type: Option<u16>,
}

impl Link {
    /// The bytes of a whole header: the address of the receiver, of the sender, and the `EtherType`. A header that
    /// is not as long as Ethernet's has other fields, and is ignored.
    pub fn from_header(text: &[u8]) -> Self {
        let mut bytes = [0; ETHERNET];
        if octets(text, &mut bytes) != Some(ETHERNET) {
            return Self::default();
        }
        Self {
            sender: HardwareAddress::new(&bytes[6..12]),
            ether_type: Some(u16::from_be_bytes([bytes[12], bytes[13]])),
        }
    }

    /// The value of `MACSRC=`.
    pub fn set_sender(&mut self, text: &[u8]) {
        let mut bytes = [0; 6];
        if octets(text, &mut bytes) == Some(6) {
            self.sender = HardwareAddress::new(&bytes);
        }
    }

    /// The value of `MACPROTO=`: four digits.
    pub fn set_ether_type(&mut self, text: &[u8]) {
        if text.len() == 4 {
            let number = values::hexadecimal(text).and_then(|number| u16::try_from(number).ok());
            self.ether_type = number;
        }
    }

    /// Whether the header says that the packet is not IP.
    pub fn is_not_ip(&self) -> bool {
        self.ether_type.is_some_and(|number| {
            number >= MIN_ETHER_TYPE
                && ![IPV4, IPV6].contains(&number)
                && !ENCAPSULATIONS.contains(&number)
        })
    }
}

/// Bytes as pairs of hexadecimal digits with colons between them. Returns their number, of which the first ones are
/// stored; `None` for another text.
fn octets(text: &[u8], bytes: &mut [u8]) -> Option<usize> {
    if text.len() % 3 != 2 || text.len() > 3 * MAX_HEADER {
        return None;
    }
    for (index, chunk) in text.chunks(3).enumerate() {
        if chunk.get(2).is_some_and(|byte| *byte != b':') {
            return None;
        }
        let digit =
            |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let octet = digit(chunk[0])? << 4 | digit(chunk[1])?;
        if let Some(byte) = bytes.get_mut(index) {
            *byte = octet;
        }
    }
    Some(text.len().div_ceil(3))
}
