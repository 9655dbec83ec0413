//! Rulesets of nft: statements `log` without a group.

use super::{
    edits::Edits,
    nft_tokens::{Token, TokenKind, tokens},
};

/// Converts each statement `log` that writes to the kernel's log.
pub(super) fn convert(text: &[u8], group: u16, edits: &mut Edits<'_>) {
    let tokens = tokens(text);
    let ruleset = Ruleset { text, tokens: &tokens };
    let mut index = 0;
    while index < tokens.len() {
        index = match ruleset.word(index) {
            b"log" if !ruleset.is_name(index) => ruleset.convert(index, group, edits),
            b"xt" if ruleset.is_foreign_log(index) => {
                let note = "an iptables rule that nft cannot load: convert the output of iptables-save instead";
                edits.note(tokens[index].line, note);
                index + 1
            }
            b"include" => {
                edits.note(
                    tokens[index].line,
                    "Not migrated: the included files: convert each of them",
                );
                index + 1
            }
            _ => index + 1,
        };
    }
}

/// An argument of a log statement.
struct Argument {
    kind: ArgumentKind,
    /// Index of its first token.
    from: usize,
    /// Index of the token after the last one.
    to: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum ArgumentKind {
    Prefix,
    Group,
    /// `snaplen` or `queue-threshold`. Without a group, nft ignores it.
    Copy,
    Level,
    Flags,
}

/// A ruleset.
struct Ruleset<'a> {
    text: &'a [u8],
    tokens: &'a [Token],
}

impl Ruleset<'_> {
    /// The token at an index; empty after the last one and for quoted texts.
    fn word(&self, index: usize) -> &[u8] {
        match self.tokens.get(index) {
            Some(token) if token.kind != TokenKind::Quoted => &self.text[token.place.clone()],
            _ => b"",
        }
    }

    /// Whether a word is the name of a chain or table: nft prints those that iptables created with any name.
    fn is_name(&self, index: usize) -> bool {
        let before = |count: usize| index.checked_sub(count).map_or(&b""[..], |at| self.word(at));
        matches!(before(1), b"chain" | b"jump" | b"goto" | b"table") || before(2) == b"table"
    }

    fn is_foreign_log(&self, index: usize) -> bool {
        let name = self.tokens.get(index + 2).map(|token| &self.text[token.place.clone()]);
        self.word(index + 1) == b"target" && matches!(name, Some(b"\"LOG\"" | b"\"ULOG\""))
    }

    /// Converts the statement at an index. Returns the index of the token after it.
    fn convert(&self, index: usize, group: u16, edits: &mut Edits<'_>) -> usize {
        let (arguments, end) = self.arguments(index + 1);
        let line = self.tokens[index].line;
        if arguments.iter().any(|argument| argument.kind == ArgumentKind::Group) {
            return end;
        }
        let is_audit = |argument: &Argument| {
            argument.kind == ArgumentKind::Level && self.unquoted(argument.from + 1) == b"audit"
        };
        if arguments.iter().any(is_audit) {
            edits.not_migrated(
                line,
                b"log level audit",
                "it goes to the audit system, not to the log",
            );
            return end;
        }
        edits.changed(line, "log", group);
        let new = format!(" group {group}");
        // The group follows the prefix, as nft prints it.
        if arguments.iter().all(|argument| argument.kind != ArgumentKind::Prefix) {
            let at = self.tokens[index].place.end;
            edits.replace(at..at, new.as_bytes());
        }
        for argument in &arguments {
            let last = self.tokens[argument.to - 1].place.end;
            let why = match argument.kind {
                ArgumentKind::Group | ArgumentKind::Copy => continue,
                ArgumentKind::Prefix => {
                    edits.replace(last..last, new.as_bytes());
                    continue;
                }
                ArgumentKind::Level => "NFLOG has no level; use another prefix or group",
                ArgumentKind::Flags => {
                    "NFLOG sends headers, hardware address and user id themselves"
                }
            };
            let what = &self.text[self.tokens[argument.from].place.start..last];
            edits.not_migrated(line, what, why);
            edits.replace(self.tokens[argument.from - 1].place.end..last, b"");
        }
        end
    }

    /// The arguments of a statement from a token on, and the index of the token after them.
    fn arguments(&self, mut index: usize) -> (Vec<Argument>, usize) {
        let mut arguments = Vec::new();
        loop {
            let (kind, to) = match self.word(index) {
                b"prefix" => (ArgumentKind::Prefix, index + 2),
                b"group" => (ArgumentKind::Group, index + 2),
                b"snaplen" | b"queue-threshold" => (ArgumentKind::Copy, index + 2),
                b"level" => (ArgumentKind::Level, index + 2),
                b"flags" => (ArgumentKind::Flags, self.flags(index + 1)),
                _ => return (arguments, index),
            };
            if to > self.tokens.len() {
                return (arguments, index);
            }
            arguments.push(Argument { kind, from: index, to });
            index = to;
        }
    }

    /// The index after the flags that begin at an index: `all`, `skuid`, `ether`, `ip options`, or `tcp` with
    /// `sequence` and `options`.
    fn flags(&self, index: usize) -> usize {
        match (self.word(index), self.word(index + 1), self.word(index + 2)) {
            (b"tcp", b"sequence" | b"options", b",") => index + 4,
            (b"tcp" | b"ip", ..) => index + 2,
            _ => index + 1,
        }
    }

    /// The token at an index, without quotes.
    fn unquoted(&self, index: usize) -> &[u8] {
        let token =
            self.tokens.get(index).map_or(&b""[..], |token| &self.text[token.place.clone()]);
        token.strip_prefix(b"\"").and_then(|it| it.strip_suffix(b"\"")).unwrap_or(token)
    }
}
