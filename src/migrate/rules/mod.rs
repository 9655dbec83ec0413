//! Rewrites the rules of a firewall that log with LOG or ULOG, so that they log with NFLOG.

mod edits;
mod iptables;
mod iptables_jump;
mod iptables_targets;
mod iptables_words;
mod nft;
mod nft_tokens;

use std::collections::BTreeSet;

use self::edits::Edits;

/// Firewall rules could not be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// Neither iptables nor nft reads such a text.
    #[error(
        "neither rules of iptables nor of nft; use the output of iptables-save, ip6tables-save or `nft list ruleset`, \
         or a file of ufw such as /etc/ufw/before.rules"
    )]
    Unknown,
    /// The JSON of nft.
    #[error("this is nft's JSON; use the output of `nft list ruleset`, without -j")]
    Json,
    /// A value that the kernel does not accept either.
    #[error("line {line}: {option} {value}: expected {expect}")]
    Value {
        /// The number of its line, from 1.
        line: usize,
        /// The option.
        option: &'static str,
        /// Its value.
        value: String,
        /// The accepted values.
        expect: &'static str,
    },
}

/// Converted firewall rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigratedRules {
    /// The rules, in the format that they had. Only the log statements differ.
    pub text: Vec<u8>,
    /// What was changed and what has no equivalent; one line each, with the number of the line.
    pub notes: Vec<String>,
    /// The number of changed rules.
    pub changed: usize,
    /// The NFLOG groups of the changed rules.
    pub groups: BTreeSet<u16>,
    /// What loads the rules.
    pub loader: Loader,
}

/// What loads rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loader {
    /// `iptables-restore`.
    Iptables,
    /// `ip6tables-restore`.
    Ip6tables,
    /// ufw, of whose files this is one.
    Ufw,
    /// `nft -f`.
    Nft,
}

impl Loader {
    /// What loads a text of iptables.
    fn of_iptables(text: &[u8]) -> Self {
        let has = |part: &[u8]| text.windows(part.len()).any(|window| window == part);
        let is_saved = has(b"tables-save");
        match (has(b"ip6tables-save") || has(b"-p ipv6-icmp") || has(b"-p icmpv6"), is_saved) {
            _ if !is_saved && (has(b":ufw-") || has(b":ufw6-")) => Self::Ufw,
            (true, _) => Self::Ip6tables,
            (false, _) => Self::Iptables,
        }
    }
}

/// Converts the rules of iptables, ufw or nft. Rules with LOG, which has no group, get this group.
///
/// # Errors
/// The text has another format, or a value of ULOG is out of range.
pub fn rules(text: &[u8], group: u16) -> Result<MigratedRules, RulesError> {
    let mut edits = Edits::new(text);
    let loader = match Format::of(text)? {
        Format::Iptables => {
            iptables::convert(text, group, &mut edits)?;
            Loader::of_iptables(text)
        }
        Format::Nft => {
            nft::convert(text, group, &mut edits);
            Loader::Nft
        }
    };
    Ok(edits.finish(loader))
}

/// The format of rules.
enum Format {
    /// Of iptables-save and iptables-restore.
    Iptables,
    /// Of nft.
    Nft,
}

impl Format {
    /// The format of a text, by its first line that is not a comment.
    fn of(text: &[u8]) -> Result<Self, RulesError> {
        const NFT: [&[u8]; 14] = [
            b"table",
            b"add",
            b"create",
            b"insert",
            b"replace",
            b"delete",
            b"destroy",
            b"flush",
            b"reset",
            b"define",
            b"redefine",
            b"undefine",
            b"include",
            b"chain",
        ];
        let mut lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
        let Some(first) = lines.find(|line| !line.is_empty() && line[0] != b'#') else {
            return Err(RulesError::Unknown);
        };
        let word = first.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        match first[0] {
            b'*' if word.len() > 1 => Ok(Self::Iptables),
            b'{' if first.windows(8).any(|part| part == b"nftables") => Err(RulesError::Json),
            _ if NFT.contains(&word) => Ok(Self::Nft),
            _ => Err(RulesError::Unknown),
        }
    }
}

#[cfg(test)]
mod tests;
