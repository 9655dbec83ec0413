-- The schema of nflog_exporter for ClickHouse 24.8 and later. Version 1.
-- Run it in the database of the URL, and grant the exporter's user:
--   GRANT SELECT, INSERT ON DATABASE.packets TO user
--   GRANT CREATE TEMPORARY TABLE ON *.* TO user
-- and, if it has to set the retention and to apply a size limit:
--   GRANT ALTER TTL, ALTER DELETE ON DATABASE.packets TO user
--   GRANT SELECT ON system.parts TO user
-- Addresses are IPv6, IPv4 as ::ffff:a.b.c.d. The columns writer and sequence number the rows of one run of an exporter:
-- it reads back from them which rows are stored.

CREATE TABLE IF NOT EXISTS packets (
  time DateTime64(6, 'UTC') CODEC(T64, ZSTD),
  host LowCardinality(String) CODEC(ZSTD),
  nflog_group UInt16 CODEC(ZSTD),
  prefix LowCardinality(String) CODEC(ZSTD),
  hook LowCardinality(Nullable(String)) CODEC(ZSTD),
  direction LowCardinality(Nullable(String)) CODEC(ZSTD),
  in_device LowCardinality(String) CODEC(ZSTD),
  out_device LowCardinality(String) CODEC(ZSTD),
  mark UInt32 CODEC(ZSTD),
  uid Nullable(UInt32) CODEC(ZSTD),
  hardware_address LowCardinality(Nullable(String)) CODEC(ZSTD),
  ip_version Nullable(UInt8) CODEC(ZSTD),
  source Nullable(IPv6) CODEC(ZSTD),
  destination Nullable(IPv6) CODEC(ZSTD),
  protocol Nullable(UInt8) CODEC(ZSTD),
  length UInt32 CODEC(ZSTD),
  captured_length UInt32 CODEC(ZSTD),
  ttl Nullable(UInt8) CODEC(ZSTD),
  source_port Nullable(UInt16) CODEC(ZSTD),
  destination_port Nullable(UInt16) CODEC(ZSTD),
  tcp_flags Nullable(UInt8) CODEC(ZSTD),
  icmp_type Nullable(UInt8) CODEC(ZSTD),
  icmp_code Nullable(UInt8) CODEC(ZSTD),
  flaw LowCardinality(Nullable(String)) CODEC(ZSTD),
  country LowCardinality(String) CODEC(ZSTD),
  city LowCardinality(Nullable(String)) CODEC(ZSTD),
  latitude Nullable(Float32) CODEC(ZSTD),
  longitude Nullable(Float32) CODEC(ZSTD),
  asn Nullable(UInt32) CODEC(ZSTD),
  weight UInt32 DEFAULT 1 CODEC(ZSTD),
  ct_state LowCardinality(Nullable(String)) CODEC(ZSTD),
  ct_zone Nullable(UInt16) CODEC(ZSTD),
  source_network_name LowCardinality(Nullable(String)) CODEC(ZSTD),
  destination_network_name LowCardinality(Nullable(String)) CODEC(ZSTD),
  list LowCardinality(Nullable(String)) CODEC(ZSTD),
  writer LowCardinality(FixedString(16)) CODEC(ZSTD),
  sequence UInt64 CODEC(ZSTD),
  -- The position of a writer is read from it.
  PROJECTION packets_by_writer (SELECT writer, sequence ORDER BY writer, sequence)
)
ENGINE = MergeTree
PARTITION BY toYYYYMMDD(time)
ORDER BY (toStartOfHour(time), source, host, time)
SETTINGS
  -- A packet without a decoded header has no source.
  allow_nullable_key = 1,
  -- Inserts whose tokens are known: those of the last minutes of hundreds of exporters.
  non_replicated_deduplication_window = 10000,
  -- The exporter deletes rows from its spool when the insert is done: they are on disk then.
  fsync_after_insert = 1,
  fsync_part_directory = 1,
  -- A TTL deletes whole parts, which have rows of one day.
  ttl_only_drop_parts = 1,
  merge_with_ttl_timeout = 3600
COMMENT 'nflog_exporter, schema version 1';
