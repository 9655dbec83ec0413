//! The host and the program that wrote a message.

/// Facilities of syslog(3), as daemons write them.
const FACILITIES: [&[u8]; 14] = [
    b"auth",
    b"authpriv",
    b"cron",
    b"daemon",
    b"ftp",
    b"kern",
    b"lpr",
    b"mail",
    b"news",
    b"ntp",
    b"security",
    b"syslog",
    b"user",
    b"uucp",
];
/// Levels of syslog(3).
const LEVELS: [&[u8]; 12] = [
    b"alert", b"crit", b"debug", b"emerg", b"err", b"error", b"info", b"notice", b"panic", b"warn",
    b"warning", b"none",
];

/// What precedes a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender<'a> {
    pub host: Option<&'a [u8]>,
    pub program: Option<&'a [u8]>,
    pub rest: &'a [u8],
}

impl<'a> Sender<'a> {
    /// Reads the text after a wall time: `HOST FACILITY.LEVEL PROGRAM[PROCESS]: MESSAGE`. Everything may be missing.
    pub fn after_time(text: &'a [u8]) -> Self {
        let (first, rest) = word(text);
        if is_facility_and_level(first) {
            return Self::program_of(None, rest);
        }
        if first.ends_with(b":") {
            return Self::program_of(None, text);
        }
        if !is_host(first) {
            // Such as `("U7PG2,f09fc2000001,v4.0.10")` of an access point.
            let is_name = word(rest).0 == b"kernel:";
            return Self::program_of(None, if is_name { rest } else { text });
        }
        let (second, after) = word(rest);
        let rest = if is_facility_and_level(second) { after } else { rest };
        Self::program_of(Some(first), rest)
    }

    /// Reads the text of a line without a wall time. A word with a colon is the prefix of a rule there, unless it has a
    /// process id, is `kernel:`, or another facility than the kernel's precedes (`is_other`). `may_have_host` if something
    /// else than the message precedes.
    pub fn without_time(text: &'a [u8], may_have_host: bool, is_other: bool) -> Self {
        let none = Self { host: None, program: None, rest: text };
        let (first, rest) = word(text);
        if first == b"kernel:"
            || ((is_other || first.ends_with(b"]:")) && Tag::new(first).is_some())
        {
            return Self::program_of(None, text);
        }
        if may_have_host && is_host(first) && word(rest).0 == b"kernel:" {
            return Self::program_of(Some(first), rest);
        }
        none
    }

    /// Reads `PROGRAM[PROCESS]: `, if present.
    fn program_of(host: Option<&'a [u8]>, text: &'a [u8]) -> Self {
        let none = Self { host, program: None, rest: text };
        let (first, rest) = word(text);
        let Some(tag) = Tag::new(first) else { return none };
        if tag.name == b"kernel" {
            return Self { host, program: Some(tag.name), rest };
        }
        // `MODEL,ADDRESS,VERSION: kernel: ` of UniFi devices. Another program's text can begin with `kernel: `.
        if tag.name.contains(&b',') {
            let device = tag.name.split(|byte| *byte == b',').next();
            let (second, after) = word(rest);
            let inner = Tag::new(second).filter(|it| matches!(it.name, b"kernel" | b"ulogd"));
            return match inner {
                Some(inner) => {
                    Self { host: host.or(device), program: Some(inner.name), rest: after }
                }
                None => Self { host: host.or(device), program: None, rest },
            };
        }
        // The prefix of a rule: a program writes its own text here.
        if !tag.has_process && rest.starts_with(b"IN=") {
            return none;
        }
        Self { host, program: Some(tag.name), rest }
    }
}

/// `NAME[PROCESS]:` or `NAME:`.
struct Tag<'a> {
    name: &'a [u8],
    has_process: bool,
}

impl<'a> Tag<'a> {
    fn new(word: &'a [u8]) -> Option<Self> {
        let tag = word.strip_suffix(b":").filter(|tag| !tag.is_empty())?;
        let Some(inner) = tag.strip_suffix(b"]") else {
            return (!tag.contains(&b'[')).then_some(Self { name: tag, has_process: false });
        };
        let open = inner.iter().rposition(|byte| *byte == b'[').filter(|open| *open > 0)?;
        let process = &inner[open + 1..];
        let is_number = !process.is_empty() && process.iter().all(u8::is_ascii_digit);
        is_number.then_some(Self { name: &inner[..open], has_process: true })
    }
}

/// The bytes before the first blank, and those after it.
pub(super) fn word(text: &[u8]) -> (&[u8], &[u8]) {
    match text.iter().position(|byte| *byte == b' ') {
        Some(end) => (&text[..end], &text[end + 1..]),
        None => (text, &[]),
    }
}

fn is_host(word: &[u8]) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b".-_:/@%".contains(byte);
    word.first().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b':')
        && word.iter().all(is_name)
}

/// `kern.warn`, which `BusyBox` and `OpenWrt` write.
fn is_facility_and_level(word: &[u8]) -> bool {
    let Some(dot) = word.iter().position(|byte| *byte == b'.') else { return false };
    let (facility, level) = (&word[..dot], &word[dot + 1..]);
    let is_local = matches!(facility, [b'l', b'o', b'c', b'a', b'l', b'0'..=b'7']);
    (is_local || FACILITIES.contains(&facility)) && LEVELS.contains(&level)
}
