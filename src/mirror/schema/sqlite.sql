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
  weight INTEGER NOT NULL DEFAULT 1,
  ct_state TEXT,
  ct_zone INTEGER,
  source_network_name TEXT,
  destination_network_name TEXT,
  list TEXT
) STRICT;

CREATE INDEX IF NOT EXISTS packets_by_time ON packets (time);

CREATE INDEX IF NOT EXISTS packets_by_country ON packets (country, time);

-- Covers the queries of the drill-down, which group by source.
CREATE INDEX IF NOT EXISTS packets_by_source
ON packets (source, time, destination_port, protocol, country, prefix, host, weight);

-- The next three have expressions of the view ulog: change them together. The time is truncated to
-- seconds, because versions of SQLite round the rest differently, and an index must not differ. The cast makes SQLite
-- compare numbers even with a text, as in `strftime('%s', 'now')`.
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
