-- The schema of nflog_exporter for PostgreSQL 13 and later. Version 1.
-- Run it as the user that nflog_exporter logs in as, or grant that user afterwards:
--   GRANT SELECT, INSERT ON packets TO "user";
--   GRANT SELECT, INSERT, UPDATE, DELETE ON nflog_writers TO "user";
--   GRANT SELECT ON nflog_schema TO "user";
-- Only the owner of the table can create and drop partitions:
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

-- Covers the dashboards' queries, which group by source, then by port.
CREATE INDEX IF NOT EXISTS packets_by_source ON packets (source, destination_port, protocol, time)
INCLUDE (host, prefix, country, length, weight, latitude, longitude);

-- The next three have expressions of the view ulog: change them together. They are not partial: PostgreSQL keeps
-- no statistics of a partial index, and would sort the rows of a frequent port.
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
