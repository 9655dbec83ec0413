// Packs a MaxMind DB file whose records are few, such as one of countries, for src/geoip/packed_database.rs, which
// describes the format and unpacks it to the same bytes.
//
// usage: node assets/database.mjs DATABASE.MMDB > database.packed

import { readFileSync } from "node:fs";
import { crc32 } from "node:zlib";

const [databasePath] = process.argv.slice(2);
const database = readFileSync(databasePath);

/** The bytes of a record of the search tree. */
const RECORD = 3;
/** Classes of ranks, as in packed_database.rs: number of extra bits, and first rank. */
const CLASSES = [[0, 0], [0, 1], [3, 2], [5, 10], [8, 42]];

function fail(reason) {
  throw new Error(`${databasePath}: ${reason}`);
}

/** Returns the number after a key of the metadata, a text that is written once. */
function metadata(key) {
  const marker = database.lastIndexOf("\xab\xcd\xefMaxMind.com", undefined, "latin1");
  if (marker === -1) fail("not a MaxMind DB file");
  const at = database.indexOf(key, marker) + key.length;
  const control = database[at];
  const type = control >> 5;
  // Types 5 and 6, uint16 and uint32: the other five bits are the number of bytes.
  if (type !== 5 && type !== 6) fail(`${key} is not a number`);
  return (control & 31) === 0 ? 0 : database.readUIntBE(at + 1, control & 31);
}

const nodes = metadata("node_count");
if (metadata("record_size") !== 8 * RECORD) fail("expected records of 24 bits");

/** The bits, lowest first. */
const bits = { bytes: [], last: 0, used: 0 };
function write(value, count) {
  for (let bit = 0; bit < count; bit += 1) {
    bits.last |= ((value >> bit) & 1) << bits.used;
    bits.used += 1;
    if (bits.used === 8) {
      bits.bytes.push(bits.last);
      bits.last = 0;
      bits.used = 0;
    }
  }
}

const values = [];
const recent = [];
let next = 1;
const pending = [RECORD, 0];
while (pending.length > 0) {
  const value = database.readUIntBE(pending.pop(), RECORD);
  if (value < nodes) {
    // A node follows the one that refers to it, and no other refers to it.
    if (value !== next) fail(`node ${value} is not in the order of a depth-first walk`);
    next += 1;
    write(0, 1);
    pending.push(2 * RECORD * value + RECORD, 2 * RECORD * value);
    continue;
  }
  let rank = recent.indexOf(value);
  if (rank === -1) {
    rank = recent.length;
    recent.push(value);
    values.push(value);
  }
  recent.copyWithin(1, 0, rank);
  recent[0] = value;
  const number = CLASSES.findLastIndex(([, first]) => first <= rank);
  // One bit for a value, then one for each class before this one, then 0 as the end.
  write((1 << (number + 1)) - 1, number + 2);
  write(rank - CLASSES[number][1], CLASSES[number][0]);
}
if (next !== nodes) fail("nodes are not in the search tree");
if (values.length > 256) fail(`${values.length} different records, expected at most 256`);
if (bits.used > 0) bits.bytes.push(bits.last);

const rest = database.subarray(2 * RECORD * nodes);
const head = [nodes, rest.length, values.length, crc32(database), ...values];
const numbers = Buffer.alloc(4 * head.length);
head.forEach((number, index) => numbers.writeUInt32LE(number, 4 * index));
process.stdout.write(Buffer.concat([numbers, rest, Buffer.from(bits.bytes)]));
