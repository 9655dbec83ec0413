//! The nftables expressions of our rules, as netlink attributes (`linux/netfilter/nf_tables.h`).

use crate::netlink::Attribute;

/// Matches packets received on a loopback device.
pub(super) fn from_loopback() -> [Attribute; 2] {
    // Registers hold a u16 in host byte order.
    [meta(META_IIFTYPE), equal(&libc::ARPHRD_LOOPBACK.to_ne_bytes())]
}

/// Matches packets received on the device of this name, of at most 15 bytes.
pub(super) fn from_interface(name: &str) -> [Attribute; 2] {
    let mut padded = name.as_bytes().to_vec();
    padded.resize(libc::IFNAMSIZ, 0);
    [meta(META_IIFNAME), equal(&padded)]
}

/// Matches TCP to this port, over IPv4 and IPv6. Later fragments have no port, and do not match.
pub(super) fn to_tcp_port(port: u16) -> [Attribute; 4] {
    let load = [
        Attribute::u32(PAYLOAD_DREG, REGISTER),
        Attribute::u32(PAYLOAD_BASE, TRANSPORT_HEADER),
        // The destination port, RFC 9293.
        Attribute::u32(PAYLOAD_OFFSET, 2),
        Attribute::u32(PAYLOAD_LEN, 2),
    ];
    [
        meta(META_L4PROTO),
        equal(&[IPPROTO_TCP]),
        expression("payload", load.into()),
        equal(&port.to_be_bytes()),
    ]
}

/// Returns from the chain.
pub(super) fn return_verdict() -> Attribute {
    let verdict = Attribute::u32(VERDICT_CODE, NFT_RETURN.cast_unsigned());
    let data = Attribute::Nest(DATA_VERDICT, vec![verdict]);
    let register = Attribute::u32(IMMEDIATE_DREG, REGISTER_VERDICT);
    expression("immediate", vec![register, Attribute::Nest(IMMEDIATE_DATA, vec![data])])
}

/// Logs to an NFLOG group; the packet continues.
pub(super) fn log(prefix: &str, group: u16, copy_range: u32, queue_threshold: u16) -> Attribute {
    let mut options = vec![Attribute::u16(LOG_GROUP, group)];
    if !prefix.is_empty() {
        options.push(Attribute::text(LOG_PREFIX, prefix));
    }
    options.push(Attribute::u32(LOG_SNAPLEN, copy_range));
    options.push(Attribute::u16(LOG_QTHRESHOLD, queue_threshold));
    expression("log", options)
}

fn meta(key: u32) -> Attribute {
    expression("meta", vec![Attribute::u32(META_DREG, REGISTER), Attribute::u32(META_KEY, key)])
}

fn equal(value: &[u8]) -> Attribute {
    let value = Attribute::Nest(CMP_DATA, vec![Attribute::Value(DATA_VALUE, value.into())]);
    let options = [Attribute::u32(CMP_SREG, REGISTER), Attribute::u32(CMP_OP, CMP_EQ), value];
    expression("cmp", options.into())
}

fn expression(name: &str, options: Vec<Attribute>) -> Attribute {
    let parts = vec![Attribute::text(EXPR_NAME, name), Attribute::Nest(EXPR_DATA, options)];
    Attribute::Nest(LIST_ELEM, parts)
}

/// IANA protocol numbers
const IPPROTO_TCP: u8 = 6;
/// `NFT_REG_VERDICT`
const REGISTER_VERDICT: u32 = 0;
/// `NFT_REG_1`: matches load and compare values in this register.
const REGISTER: u32 = 1;
/// `NFT_RETURN`
const NFT_RETURN: i32 = -5;
/// `NFT_CMP_EQ`
const CMP_EQ: u32 = 0;
/// `NFT_PAYLOAD_TRANSPORT_HEADER`
const TRANSPORT_HEADER: u32 = 2;
/// `NFT_META_IIFNAME`
const META_IIFNAME: u32 = 6;
/// `NFT_META_IIFTYPE`
const META_IIFTYPE: u32 = 8;
/// `NFT_META_L4PROTO`
const META_L4PROTO: u32 = 16;

// `NFTA_…` of the same names.
const LIST_ELEM: u16 = 1;
const EXPR_NAME: u16 = 1;
const EXPR_DATA: u16 = 2;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const IMMEDIATE_DREG: u16 = 1;
const IMMEDIATE_DATA: u16 = 2;
const META_DREG: u16 = 1;
const META_KEY: u16 = 2;
const CMP_SREG: u16 = 1;
const CMP_OP: u16 = 2;
const CMP_DATA: u16 = 3;
const PAYLOAD_DREG: u16 = 1;
const PAYLOAD_BASE: u16 = 2;
const PAYLOAD_OFFSET: u16 = 3;
const PAYLOAD_LEN: u16 = 4;
const LOG_GROUP: u16 = 1;
const LOG_PREFIX: u16 = 2;
const LOG_SNAPLEN: u16 = 3;
const LOG_QTHRESHOLD: u16 = 4;
