-- The schema of nflog_exporter for MySQL 8, MariaDB 10.6 and later. Version 1.
-- Times are UTC. Addresses are 16 bytes, IPv4 as ::ffff:a.b.c.d: INET6_NTOA(source) reads them.
-- The engine is set because writing rows exactly once requires transactions.
-- Each day becomes a partition; rows of days without one are stored in pmax.
-- The three generated columns are for the indexes of the view ulog. They are STORED: with partitions,
-- MariaDB 10.11 omits rows when it scans an index of a VIRTUAL column backwards.
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
  flaw ENUM('not_ip', 'truncated', 'malformed', 'link_type'),
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
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
PARTITION BY RANGE COLUMNS (time) (PARTITION pmax VALUES LESS THAN (MAXVALUE));

-- The number of rows of each writer, so that each row is written exactly once.
CREATE TABLE IF NOT EXISTS nflog_writers (
  writer BINARY(16) NOT NULL PRIMARY KEY,
  host VARCHAR(255) NOT NULL,
  delivered BIGINT UNSIGNED NOT NULL,
  updated DATETIME(6) NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

CREATE TABLE IF NOT EXISTS nflog_schema (
  version INT UNSIGNED NOT NULL PRIMARY KEY,
  installed DATETIME NOT NULL
) ENGINE=InnoDB ROW_FORMAT=DYNAMIC;

INSERT IGNORE INTO nflog_schema (version, installed) VALUES (1, UTC_TIMESTAMP());
