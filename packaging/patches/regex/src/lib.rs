//! The part of the crate `regex` that the MySQL client uses, for versions of servers, dates and times, which are ASCII.
//! The release program becomes smaller by the compiler of patterns and the tables of Unicode.

// criterion selects benchmarks with it.
pub use regex_lite::Regex;

/// Patterns that match bytes.
pub mod bytes {
    pub use regex_lite::Error;

    /// A compiled pattern.
    #[derive(Debug)]
    pub struct Regex(regex_lite::Regex);

    impl Regex {
        /// Compiles a pattern.
        pub fn new(pattern: &str) -> Result<Self, Error> {
            regex_lite::Regex::new(pattern).map(Self)
        }

        /// Whether the pattern matches. Bytes that are not UTF-8 match no pattern.
        pub fn is_match(&self, bytes: &[u8]) -> bool {
            std::str::from_utf8(bytes).is_ok_and(|text| self.0.is_match(text))
        }

        /// The groups of the first match.
        pub fn captures<'a>(&self, bytes: &'a [u8]) -> Option<Captures<'a>> {
            self.0.captures(std::str::from_utf8(bytes).ok()?).map(Captures)
        }
    }

    /// The groups of a match; group 0 is the whole match.
    pub struct Captures<'a>(regex_lite::Captures<'a>);

    impl<'a> Captures<'a> {
        /// The group with this number, if it is part of the match.
        pub fn get(&self, index: usize) -> Option<Match<'a>> {
            self.0.get(index).map(Match)
        }
    }

    /// The bytes that a group matches.
    pub struct Match<'a>(regex_lite::Match<'a>);

    impl<'a> Match<'a> {
        /// The bytes.
        pub fn as_bytes(&self) -> &'a [u8] {
            self.0.as_str().as_bytes()
        }
    }
}
