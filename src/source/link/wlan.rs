//! IEEE 802.11, and the headers that capture tools add before it.

use super::{Cut, Inner, Layer, Wrapped, after, be32, chunk, ether, le16, le32};

/// Frame control, first byte: version (2 bits), type (2), subtype (4).
const TYPE: u8 = 0b1111;
const DATA: u8 = 0b1000;
const WITH_QOS: u8 = 0x80;
const WITHOUT_BODY: u8 = 0x40;

/// Frame control, second byte.
const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

/// Frame control (2), duration (2), three addresses (18), sequence control (2).
const HEADER: usize = 24;
/// Offsets of the addresses that can be the sender's.
const ADDRESS_2: usize = 10;
const ADDRESS_3: usize = 16;
const ADDRESS_4: usize = 24;
/// Offset of sequence control, whose lower 4 bits number fragments.
const SEQUENCE: usize = 22;

/// A frame of 802.11. `padded`: its body starts at a multiple of 4 bytes.
///
/// Only unencrypted data frames have readable packets, and only the first fragment starts with one. Of an
/// aggregate (A-MSDU) the first packet is used: a frame is counted once.
pub(super) fn wlan(data: &[u8], padded: bool) -> Result<Layer<'_>, Cut> {
    let [control, flags] = chunk(data, 0)?;
    if control & TYPE != DATA || control & WITHOUT_BODY != 0 || flags & PROTECTED != 0 {
        return Ok(Layer::of(Inner::not_ip(data)));
    }
    if chunk::<1>(data, SEQUENCE)?[0] & 0x0f != 0 {
        return Ok(Layer::of(Inner::not_ip(data)));
    }
    let (sender, mut header) = match (flags & TO_DS != 0, flags & FROM_DS != 0) {
        (true, true) => (ADDRESS_4, HEADER + 6),
        (false, true) => (ADDRESS_3, HEADER),
        (_, false) => (ADDRESS_2, HEADER),
    };
    let hardware_address = data.get(sender..sender + 6).ok_or(Cut)?;
    let mut is_aggregate = false;
    if control & WITH_QOS != 0 {
        is_aggregate = chunk::<1>(data, header)?[0] & 0x80 != 0;
        header += 2;
        // High throughput control.
        header += if flags & ORDER != 0 { 4 } else { 0 };
    }
    if padded {
        header = header.next_multiple_of(4);
    }
    let body = after(data, header)?;
    if is_aggregate {
        // Destination (6), source (6), length (2).
        let hardware_address = body.get(6..12).ok_or(Cut)?;
        let inner = ether::llc(after(body, 14)?)?;
        return Ok(Layer { hardware_address, ..Layer::of(inner) });
    }
    Ok(Layer { hardware_address, ..Layer::of(ether::llc(body)?) })
}

/// Radiotap: version (1), padding (1), length (2), bitmaps of present fields (4 each), fields; little-endian.
pub(super) fn radiotap(data: &[u8]) -> Result<Layer<'_>, Cut> {
    let length = usize::from(le16(data, 2)?);
    let frame = after(data, length)?;
    wlan(frame, radiotap_flags(&data[..length]).is_ok_and(|flags| flags & DATA_PADDED != 0))
}

/// `IEEE80211_RADIOTAP_F_DATAPAD`
const DATA_PADDED: u8 = 0x20;

/// The field `flags` of a radiotap header; 0 if absent.
fn radiotap_flags(header: &[u8]) -> Result<u8, Cut> {
    let present = le32(header, 4)?;
    if present & 0b10 == 0 {
        return Ok(0);
    }
    let mut fields = 8;
    // The highest bit means that another bitmap follows; the header's length bounds their number.
    while le32(header, fields - 4)? & 0x8000_0000 != 0 {
        fields += 4;
    }
    // The optional time (8, aligned to 8) precedes it.
    let at = if present & 0b1 == 0 { fields } else { fields.next_multiple_of(8) + 8 };
    chunk::<1>(header, at).map(|[flags]| flags)
}

/// Prism's monitoring header of 144 bytes, or that of AVS, which Linux gives the same type.
pub(super) fn prism(data: &[u8]) -> Result<Layer<'_>, Cut> {
    match be32(data, 0)? {
        0x8021_1001 | 0x8021_1002 => avs(data),
        _ => wlan(after(data, 144)?, false),
    }
}

/// AVS: version (4), length (4), more; big-endian.
pub(super) fn avs(data: &[u8]) -> Result<Layer<'_>, Cut> {
    let length = usize::try_from(be32(data, 4)?).map_err(|_| Cut)?;
    wlan(after(data, length)?, false)
}

/// Per-packet information: version (1), flags (1), length (2), link type of the frame (4), fields;
/// little-endian.
pub(super) fn ppi(data: &[u8]) -> Result<Wrapped<'_>, Cut> {
    let link = le32(data, 4)?;
    let payload = after(data, usize::from(le16(data, 2)?).max(8))?;
    Ok(Wrapped { layer: Layer::of(Inner::not_ip(payload)), link: Some(link) })
}
