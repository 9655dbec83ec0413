//! The YAML of a web configuration as a tree, each value with its position.

use std::{collections::HashMap, rc::Rc};

use granit_parser::{Event, Marker, Parser, ScalarStyle, StrInput, options};

use super::InvalidWebConfig;

/// Maximum number of aliases in a file, so that a small file cannot become a large configuration.
const MAX_ALIASES: usize = 64;

/// A syntax error, without the text of the file: the line may have a private key or a password.
const INVALID: &str = "invalid YAML; check the indentation, quotes, brackets and names of aliases";

/// A value and its position.
pub(super) struct Node {
    pub(super) value: Value,
    position: Marker,
}

/// A value. Numbers and truth values are texts.
pub(super) enum Value {
    /// A missing value, `~` or `null`.
    Null,
    Text(String),
    Sequence(Vec<Rc<Node>>),
    /// Each key is a text.
    Mapping(Vec<(Rc<Node>, Rc<Node>)>),
}

impl Node {
    /// Parses a file. `None` for a file without a value, not even `{}`.
    pub(super) fn parse(text: &str) -> Result<Option<Rc<Self>>, InvalidWebConfig> {
        let options = options! { emit_comments: false };
        let events = Parser::new_from_str_with_options(text, options);
        let mut reader = Reader { events, anchors: HashMap::new(), aliases: 0 };
        let mut root = None;
        while let Some((event, position)) = reader.next()? {
            match event {
                Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => root = Some(reader.node()?),
                _ => return Err(invalid(position, "more than one document; use one")),
            }
        }
        Ok(root.filter(|root| !matches!(root.value, Value::Null)))
    }

    /// An error at this position.
    pub(super) fn invalid(&self, what: &str) -> InvalidWebConfig {
        invalid(self.position, what)
    }
}

fn invalid(position: Marker, what: &str) -> InvalidWebConfig {
    let (line, column) = (position.line(), position.col() + 1);
    InvalidWebConfig::setting(format!("line {line}, column {column}: {what}"))
}

/// The events of a file that are not yet part of the tree.
struct Reader<'a> {
    events: Parser<'a, StrInput<'a>>,
    anchors: HashMap<usize, Rc<Node>>,
    aliases: usize,
}

impl<'a> Reader<'a> {
    fn next(&mut self) -> Result<Option<(Event<'a>, Marker)>, InvalidWebConfig> {
        match self.events.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some((event, span.start))),
            Some(Err(error)) => Err(invalid(*error.marker(), INVALID)),
        }
    }

    /// The next value, with all values in it.
    fn node(&mut self) -> Result<Rc<Node>, InvalidWebConfig> {
        self.node_or_end()?.ok_or_else(|| InvalidWebConfig::setting(INVALID))
    }

    /// The next value, or `None` at the end of a sequence or mapping. The parser limits the depth.
    fn node_or_end(&mut self) -> Result<Option<Rc<Node>>, InvalidWebConfig> {
        let Some((event, position)) = self.next()? else { return Ok(None) };
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.as_deref().map(|tag| tag.core_suffix().unwrap_or_default());
                let value = scalar(text.into_owned(), style, tag);
                (value.ok_or_else(|| invalid(position, "a tag that is not supported"))?, anchor)
            }
            Event::SequenceStart(_, anchor, _) => (self.sequence()?, anchor),
            Event::MappingStart(_, anchor, _) => (self.mapping()?, anchor),
            Event::Alias(anchor) => return self.alias(anchor, position).map(Some),
            _ => return Ok(None),
        };
        let node = Rc::new(Node { value, position });
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(Some(node))
    }

    fn alias(&mut self, anchor: usize, position: Marker) -> Result<Rc<Node>, InvalidWebConfig> {
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            return Err(invalid(position, "too many aliases; use at most 64"));
        }
        // An alias in the value of its own anchor has none.
        self.anchors.get(&anchor).cloned().ok_or_else(|| invalid(position, INVALID))
    }

    fn sequence(&mut self) -> Result<Value, InvalidWebConfig> {
        let mut elements = Vec::new();
        while let Some(element) = self.node_or_end()? {
            elements.push(element);
        }
        Ok(Value::Sequence(elements))
    }

    fn mapping(&mut self) -> Result<Value, InvalidWebConfig> {
        let mut pairs: Vec<(Rc<Node>, Rc<Node>)> = Vec::new();
        while let Some(key) = self.node_or_end()? {
            pairs.push((key, self.node()?));
        }
        Ok(Value::Mapping(pairs))
    }
}

/// A scalar. `None` for a tag other than those of texts and of missing values.
fn scalar(text: String, style: ScalarStyle, tag: Option<&str>) -> Option<Value> {
    let is_null = matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
    match tag {
        None if is_null && style == ScalarStyle::Plain => Some(Value::Null),
        Some("null") if is_null => Some(Value::Null),
        None | Some("str") => Some(Value::Text(text)),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tree as text: a sequence in brackets, a mapping in braces.
    fn written(node: &Node) -> String {
        match &node.value {
            Value::Null => "null".into(),
            Value::Text(text) => format!("{text:?}"),
            Value::Sequence(elements) => {
                let elements: Vec<_> = elements.iter().map(|element| written(element)).collect();
                format!("[{}]", elements.join(", "))
            }
            Value::Mapping(pairs) => {
                let pairs =
                    pairs.iter().map(|(key, value)| [written(key), written(value)].join(": "));
                format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
            }
        }
    }

    fn parse(text: &str) -> String {
        match Node::parse(text) {
            Ok(root) => root.map_or_else(|| "nothing".into(), |root| written(&root)),
            Err(error) => error.in_file(std::path::Path::new("f")).to_string(),
        }
    }

    #[test]
    fn values_of_each_kind_are_read() {
        for (text, tree) in [
            ("", "nothing"),
            ("---\n# comment\n...\n", "nothing"),
            ("~", "nothing"),
            (
                "a: 1\nb: [x, 'y z', ~, true]",
                "{\"a\": \"1\", \"b\": [\"x\", \"y z\", null, \"true\"]}",
            ),
            ("a:\nb: ''\nc: 'null'", "{\"a\": null, \"b\": \"\", \"c\": \"null\"}"),
            ("a: |\n  x\n  y\n", "{\"a\": \"x\\ny\\n\"}"),
            ("a: !!str 1\nb: !!str\nc: !!null ''", "{\"a\": \"1\", \"b\": \"\", \"c\": null}"),
            ("a: &x [1]\nb: *x", "{\"a\": [\"1\"], \"b\": [\"1\"]}"),
        ] {
            assert_eq!(parse(text), tree, "{text}");
        }
    }

    #[test]
    fn errors_have_a_position() {
        let aliases = format!("- &x a\n{}", "- *x\n".repeat(MAX_ALIASES + 1));
        for (text, position) in [
            ("a: b\n c: [", "f: line 2, column "),
            ("a: 1\n--- \nb: 1", "f: line 2, column 1: more than one document"),
            ("a: *x", "f: line 1, column 4: invalid YAML"),
            ("a: &x [*x]", "f: line 1, column 8: invalid YAML"),
            ("a: !!int 1", "f: line 1, column 10: a tag that is not supported"),
            ("a: !secret 1", "f: line 1, column 12: a tag that is not supported"),
            (&aliases, "f: line 66, column 3: too many aliases"),
        ] {
            let error = parse(text);
            assert!(error.starts_with(position), "{text}: {error}");
        }
    }

    #[test]
    fn deep_values_are_rejected() {
        for open in ["[", "{a: ", "- "] {
            let error = parse(&open.repeat(100_000));
            assert!(error.contains("invalid YAML"), "{error}");
        }
    }
}
