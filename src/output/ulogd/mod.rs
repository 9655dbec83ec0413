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
