//! The targets LOG and ULOG of iptables, and what their options become with NFLOG.

/// What an option of LOG or ULOG becomes.
#[derive(Clone, Copy)]
pub(super) enum Change {
    /// `--nflog-prefix`.
    Prefix,
    /// `--nflog-group`, a number from 1 to 32.
    Group,
    /// `--nflog-size`; 0, the whole packet, is the default.
    Size,
    /// `--nflog-threshold`.
    Threshold,
    /// Nothing; the option has a value.
    NoneWithValue(&'static str),
    /// Nothing; the option has no value.
    None(&'static str),
}

/// A target that logs.
pub(super) struct Target {
    pub(super) name: &'static str,
    pub(super) options: &'static [(&'static str, Change)],
}

const IN_PACKET: &str = "NFLOG sends the header itself";

pub(super) const LOG: Target = Target {
    name: "LOG",
    options: &[
        ("--log-prefix", Change::Prefix),
        ("--log-level", Change::NoneWithValue("NFLOG has no level; use another prefix or group")),
        ("--log-tcp-sequence", Change::None(IN_PACKET)),
        ("--log-tcp-options", Change::None(IN_PACKET)),
        ("--log-ip-options", Change::None(IN_PACKET)),
        ("--log-uid", Change::None("NFLOG always sends the user id")),
        ("--log-macdecode", Change::None("NFLOG always sends the hardware address")),
    ],
};

pub(super) const ULOG: Target = Target {
    name: "ULOG",
    options: &[
        ("--ulog-nlgroup", Change::Group),
        ("--ulog-prefix", Change::Prefix),
        ("--ulog-cprange", Change::Size),
        ("--ulog-qthreshold", Change::Threshold),
    ],
};

/// Group of a rule with ULOG and without `--ulog-nlgroup`.
pub(super) const ULOG_GROUP: u16 = 1;
