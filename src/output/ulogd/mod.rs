//! The text of ulogd 2.0.8, byte for byte, for the programs that read it.

mod ip;
mod keys;
mod packet;
mod print;

pub(super) use self::{
    keys::{gprint, ulogd_json},
    packet::UlogdPacket,
    print::logemu,
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Event, Names, fixture},
        source::nflog::walk,
    };

    const ONE: &[u8] = include_bytes!("../../../tests/data/nflog/1-packet.bin");

    /// The texts of a recorded packet. `tests/kernel/outputs` compares them with ulogd's.
    #[test]
    #[cfg_attr(target_endian = "big", ignore = "recorded on a little-endian host")]
    fn the_texts_of_a_packet() {
        let event = Event { time: 1_500_007, ..fixture::unreadable() };
        let names = Names::default();
        let mut texts = [Vec::new(), Vec::new(), Vec::new()];
        walk(ONE, |packet| {
            let packet = UlogdPacket::new(&event, packet.message, &names).unwrap();
            logemu(&packet, &mut texts[0]);
            gprint(&packet, &mut texts[1]);
            ulogd_json(&packet, "1970-01-01T00:00:01.500007", &mut texts[2]);
        });
        let [line, keys, json] = texts.map(|text| String::from_utf8(text).unwrap());
        assert!(line.starts_with("drop-wan IN= OUT= MAC="), "{line}");
        assert!(line.contains(" SRC=203.0.113.7 DST="), "{line}");
        assert!(line.ends_with(" DPT=53 LEN=13 MARK=0x0 "), "{line}");
        let start = "raw.pktlen=33,raw.pktcount=1,oob.prefix=drop-wan,oob.time.sec=1,oob.time.usec=500007,oob.mark=0,";
        assert!(keys.starts_with(start), "{keys}");
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!((&value["src_ip"], &value["dest_port"]), (&"203.0.113.7".into(), &53.into()));
        assert_eq!(value["timestamp"], "1970-01-01T00:00:01.500007");
    }

    #[test]
    fn a_prefix_cannot_break_a_line() {
        // `struct nfgenmsg`, then the attribute 10, the prefix.
        let mut message = vec![2, 0, 0, 1];
        message.extend([10_u16.to_ne_bytes(), 10_u16.to_ne_bytes()].concat());
        message.extend(b"a\nb\"\xff\0");
        let packet = UlogdPacket::new(&fixture::unreadable(), &message, &Names::default()).unwrap();
        let mut json = Vec::new();
        ulogd_json(&packet, "", &mut json);
        let value: serde_json::Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["oob.prefix"], "a\u{fffd}b\"\u{fffd}");
        let mut line = Vec::new();
        logemu(&packet, &mut line);
        assert!(!line.contains(&b'\n'));
        assert!(UlogdPacket::new(&fixture::unreadable(), &[], &Names::default()).is_none());
    }
}
