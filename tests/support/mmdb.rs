//! Writes small MaxMind DB files (format 2.0) for IPv4 addresses.

/// A value of a record.
pub enum Value {
    Text(&'static str),
    Name(String),
    Double(f64),
    Map(Vec<(&'static str, Value)>),
    Short(u16),
    Long(u32),
    Epoch(u64),
    EmptyList,
}

/// The zeros between the nodes and the data section. A pointer to a value is the number of nodes, these, and an offset.
const SEPARATOR: u32 = 16;

/// A pointer to the first value of the data section, with one node.
const FIRST: u32 = 1 + SEPARATOR;

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

/// A database of one node.
fn with_node(node: [u32; 2], edition: &'static str, build_epoch: u64, record: &Value) -> Vec<u8> {
    let mut data = Vec::new();
    write(&mut data, record);
    assemble(&[node], edition, build_epoch, &data)
}

/// A city database with one record for each network of a /8. The networks divide it into equal parts, at least as many
/// as there are records; addresses of the others are unknown.
pub fn cities(octet: u8, build_epoch: u64, records: &[Value]) -> Vec<u8> {
    let depth = records.len().next_power_of_two().trailing_zeros();
    let count = 8 + (1_u32 << depth) - 1;
    // Eight nodes lead to the /8.
    let path = (0..8).map(|bit| {
        let mut node = [count; 2];
        node[usize::from(octet >> (7 - bit) & 1)] = bit + 1;
        node
    });
    let mut data = Vec::new();
    let mut pointers = Vec::new();
    for record in records {
        pointers.push(count + SEPARATOR + u32::try_from(data.len()).unwrap());
        write(&mut data, record);
    }
    // Below it, a full tree: children of node n, from 0, are 2n + 1 and 2n + 2.
    let inner = (1_u32 << depth) - 1;
    let child = |number: u32| {
        let leaf = number.checked_sub(inner).map(|leaf| leaf as usize);
        leaf.map_or(8 + number, |leaf| pointers.get(leaf).copied().unwrap_or(count))
    };
    let tree = (0..inner).map(|number| [child(2 * number + 1), child(2 * number + 2)]);
    let nodes: Vec<_> = path.chain(tree).collect();
    assemble(&nodes, "GeoLite2-City", build_epoch, &data)
}

/// A database of these nodes, which have two pointers of 24 bits.
fn assemble(nodes: &[[u32; 2]], edition: &'static str, build_epoch: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for pointer in nodes.as_flattened() {
        bytes.extend(&pointer.to_be_bytes()[1..]);
    }
    bytes.extend([0; SEPARATOR as usize]);
    bytes.extend(data);
    bytes.extend(b"\xab\xcd\xefMaxMind.com");
    let metadata = Value::Map(vec![
        ("node_count", Value::Long(nodes.len().try_into().unwrap())),
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
        Value::Name(text) => {
            bytes.extend(head(2, text.len()));
            bytes.extend(text.as_bytes());
        }
        Value::Double(number) => {
            bytes.extend(head(3, 8));
            bytes.extend(number.to_be_bytes());
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
