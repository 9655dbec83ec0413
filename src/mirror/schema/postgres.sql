-- The schema of nflog_exporter for PostgreSQL 13 and later. Version 1.
-- Run it as the user that nflog_exporter logs in as, or grant that user afterwards:
--   GRANT SELECT, INSERT ON packets TO "user";
--   GRANT SELECT, INSERT, UPDATE, DELETE ON nflog_writers TO "user";
--   GRANT SELECT ON nflog_schema TO "user";
-- Day partitions can be made and dropped by the owner of the table only:
--   ALTER TABLE packets OWNER TO "user";

CREATE TABLE IF NOT EXISTS packets (
  id bigint GENERATED ALWAYS AS IDENTITY,
  time timestamptz NOT NULL,
  host text NOT NULL,
  nflog_group integer NOT NULL,
  prefix text NOT NULL,
  hook text,
  direction text,
  in_device text NOT NULL,
  out_device text NOT NULL,
  mark bigint NOT NULL,
  uid bigint,
  hardware_address bytea,
  ip_version smallint,
  source inet,
  destination inet,
  protocol smallint,
  length bigint NOT NULL,
  captured_length bigint NOT NULL,
  ttl smallint,
  source_port integer,
  destination_port integer,
  tcp_flags smallint,
  icmp_type smallint,
  icmp_code smallint,
  flaw text,
  country text NOT NULL,
  city text,
  latitude double precision,
  longitude double precision,
  asn bigint,
  weight bigint NOT NULL DEFAULT 1
) PARTITION BY RANGE (time);

CREATE TABLE IF NOT EXISTS packets_default PARTITION OF packets DEFAULT;

CREATE INDEX IF NOT EXISTS packets_by_time ON packets (time);

CREATE INDEX IF NOT EXISTS packets_by_country ON packets (country, time);

CREATE INDEX IF NOT EXISTS packets_by_source ON packets (source, time);

-- The next three hold expressions of the view ulog: change them together. They are whole: of a partial
-- index PostgreSQL keeps no figures for the planner, which then sorts a frequent port's rows.
CREATE INDEX IF NOT EXISTS packets_by_second
ON packets ((floor(date_part('epoch', time AT TIME ZONE 'UTC'))::bigint));

CREATE INDEX IF NOT EXISTS packets_by_tcp_port
ON packets ((CASE WHEN protocol = 6 THEN destination_port END), id);

CREATE INDEX IF NOT EXISTS packets_by_udp_port
ON packets ((CASE WHEN protocol = 17 THEN destination_port END), id);

CREATE TABLE IF NOT EXISTS nflog_writers (
  writer bytea NOT NULL PRIMARY KEY,
  host text NOT NULL,
  delivered bigint NOT NULL,
  updated timestamptz NOT NULL
);

CREATE TABLE IF NOT EXISTS nflog_schema (
  version integer NOT NULL PRIMARY KEY,
  installed timestamptz NOT NULL
);

INSERT INTO nflog_schema (version, installed) VALUES (1, now()) ON CONFLICT DO NOTHING;

-- The columns of ulogd2. Compare oob_time_sec with whole numbers, as in
-- `oob_time_sec > extract(epoch FROM now())::int - 600`: no index serves a comparison with a numeric.
CREATE OR REPLACE VIEW ulog AS
SELECT
  id,
  floor(date_part('epoch', time AT TIME ZONE 'UTC'))::bigint AS oob_time_sec,
  date_part('microseconds', time AT TIME ZONE 'UTC')::integer % 1000000 AS oob_time_usec,
  array_position(
    ARRAY['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress', 'egress'], hook
  ) - 1 AS oob_hook,
  prefix AS oob_prefix,
  mark AS oob_mark,
  in_device AS oob_in,
  out_device AS oob_out,
  CASE ip_version WHEN 4 THEN 2 WHEN 6 THEN 10 END AS oob_family,
  CASE WHEN family(source) = 4 THEN source - inet '0.0.0.0' END AS ip_saddr,
  CASE WHEN family(destination) = 4 THEN destination - inet '0.0.0.0' END AS ip_daddr,
  source AS ip_saddr_str,
  destination AS ip_daddr_str,
  protocol AS ip_protocol,
  ttl AS ip_ttl,
  length AS ip_totlen,
  captured_length AS raw_pktlen,
  CASE WHEN protocol = 6 THEN source_port END AS tcp_sport,
  CASE WHEN protocol = 6 THEN destination_port END AS tcp_dport,
  tcp_flags & 32 <> 0 AS tcp_urg,
  tcp_flags & 16 <> 0 AS tcp_ack,
  tcp_flags & 8 <> 0 AS tcp_psh,
  tcp_flags & 4 <> 0 AS tcp_rst,
  tcp_flags & 2 <> 0 AS tcp_syn,
  tcp_flags & 1 <> 0 AS tcp_fin,
  CASE WHEN protocol = 17 THEN source_port END AS udp_sport,
  CASE WHEN protocol = 17 THEN destination_port END AS udp_dport,
  CASE WHEN protocol = 1 THEN icmp_type END AS icmp_type,
  CASE WHEN protocol = 1 THEN icmp_code END AS icmp_code,
  CASE WHEN protocol = 58 THEN icmp_type END AS icmpv6_type,
  CASE WHEN protocol = 58 THEN icmp_code END AS icmpv6_code,
  regexp_replace(encode(hardware_address, 'hex'), '(..)(?=.)', '\1:', 'g') AS mac_saddr_str,
  uid,
  host,
  country,
  city,
  latitude,
  longitude,
  asn,
  weight
FROM packets;
