//! A configuration file as text: its syntax, its unknown keys, and on which line a key stands.

use serde::Deserialize as _;
use toml::{
    Spanned, Value,
    de::{DeTable, DeValue, Deserializer, Error},
};

use super::{
    Config, ConfigError, Place, family,
    problem::{Problem, suggestion},
};

/// A parsed file, not yet a configuration.
pub(super) struct Document<'a> {
    name: &'a str,
    text: &'a str,
    table: DeTable<'a>,
}

impl<'a> Document<'a> {
    /// Parses TOML; `name` stands for the file in messages.
    pub(super) fn parse(text: &'a str, name: &'a str) -> Result<Self, ConfigError> {
        match DeTable::parse(text) {
            Ok(table) => Ok(Self { name, text, table: table.into_inner() }),
            Err(error) => {
                let line = error.span().map(|span| line(text, span.start));
                let place = Place::File { name: name.into(), line };
                Err(ConfigError::Syntax { place, problem: error.message().into() })
            }
        }
    }

    /// The configuration it describes; its values are not validated yet.
    pub(super) fn config(&self) -> Result<Config, ConfigError> {
        let default = toml::Table::try_from(Config::default())
            .map_err(|error| ConfigError::Unprintable { reason: error.to_string() })?;
        self.refuse_unknown(&self.table, &default, "")?;
        let mut config = Deserializer::parse(self.text)
            .and_then(Config::deserialize)
            .map_err(|error| self.wrong_type(&error))?;
        config.family = family::complete(config.family);
        Ok(config)
    }

    /// Where this key is given; families stand by their name, as in `family.asn.labels`.
    pub(super) fn place(&self, key: &str) -> Place {
        let mut table = Some(&self.table);
        let mut at = None;
        let mut parts = key.split('.').peekable();
        while let (Some(part), Some(here)) = (parts.next(), table) {
            let Some((name, value)) = here.iter().find(|(name, _)| name.get_ref() == part) else {
                break;
            };
            at = Some(name.span().start);
            table = value.get_ref().as_table();
            if let (Some(elements), Some(&name)) = (value.get_ref().as_array(), parts.peek()) {
                parts.next();
                let element = elements.iter().find(|element| named(element.get_ref(), name));
                at = element.map(|element| element.span().start).or(at);
                table = element.and_then(|element| element.get_ref().as_table());
            }
        }
        self.place_at(at)
    }

    fn place_at(&self, offset: Option<usize>) -> Place {
        Place::File { name: self.name.into(), line: offset.map(|offset| line(self.text, offset)) }
    }

    /// Refuses the first key of `table` that the defaults, which hold every key, do not hold.
    fn refuse_unknown(
        &self,
        table: &DeTable<'_>,
        known: &toml::Table,
        parent: &str,
    ) -> Result<(), ConfigError> {
        for (name, value) in table {
            let key = format!("{parent}{}", name.get_ref());
            let Some(default) = known.get(name.get_ref().as_ref()) else {
                let known: Vec<_> = known.keys().map(String::as_str).collect();
                return Err(ConfigError::UnknownKey {
                    place: self.place_at(Some(name.span().start)),
                    suggestion: suggestion(name.get_ref(), &known),
                    key,
                });
            };
            match (value.get_ref(), default) {
                (DeValue::Table(table), Value::Table(known)) => {
                    self.refuse_unknown(table, known, &format!("{key}."))?;
                }
                (DeValue::Array(elements), Value::Array(defaults)) => {
                    let Some(Value::Table(known)) = defaults.first() else { continue };
                    for element in
                        elements.iter().filter_map(|element| element.get_ref().as_table())
                    {
                        self.refuse_unknown(element, known, &format!("{key}."))?;
                    }
                }
                // A value of another type: the next step says so.
                _ => {}
            }
        }
        Ok(())
    }

    /// Says which key holds the value that could not be taken.
    fn wrong_type(&self, error: &Error) -> ConfigError {
        let offset = error.span().map(|span| span.start);
        let key = offset.and_then(|offset| key_at(&self.table, offset)).unwrap_or_default();
        let single = self.table.get("family").is_some_and(|family| family.get_ref().is_table());
        let Problem { key, text } = match key.as_str() {
            "family" if single => {
                Problem::new("[family]", "is one table; write [[family]] for each family")
            }
            "" => Problem::new("the file", in_plain_words(error.message())),
            _ => Problem::new(key, format!("is not right: {}", in_plain_words(error.message()))),
        };
        ConfigError::Invalid { place: self.place_at(offset), key, problem: text }
    }
}

/// The line of an offset, counted from 1.
fn line(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}

/// Whether a table of an array of tables carries this name.
fn named(element: &DeValue<'_>, name: &str) -> bool {
    element.get("name").and_then(|value| value.get_ref().as_str()) == Some(name)
}

/// The innermost key whose value covers the offset, with dots.
fn key_at(table: &DeTable<'_>, offset: usize) -> Option<String> {
    let inside = |value: &Spanned<DeValue<'_>>| value.span().contains(&offset);
    table.iter().find_map(|(name, value)| {
        let name = name.get_ref();
        let inner = match value.get_ref() {
            // A table's own span is its header: its keys stand behind it.
            DeValue::Table(table) => key_at(table, offset),
            DeValue::Array(elements) => elements
                .iter()
                .filter_map(|element| element.get_ref().as_table())
                .find_map(|table| key_at(table, offset)),
            _ => None,
        };
        match inner {
            Some(inner) => Some(format!("{name}.{inner}")),
            None => inside(value).then(|| name.to_string()),
        }
    })
}

/// Names types as a user does, not as Rust does.
fn in_plain_words(message: &str) -> String {
    let message = match message.split_once("expected struct") {
        Some((before, _)) => format!("{before}expected a table"),
        None => message.to_owned(),
    };
    [
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected usize", "expected a whole number, 0 or more"),
        ("expected a sequence", "expected a list in [ ]"),
        ("invalid type: sequence", "invalid type: list"),
        ("invalid type: map", "invalid type: table"),
        ("missing field `name`", "each [[family]] needs a name"),
        ("unknown variant", "unknown value"),
    ]
    .into_iter()
    .fold(message, |message, (rust, plain)| message.replace(rust, plain))
}
