
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

-- What is in its way is left as it is, and told.
SELECT '"ulog" is not nflog_exporter''s and was left as it is: ALTER TABLE ulog RENAME TO ulogd_ulog (of a view: '
|| 'drop it), and run this again'
WHERE 3 <> (SELECT count(*) FROM pragma_table_info('ulog') WHERE name IN ('country', 'asn', 'weight'));
