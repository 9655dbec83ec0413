
-- An optional step, for questions from the ulogd world; a database without views (Vitess) refuses it.
-- Ours is replaced. Of another `ulog`, as ulogd has, the last statement says that it "already exists", and
-- leaves it: RENAME TABLE ulog TO ulogd_ulog, and run this again.
SET @nflog_old = (SELECT IF(COUNT(*) = 3, 'DROP VIEW ulog', 'DO 0') FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'ulog' AND column_name IN ('country', 'asn', 'weight'));

PREPARE nflog_old FROM @nflog_old;

EXECUTE nflog_old;

DEALLOCATE PREPARE nflog_old;

CREATE SQL SECURITY INVOKER VIEW ulog AS
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
