//! Writes small MaxMind DB files (format 2.0) of one record for IPv4 addresses.

/// A value of a record.
pub enum Value {
    Text(&'static str),
    Map(Vec<(&'static str, Value)>),
    Short(u16),
    Long(u32),
    Epoch(u64),
    EmptyList,
}

/// A pointer to the first value of the data section: the number of nodes, 16, and the offset.
const FIRST: u32 = 1 + 16;

/// A pointer to nothing: the number of nodes.
const NOTHING: u32 = 1;

/// A database with this record for the first half of the addresses (0.0.0.0/1).
pub fn file(edition: &'static str, build_epoch: u64, record: &Value) -> Vec<u8> {
    with_node([FIRST, NOTHING], edition, build_epoch, record)
}

/// A database with this record for every address.
pub fn everywhere(edition: &'static str, build_epoch: u64, record: &Value) -> Vec<u8> {
    with_node([FIRST, FIRST], edition, build_epoch, record)
}

/// A database of one node, which has two records of 24 bits.
fn with_node(node: [u32; 2], edition: &'static str, build_epoch: u64, record: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    for pointer in node {
        bytes.extend(&pointer.to_be_bytes()[1..]);
    }
    bytes.extend([0; 16]);
    write(&mut bytes, record);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("node_count", Value::Long(1)),
        ("record_size", Value::Short(24)),
        ("ip_version", Value::Short(4)),
        ("database_type", Value::Text(edition)),
        ("binary_format_major_version", Value::Short(2)),
        ("binary_format_minor_version", Value::Short(0)),
        ("build_epoch", Value::Epoch(build_epoch)),
        ("languages", Value::EmptyList),
        ("description", Value::Map(vec![("en", Value::Text("test"))])),
    ]);
    write(&mut bytes, &metadata);
    bytes
}

/// The first three bits of the first byte of a value contain its type, the others its size. An unsigned number
/// of 64 bits and a list have an extended type, whose number minus 7 follows.
fn write(bytes: &mut Vec<u8>, value: &Value) {
    let head = |kind: u8, size: usize| match u8::try_from(size).unwrap() {
        size @ 0..29 => vec![(kind << 5) | size],
        size => vec![(kind << 5) | 0x1d, size - 29],
    };
    match value {
        Value::Text(text) => {
            bytes.extend(head(2, text.len()));
            bytes.extend(text.as_bytes());
        }
        Value::Map(entries) => {
            bytes.extend(head(7, entries.len()));
            for (key, value) in entries {
                write(bytes, &Value::Text(key));
                write(bytes, value);
            }
        }
        Value::Short(number) => {
            bytes.extend(head(5, 2));
            bytes.extend(number.to_be_bytes());
        }
        Value::Long(number) => {
            bytes.extend(head(6, 4));
            bytes.extend(number.to_be_bytes());
        }
        Value::EmptyList => bytes.extend([0, 11 - 7]),
        Value::Epoch(number) => {
            bytes.extend([8, 9 - 7]);
            bytes.extend(number.to_be_bytes());
        }
    }
}
