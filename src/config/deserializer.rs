//! Deserializes parsed TOML by reference. The deserializer of the crate `toml` moves each value, which makes the code of
//! all sections three times as large.

use std::slice;

use serde::{
    Deserializer, de,
    de::{Error as _, IntoDeserializer as _, Unexpected, Visitor, value::StrDeserializer},
    forward_to_deserialize_any,
};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// A value of the wrong type, or one that a section rejects.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(super) struct ValueError {
    /// What is wrong, with the names of Rust types.
    pub(super) message: String,
    /// The position of the innermost value in the text. `None` for the whole file.
    pub(super) offset: Option<usize>,
}

impl ValueError {
    /// The error with this position, unless it has that of a value in it.
    fn at(mut self, offset: usize) -> Self {
        self.offset = self.offset.or(Some(offset));
        self
    }
}

impl de::Error for ValueError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self { message: message.to_string(), offset: None }
    }
}

/// Deserializes the table of a file.
pub(super) fn deserialize<'de, T: de::Deserialize<'de>>(
    table: &'de DeTable<'_>,
) -> Result<T, ValueError> {
    T::deserialize(de::value::MapAccessDeserializer::new(Table::new(table)))
}

/// A value.
#[derive(Clone, Copy)]
struct Value<'de>(&'de Spanned<DeValue<'de>>);

impl Value<'_> {
    fn offset(self) -> usize {
        self.0.span().start
    }
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = ValueError;

    // One function for all values of a type, instead of a copy for each key.
    #[inline(never)]
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        let result = match self.0.get_ref() {
            DeValue::String(text) => visitor.visit_str(text),
            DeValue::Boolean(truth) => visitor.visit_bool(*truth),
            DeValue::Integer(number) => {
                let (text, radix) = (number.as_str(), number.radix());
                match (i64::from_str_radix(text, radix), u64::from_str_radix(text, radix)) {
                    (Ok(number), _) => visitor.visit_i64(number),
                    (_, Ok(number)) => visitor.visit_u64(number),
                    _ => Err(ValueError::custom("the number is too large")),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(ValueError::custom("the number is too large")),
            },
            DeValue::Datetime(_) => {
                Err(ValueError::invalid_type(Unexpected::Other("date or time"), &visitor))
            }
            DeValue::Array(elements) => visitor.visit_seq(Array(elements.iter())),
            DeValue::Table(table) => visitor.visit_map(Table::new(table)),
        };
        result.map_err(|error| error.at(self.offset()))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ValueError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        visitor.visit_newtype_struct(self)
    }

    /// The variants of an enum have no values.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ValueError> {
        let DeValue::String(text) = self.0.get_ref() else {
            return Err(ValueError::custom("expected a string"));
        };
        let variant: StrDeserializer<'_, ValueError> = (&**text).into_deserializer();
        visitor.visit_enum(variant).map_err(|error| error.at(self.offset()))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

/// The elements of an array that were not read yet.
struct Array<'de>(slice::Iter<'de, Spanned<DeValue<'de>>>);

impl<'de> de::SeqAccess<'de> for Array<'de> {
    type Error = ValueError;

    fn next_element_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ValueError> {
        let Some(element) = self.0.next().map(Value) else { return Ok(None) };
        seed.deserialize(element).map(Some).map_err(|error| error.at(element.offset()))
    }
}

/// The keys of a table that were not read yet.
struct Table<'de> {
    pairs: Box<dyn Iterator<Item = (&'de str, Value<'de>)> + 'de>,
    value: Option<Value<'de>>,
}

impl<'de> Table<'de> {
    fn new(table: &'de DeTable<'_>) -> Self {
        let pairs = table.iter().map(|(key, value)| (&**key.get_ref(), Value(value)));
        Self { pairs: Box::new(pairs), value: None }
    }
}

impl<'de> de::MapAccess<'de> for Table<'de> {
    type Error = ValueError;

    fn next_key_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, ValueError> {
        let Some((key, value)) = self.pairs.next() else { return Ok(None) };
        self.value = Some(value);
        let key: StrDeserializer<'_, ValueError> = key.into_deserializer();
        seed.deserialize(key).map(Some).map_err(|error| error.at(value.offset()))
    }

    fn next_value_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<S::Value, ValueError> {
        let Some(value) = self.value.take() else {
            return Err(ValueError::custom("a value without a key"));
        };
        seed.deserialize(value).map_err(|error| error.at(value.offset()))
    }
}
