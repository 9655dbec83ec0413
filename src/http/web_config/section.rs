//! The keys of a section of the web configuration, and the types of their values.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    InvalidWebConfig,
    yaml::{Node, Value},
};

/// Maximum length of an unknown key that an error quotes; a longer text may be a secret.
const MAX_QUOTED_KEY: usize = 40;

/// The keys and values of a section that were not read yet. A missing section has none.
pub(super) struct Section<'a> {
    pairs: Vec<(&'a str, &'a Node, &'a Node)>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The keys of a mapping.
    pub(super) fn new(node: &'a Node) -> Result<Self, InvalidWebConfig> {
        let pairs = match &node.value {
            Value::Null => &[][..],
            Value::Mapping(pairs) => pairs,
            _ => return Err(node.invalid("expected keys with values")),
        };
        let mut seen = BTreeSet::new();
        let pairs = pairs.iter().map(|(key, value)| match &key.value {
            Value::Text(text) if seen.insert(text) => Ok((text.as_str(), &**key, &**value)),
            Value::Text(_) => Err(key.invalid("duplicate key")),
            _ => Err(key.invalid("expected a name as key")),
        });
        Ok(Self { pairs: pairs.collect::<Result<_, _>>()?, known: Vec::new() })
    }

    /// The value of a key, or `None` if it is missing.
    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Node> {
        self.known.push(key);
        let index = self.pairs.iter().position(|(name, ..)| *name == key)?;
        let (_, _, node) = self.pairs.swap_remove(index);
        (!matches!(node.value, Value::Null)).then_some(node)
    }

    /// The section that is the value of a key.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Section<'a>, InvalidWebConfig> {
        self.value(key)
            .map_or_else(|| Ok(Section { pairs: Vec::new(), known: Vec::new() }), Section::new)
    }

    /// A text, or `None` if it is missing.
    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, InvalidWebConfig> {
        self.value(key).map(|node| text(node).map(str::to_owned)).transpose()
    }

    /// A truth value, as YAML 1.1 writes it.
    pub(super) fn truth(&mut self, key: &'static str) -> Result<Option<bool>, InvalidWebConfig> {
        let Some(node) = self.value(key) else { return Ok(None) };
        match &*text(node)?.to_ascii_lowercase() {
            "true" | "yes" | "on" | "y" => Ok(Some(true)),
            "false" | "no" | "off" | "n" => Ok(Some(false)),
            _ => Err(node.invalid("expected true or false")),
        }
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<u32>, InvalidWebConfig> {
        let Some(node) = self.value(key) else { return Ok(None) };
        let number = text(node)?.parse();
        number.map(Some).map_err(|_| node.invalid("expected a whole number, 0 to 4294967295"))
    }

    /// A list of texts, or `None` if it is missing.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Vec<String>>, InvalidWebConfig> {
        let Some(node) = self.value(key) else { return Ok(None) };
        let Value::Sequence(elements) = &node.value else {
            return Err(node.invalid("expected a list of texts"));
        };
        let texts = elements.iter().map(|element| text(element).map(str::to_owned));
        texts.collect::<Result<_, _>>().map(Some)
    }

    /// The texts of a section with keys of any name, which are `None` for keys without a value.
    pub(super) fn into_texts(self) -> Result<BTreeMap<String, Option<String>>, InvalidWebConfig> {
        let mut texts = BTreeMap::new();
        for (key, _, node) in self.pairs {
            let value = match &node.value {
                Value::Null => None,
                _ => Some(text(node)?.to_owned()),
            };
            texts.insert(key.to_owned(), value);
        }
        Ok(texts)
    }

    /// The texts of a section with keys of any name, each with a value.
    pub(super) fn into_required_texts(self) -> Result<BTreeMap<String, String>, InvalidWebConfig> {
        let mut texts = BTreeMap::new();
        for (key, _, node) in self.pairs {
            texts.insert(key.to_owned(), text(node)?.to_owned());
        }
        Ok(texts)
    }

    /// Checks that the section has no other keys than those that were read.
    pub(super) fn finish(self) -> Result<(), InvalidWebConfig> {
        let Some((name, key, _)) = self.pairs.first() else { return Ok(()) };
        let known = self.known.join(", ");
        let is_quoted = name.len() <= MAX_QUOTED_KEY
            && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let name = if is_quoted { format!(" {name:?}") } else { String::new() };
        Err(key.invalid(&format!("unknown key{name}: expected {known}")))
    }
}

fn text(node: &Node) -> Result<&str, InvalidWebConfig> {
    match &node.value {
        Value::Text(text) => Ok(text),
        _ => Err(node.invalid("expected a text")),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn read<T>(
        text: &str,
        key: impl Fn(&mut Section<'_>) -> Result<Option<T>, InvalidWebConfig>,
    ) -> Result<Option<T>, String> {
        let root = Node::parse(text).unwrap().unwrap();
        let read = || {
            let mut section = Section::new(&root)?;
            let value = key(&mut section)?;
            section.finish().map(|()| value)
        };
        read().map_err(|error| error.in_file(Path::new("f")).to_string())
    }

    #[test]
    fn values_have_types() {
        let truth = |text: &str| read(text, |section| section.truth("a"));
        assert_eq!(truth("a: yes"), Ok(Some(true)));
        assert_eq!(truth("a: False"), Ok(Some(false)));
        assert_eq!(truth("a: "), Ok(None));
        assert_eq!(truth("{}"), Ok(None));
        assert_eq!(truth("a: 1"), Err("f: line 1, column 4: expected true or false".into()));
        let number = |text: &str| read(text, |section| section.number("a"));
        assert_eq!(number("a: 20"), Ok(Some(20)));
        assert!(number("a: -1").unwrap_err().contains("expected a whole number"));
        let texts = |text: &str| read(text, |section| section.texts("a"));
        assert_eq!(texts("a: [x, 1]"), Ok(Some(vec!["x".into(), "1".into()])));
        assert!(texts("a: x").unwrap_err().contains("expected a list of texts"));
        assert!(texts("a: [[]]").unwrap_err().contains("expected a text"));
    }

    #[test]
    fn keys_are_checked() {
        let text = |text: &str| read(text, |section| section.text("a").and(section.text("b")));
        let unknown = |key: &str| format!("f: line 2, column 1: unknown key{key}: expected a, b");
        assert_eq!(text("a: x\nc: x"), Err(unknown(" \"c\"")));
        assert_eq!(text("a: x\nSecret+: x"), Err(unknown("")));
        assert_eq!(text("a: x\na: y"), Err("f: line 2, column 1: duplicate key".into()));
        assert_eq!(text("? [a]\n: x"), Err("f: line 1, column 3: expected a name as key".into()));
        assert_eq!(text("[a]"), Err("f: line 1, column 1: expected keys with values".into()));
    }
}
