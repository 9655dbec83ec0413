//! Values that are parsed from a string.

use std::{fmt, marker::PhantomData};

use serde::{Deserializer, de};

/// Deserializes a string and parses it.
///
/// Parses inside the visitor, because the TOML deserializer adds the location of the value only to errors of the
/// visitor. Other errors in an array have the location of the array, so only the first one would be reported.
///
/// # Errors
/// The value is not a string, or `parse` fails.
pub fn deserialize_text<'de, D, T, E>(
    deserializer: D,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    deserializer.deserialize_str(TextVisitor { parse, value: PhantomData })
}

struct TextVisitor<P, T> {
    parse: P,
    value: PhantomData<T>,
}

impl<T, E: fmt::Display, P: FnOnce(&str) -> Result<T, E>> de::Visitor<'_> for TextVisitor<P, T> {
    type Value = T;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a string")
    }

    fn visit_str<V: de::Error>(self, text: &str) -> Result<T, V> {
        (self.parse)(text).map_err(V::custom)
    }
}
