//! Firewall log lines as text: the envelope that syslog puts around a message, and the packet that the kernel's
//! `LOG` target describes in it. Everything here is a function of bytes.

pub mod envelope;
mod kernel_time;
pub mod line_time;
pub mod packet_line;
