// Checks whether a JSON value conforms to a TypeScript type of Grafana. Missing members are not faults: Grafana uses
// defaults for them.

/// Prefix of the reason in faults about a member that the type does not declare.
export const UNKNOWN = 'not in';

/// Returns the faults of `value` as texts that begin with its path.
export function faults(ts, checker, type, value, at) {
  const { TypeFlags } = ts;
  if (type.flags & (TypeFlags.Any | TypeFlags.Unknown)) return [];
  if (type.isUnion()) {
    const members = type.types.filter((each) => !(each.flags & TypeFlags.Undefined));
    if (members.length === 1) return faults(ts, checker, members[0], value, at);
    const all = members.map((each) => faults(ts, checker, each, value, at));
    // The best match is the member with the deepest first fault.
    const depth = (list) => (list.length ? list[0].split(':')[0].length : Infinity);
    const best = all.reduce((a, b) => (depth(b) > depth(a) ? b : a));
    if (!best.length) return [];
    if (depth(best) > at.length) return best;
    return [`${at}: ${show(value)} is none of ${checker.typeToString(type)}`];
  }
  const is = (good) => (good ? [] : [`${at}: ${show(value)} is no ${checker.typeToString(type)}`]);
  if (type.isLiteral()) return is(value === type.value);
  if (type.flags & TypeFlags.BooleanLiteral) return is(String(value) === type.intrinsicName);
  if (type.flags & TypeFlags.Null) return is(value === null);
  if (type.flags & TypeFlags.String) return is(typeof value === 'string');
  if (type.flags & TypeFlags.Number) return is(typeof value === 'number');
  if (type.flags & TypeFlags.Boolean) return is(typeof value === 'boolean');
  if (checker.isArrayType(type)) {
    if (!Array.isArray(value)) return is(false);
    const [element] = checker.getTypeArguments(type);
    return value.flatMap((each, index) => faults(ts, checker, element, each, `${at}[${index}]`));
  }
  if (!(type.flags & (TypeFlags.Object | TypeFlags.Intersection))) return is(false);
  if (value === null || typeof value !== 'object' || Array.isArray(value)) return is(false);
  const index = checker.getIndexTypeOfType(type, ts.IndexKind.String);
  return Object.entries(value).flatMap(([key, member]) => {
    const property = checker.getPropertyOfType(type, key);
    const declared = property ? checker.getTypeOfSymbol(property) : index;
    if (!declared) return [`${at}.${key}: ${UNKNOWN} ${checker.typeToString(type)}`];
    return faults(ts, checker, declared, member, `${at}.${key}`);
  });
}

/// Returns the type of a path such as `hideFrom.viz`, or undefined if the path does not exist.
export function member(checker, type, path) {
  return path.split('.').reduce((inner, key) => {
    const parts = inner === undefined ? [] : inner.isUnion() ? inner.types : [inner];
    const found = parts.map((part) => checker.getPropertyOfType(part, key)).find(Boolean);
    return found && checker.getTypeOfSymbol(found);
  }, type);
}

function show(value) {
  const text = JSON.stringify(value);
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
