-- The schema of nflog_exporter for SQLite 3.37 and later. Version 1.
-- Times are UTC, `YYYY-MM-DD HH:MM:SS.ffffff`. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d.

CREATE TABLE IF NOT EXISTS packets (
  id INTEGER PRIMARY KEY,
  time TEXT NOT NULL,
  host TEXT NOT NULL,
  nflog_group INTEGER NOT NULL,
  prefix TEXT NOT NULL,
  hook TEXT,
  direction TEXT,
  in_device TEXT NOT NULL,
  out_device TEXT NOT NULL,
  mark INTEGER NOT NULL,
  uid INTEGER,
  hardware_address BLOB,
  ip_version INTEGER,
  source BLOB,
  destination BLOB,
  protocol INTEGER,
  length INTEGER NOT NULL,
  captured_length INTEGER NOT NULL,
  ttl INTEGER,
  source_port INTEGER,
  destination_port INTEGER,
  tcp_flags INTEGER,
  icmp_type INTEGER,
  icmp_code INTEGER,
  flaw TEXT,
  country TEXT NOT NULL,
  city TEXT,
  latitude REAL,
  longitude REAL,
  asn INTEGER,
  weight INTEGER NOT NULL DEFAULT 1
) STRICT;

CREATE INDEX IF NOT EXISTS packets_by_time ON packets (time);

CREATE INDEX IF NOT EXISTS packets_by_country ON packets (country, time);

CREATE INDEX IF NOT EXISTS packets_by_source ON packets (source, time);

-- The next three hold expressions of the view ulog: change them together. The time is cut to its
-- seconds, because versions of SQLite differ in how they round the rest, and an index must not. The cast makes SQLite
-- compare numbers also where a text stands on the other side, as in `strftime('%s', 'now')`.
CREATE INDEX IF NOT EXISTS packets_by_second ON packets (CAST(strftime('%s', substr(time, 1, 19)) AS INTEGER));

CREATE INDEX IF NOT EXISTS packets_by_tcp_port
ON packets (CASE WHEN protocol = 6 THEN destination_port END, id)
WHERE CASE WHEN protocol = 6 THEN destination_port END IS NOT NULL;

CREATE INDEX IF NOT EXISTS packets_by_udp_port
ON packets (CASE WHEN protocol = 17 THEN destination_port END, id)
WHERE CASE WHEN protocol = 17 THEN destination_port END IS NOT NULL;

CREATE TABLE IF NOT EXISTS nflog_writers (
  writer BLOB NOT NULL PRIMARY KEY,
  host TEXT NOT NULL,
  delivered INTEGER NOT NULL,
  updated TEXT NOT NULL
) STRICT;

CREATE TABLE IF NOT EXISTS nflog_schema (
  version INTEGER NOT NULL PRIMARY KEY,
  installed TEXT NOT NULL
) STRICT;

INSERT OR IGNORE INTO nflog_schema (version, installed) VALUES (1, datetime('now'));

-- The columns of ulogd2. SQLite reads no hexadecimal text, so addresses are put together by digit.
CREATE VIEW IF NOT EXISTS ulog AS
SELECT
  id,
  CAST(strftime('%s', substr(time, 1, 19)) AS INTEGER) AS oob_time_sec,
  CAST(substr(time, 21) AS INTEGER) AS oob_time_usec,
  CASE hook
    WHEN 'prerouting' THEN 0 WHEN 'input' THEN 1 WHEN 'forward' THEN 2 WHEN 'output' THEN 3
    WHEN 'postrouting' THEN 4 WHEN 'ingress' THEN 5 WHEN 'egress' THEN 6
  END AS oob_hook,
  prefix AS oob_prefix,
  mark AS oob_mark,
  in_device AS oob_in,
  out_device AS oob_out,
  CASE ip_version WHEN 4 THEN 2 WHEN 6 THEN 10 END AS oob_family,
  CASE WHEN ip_version = 4 AND source IS NOT NULL THEN
    (instr('123456789ABCDEF', substr(hex(source), 25, 1)) << 28) +
    (instr('123456789ABCDEF', substr(hex(source), 26, 1)) << 24) +
    (instr('123456789ABCDEF', substr(hex(source), 27, 1)) << 20) +
    (instr('123456789ABCDEF', substr(hex(source), 28, 1)) << 16) +
    (instr('123456789ABCDEF', substr(hex(source), 29, 1)) << 12) +
    (instr('123456789ABCDEF', substr(hex(source), 30, 1)) << 8) +
    (instr('123456789ABCDEF', substr(hex(source), 31, 1)) << 4) +
    instr('123456789ABCDEF', substr(hex(source), 32, 1))
  END AS ip_saddr,
  CASE WHEN ip_version = 4 AND destination IS NOT NULL THEN
    (instr('123456789ABCDEF', substr(hex(destination), 25, 1)) << 28) +
    (instr('123456789ABCDEF', substr(hex(destination), 26, 1)) << 24) +
    (instr('123456789ABCDEF', substr(hex(destination), 27, 1)) << 20) +
    (instr('123456789ABCDEF', substr(hex(destination), 28, 1)) << 16) +
    (instr('123456789ABCDEF', substr(hex(destination), 29, 1)) << 12) +
    (instr('123456789ABCDEF', substr(hex(destination), 30, 1)) << 8) +
    (instr('123456789ABCDEF', substr(hex(destination), 31, 1)) << 4) +
    instr('123456789ABCDEF', substr(hex(destination), 32, 1))
  END AS ip_daddr,
  CASE WHEN source IS NOT NULL THEN CASE ip_version
  WHEN 4 THEN
    (instr('123456789ABCDEF', substr(hex(source), 25, 1)) * 16 + instr('123456789ABCDEF', substr(hex(source), 26, 1))) || '.' ||
    (instr('123456789ABCDEF', substr(hex(source), 27, 1)) * 16 + instr('123456789ABCDEF', substr(hex(source), 28, 1))) || '.' ||
    (instr('123456789ABCDEF', substr(hex(source), 29, 1)) * 16 + instr('123456789ABCDEF', substr(hex(source), 30, 1))) || '.' ||
    (instr('123456789ABCDEF', substr(hex(source), 31, 1)) * 16 + instr('123456789ABCDEF', substr(hex(source), 32, 1)))
  WHEN 6 THEN
    lower(
    substr(hex(source), 1, 4) || ':' ||
    substr(hex(source), 5, 4) || ':' ||
    substr(hex(source), 9, 4) || ':' ||
    substr(hex(source), 13, 4) || ':' ||
    substr(hex(source), 17, 4) || ':' ||
    substr(hex(source), 21, 4) || ':' ||
    substr(hex(source), 25, 4) || ':' ||
    substr(hex(source), 29, 4))
  END END AS ip_saddr_str,
  CASE WHEN destination IS NOT NULL THEN CASE ip_version
  WHEN 4 THEN
    (instr('123456789ABCDEF', substr(hex(destination), 25, 1)) * 16 + instr('123456789ABCDEF', substr(hex(destination), 26, 1))) || '.' ||
    (instr('123456789ABCDEF', substr(hex(destination), 27, 1)) * 16 + instr('123456789ABCDEF', substr(hex(destination), 28, 1))) || '.' ||
    (instr('123456789ABCDEF', substr(hex(destination), 29, 1)) * 16 + instr('123456789ABCDEF', substr(hex(destination), 30, 1))) || '.' ||
    (instr('123456789ABCDEF', substr(hex(destination), 31, 1)) * 16 + instr('123456789ABCDEF', substr(hex(destination), 32, 1)))
  WHEN 6 THEN
    lower(
    substr(hex(destination), 1, 4) || ':' ||
    substr(hex(destination), 5, 4) || ':' ||
    substr(hex(destination), 9, 4) || ':' ||
    substr(hex(destination), 13, 4) || ':' ||
    substr(hex(destination), 17, 4) || ':' ||
    substr(hex(destination), 21, 4) || ':' ||
    substr(hex(destination), 25, 4) || ':' ||
    substr(hex(destination), 29, 4))
  END END AS ip_daddr_str,
  protocol AS ip_protocol,
  ttl AS ip_ttl,
  length AS ip_totlen,
  captured_length AS raw_pktlen,
  CASE WHEN protocol = 6 THEN source_port END AS tcp_sport,
  CASE WHEN protocol = 6 THEN destination_port END AS tcp_dport,
  tcp_flags >> 5 & 1 AS tcp_urg,
  tcp_flags >> 4 & 1 AS tcp_ack,
  tcp_flags >> 3 & 1 AS tcp_psh,
  tcp_flags >> 2 & 1 AS tcp_rst,
  tcp_flags >> 1 & 1 AS tcp_syn,
  tcp_flags & 1 AS tcp_fin,
  CASE WHEN protocol = 17 THEN source_port END AS udp_sport,
  CASE WHEN protocol = 17 THEN destination_port END AS udp_dport,
  CASE WHEN protocol = 1 THEN icmp_type END AS icmp_type,
  CASE WHEN protocol = 1 THEN icmp_code END AS icmp_code,
  CASE WHEN protocol = 58 THEN icmp_type END AS icmpv6_type,
  CASE WHEN protocol = 58 THEN icmp_code END AS icmpv6_code,
  nullif(lower(rtrim(
    substr(hex(hardware_address), 1, 2) || ':' || substr(hex(hardware_address), 3, 2) || ':' ||
    substr(hex(hardware_address), 5, 2) || ':' || substr(hex(hardware_address), 7, 2) || ':' ||
    substr(hex(hardware_address), 9, 2) || ':' || substr(hex(hardware_address), 11, 2) || ':' ||
    substr(hex(hardware_address), 13, 2) || ':' || substr(hex(hardware_address), 15, 2), ':'
  )), '') AS mac_saddr_str,
  uid,
  host,
  country,
  city,
  latitude,
  longitude,
  asn,
  weight
FROM packets;
