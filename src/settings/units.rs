//! Durations and sizes with units in the configuration file.

use std::{fmt, time::Duration};

use bytesize::ByteSize;
use serde::{Deserializer, Serialize, Serializer, de};

/// A duration with a unit: `"100ms"`, `"0s"`, `"14d"`.
pub(crate) mod duration {
    use super::{Deserializer, Duration, DurationVisitor, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&humantime::format_duration(*duration))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        deserializer.deserialize_str(DurationVisitor)
    }
}

/// A size: a whole number of bytes, or text with a unit: `"16MiB"`. For every integer type.
pub(crate) mod size {
    use super::{Deserializer, Serialize, Serializer, SizeVisitor, de};

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        size: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        size.serialize(serializer)
    }

    pub(crate) fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<T, D::Error> {
        let size = deserializer.deserialize_any(SizeVisitor)?;
        T::try_from(size).map_err(|_| de::Error::custom("the size is above 4 GiB"))
    }
}

struct DurationVisitor;

impl de::Visitor<'_> for DurationVisitor {
    type Value = Duration;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a duration with a unit, such as \"100ms\", \"5s\" or \"14d\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
        humantime::parse_duration(text)
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

struct SizeVisitor;

impl de::Visitor<'_> for SizeVisitor {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a size in bytes or with a unit, such as 131072 or \"16MiB\"")
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<u64, E> {
        u64::try_from(bytes).map_err(|_| E::invalid_value(de::Unexpected::Signed(bytes), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        text.parse()
            .map(|ByteSize(bytes)| bytes)
            .map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize)]
    struct Units {
        #[serde(default, with = "duration")]
        duration: Duration,
        #[serde(default, with = "size")]
        size: u32,
    }

    fn parse(text: &str) -> Result<Units, String> {
        toml::from_str(text).map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn durations_have_a_unit() {
        let duration =
            |text: &str| parse(&format!("duration = {text}")).map(|units| units.duration);
        assert_eq!(duration("'100ms'").unwrap(), Duration::from_millis(100));
        assert_eq!(duration("'1s 500ms'").unwrap(), Duration::from_millis(1500));
        assert_eq!(duration("'0s'").unwrap(), Duration::ZERO);
        let expected = "expected a duration with a unit, such as \"100ms\", \"5s\" or \"14d\"";
        let invalid = |text: &str, what: &str| {
            assert_eq!(duration(text).unwrap_err(), format!("invalid {what}, {expected}"));
        };
        invalid("5", "type: integer `5`");
        invalid("'5'", "value: string \"5\"");
        invalid("'x'", "value: string \"x\"");
    }

    #[test]
    fn sizes_are_bytes_or_have_a_unit() {
        let size = |text: &str| parse(&format!("size = {text}")).map(|units| units.size);
        assert_eq!(size("131072").unwrap(), 131_072);
        assert_eq!(size("'16MiB'").unwrap(), 16 * 1024 * 1024);
        let expected = "expected a size in bytes or with a unit, such as 131072 or \"16MiB\"";
        let invalid = |text: &str, what: &str| {
            assert_eq!(size(text).unwrap_err(), format!("invalid {what}, {expected}"));
        };
        invalid("-5", "value: integer `-5`");
        invalid("'5x'", "value: string \"5x\"");
        invalid("true", "type: boolean `true`");
        assert_eq!(size("'9TiB'").unwrap_err(), "the size is above 4 GiB");
    }
}
