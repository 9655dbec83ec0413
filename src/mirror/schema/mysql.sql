-- The schema of nflog_exporter for MySQL 8, MariaDB 10.6 and later. Version 1.
-- Times are UTC. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d: INET6_NTOA(source) reads them.
-- Days become partitions; rows of days that have none wait in pmax.
-- The three generated columns carry the indexes of the view ulog. They are STORED: of a table with
-- partitions, MariaDB 10.11 reads an index of a VIRTUAL one backwards wrongly, and leaves out rows.
CREATE TABLE IF NOT EXISTS packets (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
  time DATETIME(6) NOT NULL,
  host VARCHAR(255) NOT NULL,
  nflog_group SMALLINT UNSIGNED NOT NULL,
  prefix VARCHAR(128) NOT NULL,
  hook ENUM('prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress', 'egress'),
  direction ENUM('in', 'out', 'forward'),
  in_device VARCHAR(128) NOT NULL,
  out_device VARCHAR(128) NOT NULL,
  mark INT UNSIGNED NOT NULL,
  uid INT UNSIGNED,
  hardware_address VARBINARY(8),
  ip_version TINYINT UNSIGNED,
  source BINARY(16),
  destination BINARY(16),
  protocol TINYINT UNSIGNED,
  length INT UNSIGNED NOT NULL,
  captured_length INT UNSIGNED NOT NULL,
  ttl TINYINT UNSIGNED,
  source_port SMALLINT UNSIGNED,
  destination_port SMALLINT UNSIGNED,
  tcp_flags TINYINT UNSIGNED,
  icmp_type TINYINT UNSIGNED,
  icmp_code TINYINT UNSIGNED,
  flaw ENUM('not_ip', 'truncated', 'malformed'),
  country VARCHAR(7) CHARACTER SET ascii NOT NULL,
  city VARCHAR(128),
  latitude DOUBLE,
  longitude DOUBLE,
  asn INT UNSIGNED,
  weight INT UNSIGNED NOT NULL DEFAULT 1,
  oob_time_sec BIGINT UNSIGNED GENERATED ALWAYS AS (TIMESTAMPDIFF(SECOND, '1970-01-01', time)) STORED,
  tcp_dport SMALLINT UNSIGNED GENERATED ALWAYS AS (IF(protocol = 6, destination_port, NULL)) STORED,
  udp_dport SMALLINT UNSIGNED GENERATED ALWAYS AS (IF(protocol = 17, destination_port, NULL)) STORED,
  PRIMARY KEY (time, id),
  KEY by_id (id),
  KEY by_second (oob_time_sec),
  KEY by_country (country, time),
  KEY by_source (source, time),
  KEY by_tcp_port (tcp_dport, id),
  KEY by_udp_port (udp_dport, id)
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
PARTITION BY RANGE COLUMNS (time) (PARTITION pmax VALUES LESS THAN (MAXVALUE));

-- Who wrote how many rows: what makes a row arrive exactly once.
CREATE TABLE IF NOT EXISTS nflog_writers (
  writer BINARY(16) NOT NULL PRIMARY KEY,
  host VARCHAR(255) NOT NULL,
  delivered BIGINT UNSIGNED NOT NULL,
  updated DATETIME(6) NOT NULL
) DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS nflog_schema (
  version INT UNSIGNED NOT NULL PRIMARY KEY,
  installed DATETIME NOT NULL
);

INSERT IGNORE INTO nflog_schema (version, installed) VALUES (1, UTC_TIMESTAMP());

-- An optional step, for questions from the ulogd world; a database without views (Vitess) refuses it.
CREATE OR REPLACE SQL SECURITY INVOKER VIEW ulog AS
SELECT
  id,
  oob_time_sec,
  MICROSECOND(time) AS oob_time_usec,
  CAST(hook AS UNSIGNED) - 1 AS oob_hook,
  prefix AS oob_prefix,
  mark AS oob_mark,
  in_device AS oob_in,
  out_device AS oob_out,
  CASE ip_version WHEN 4 THEN 2 WHEN 6 THEN 10 END AS oob_family,
  uid AS oob_uid,
  IF(ip_version = 4, INET_ATON(INET6_NTOA(SUBSTRING(source, 13))), NULL) AS ip_saddr,
  IF(ip_version = 4, INET_ATON(INET6_NTOA(SUBSTRING(destination, 13))), NULL) AS ip_daddr,
  INET6_NTOA(IF(ip_version = 4, SUBSTRING(source, 13), source)) AS ip_saddr_str,
  INET6_NTOA(IF(ip_version = 4, SUBSTRING(destination, 13), destination)) AS ip_daddr_str,
  protocol AS ip_protocol,
  ttl AS ip_ttl,
  length AS ip_totlen,
  captured_length AS raw_pktlen,
  IF(protocol = 6, source_port, NULL) AS tcp_sport,
  tcp_dport,
  tcp_flags >> 1 & 1 AS tcp_syn,
  tcp_flags >> 4 & 1 AS tcp_ack,
  tcp_flags & 1 AS tcp_fin,
  tcp_flags >> 2 & 1 AS tcp_rst,
  tcp_flags >> 3 & 1 AS tcp_psh,
  tcp_flags >> 5 & 1 AS tcp_urg,
  IF(protocol = 17, source_port, NULL) AS udp_sport,
  udp_dport,
  IF(protocol = 1, icmp_type, NULL) AS icmp_type,
  IF(protocol = 1, icmp_code, NULL) AS icmp_code,
  IF(protocol = 58, icmp_type, NULL) AS icmpv6_type,
  IF(protocol = 58, icmp_code, NULL) AS icmpv6_code,
  IF(hardware_address IS NULL, NULL, LOWER(CONCAT_WS(':',
    HEX(SUBSTRING(hardware_address, 1, 1)), HEX(SUBSTRING(hardware_address, 2, 1)),
    HEX(SUBSTRING(hardware_address, 3, 1)), HEX(SUBSTRING(hardware_address, 4, 1)),
    HEX(SUBSTRING(hardware_address, 5, 1)), HEX(SUBSTRING(hardware_address, 6, 1)),
    NULLIF(HEX(SUBSTRING(hardware_address, 7, 1)), ''),
    NULLIF(HEX(SUBSTRING(hardware_address, 8, 1)), '')))) AS mac_saddr_str,
  host,
  country,
  city,
  latitude,
  longitude,
  asn,
  weight
FROM packets;
