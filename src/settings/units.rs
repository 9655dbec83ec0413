//! Durations and sizes with units, as the configuration file has them.

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

/// A size: a whole number of bytes, or text with a unit: `"16MiB"`. For every integer type that holds it.
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
        formatter.write_str("a duration with its unit, as \"100ms\", \"5s\" or \"14d\"")
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
        formatter.write_str("a size in bytes or with its unit, as 131072 or \"16MiB\"")
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
