
-- Names and types are those of ulogd2; the ones of its first version (ip_saddr, ip_daddr, id) and our own are last.
-- NULL, because rows do not have them: ip_tos, ip_ihl, ip_csum, ip_id, ip_fragoff, ip6_priority,
-- ip6_flowlabel, ip6_fragoff, ip6_fragid, tcp_seq, tcp_ackseq, tcp_window, tcp_urgp, udp_len, sctp_csum, icmp_echoid,
-- icmp_echoseq, icmp_gateway, icmp_fragmtu, icmpv6_echoid, icmpv6_echoseq, icmpv6_csum; mac_str, mac_daddr_str, raw_label.
-- The columns of ulogd2. SQLite does not parse hexadecimal text, so addresses are assembled by digit.
CREATE VIEW IF NOT EXISTS nflog_ulog AS
SELECT
  id AS _id,
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
  source AS ip_saddr_bin,
  destination AS ip_daddr_bin,
  protocol AS ip_protocol,
  NULL AS ip_tos,
  CASE WHEN ip_version = 4 THEN ttl END AS ip_ttl,
  CASE WHEN ip_version = 4 THEN length END AS ip_totlen,
  NULL AS ip_ihl,
  NULL AS ip_csum,
  NULL AS ip_id,
  NULL AS ip_fragoff,
  CASE WHEN ip_version = 6 AND length >= 40 THEN length - 40 END AS ip6_payloadlen,
  NULL AS ip6_priority,
  CASE WHEN ip_version = 6 THEN ttl END AS ip6_hoplimit,
  NULL AS ip6_flowlabel,
  NULL AS ip6_fragoff,
  NULL AS ip6_fragid,
  CASE WHEN protocol = 6 THEN source_port END AS tcp_sport,
  CASE WHEN protocol = 6 THEN destination_port END AS tcp_dport,
  NULL AS tcp_seq,
  NULL AS tcp_ackseq,
  NULL AS tcp_window,
  tcp_flags >> 5 & 1 AS tcp_urg,
  NULL AS tcp_urgp,
  tcp_flags >> 4 & 1 AS tcp_ack,
  tcp_flags >> 3 & 1 AS tcp_psh,
  tcp_flags >> 2 & 1 AS tcp_rst,
  tcp_flags >> 1 & 1 AS tcp_syn,
  tcp_flags & 1 AS tcp_fin,
  CASE WHEN protocol = 17 THEN source_port END AS udp_sport,
  CASE WHEN protocol = 17 THEN destination_port END AS udp_dport,
  NULL AS udp_len,
  CASE WHEN protocol = 1 THEN icmp_type END AS icmp_type,
  CASE WHEN protocol = 1 THEN icmp_code END AS icmp_code,
  NULL AS icmp_echoid,
  NULL AS icmp_echoseq,
  NULL AS icmp_gateway,
  NULL AS icmp_fragmtu,
  CASE WHEN protocol = 58 THEN icmp_type END AS icmpv6_type,
  CASE WHEN protocol = 58 THEN icmp_code END AS icmpv6_code,
  NULL AS icmpv6_echoid,
  NULL AS icmpv6_echoseq,
  NULL AS icmpv6_csum,
  CASE WHEN LENGTH(hardware_address) = 6 THEN 1 END AS raw_type,
  NULL AS mac_str,
  nullif(lower(rtrim(
    substr(hex(hardware_address), 1, 2) || ':' || substr(hex(hardware_address), 3, 2) || ':' ||
    substr(hex(hardware_address), 5, 2) || ':' || substr(hex(hardware_address), 7, 2) || ':' ||
    substr(hex(hardware_address), 9, 2) || ':' || substr(hex(hardware_address), 11, 2) || ':' ||
    substr(hex(hardware_address), 13, 2) || ':' || substr(hex(hardware_address), 15, 2), ':'
  )), '') AS mac_saddr_str,
  NULL AS mac_daddr_str,
  CASE ip_version WHEN 4 THEN 2048 WHEN 6 THEN 34525 END AS oob_protocol,
  NULL AS raw_label,
  CASE WHEN protocol = 132 THEN source_port END AS sctp_sport,
  CASE WHEN protocol = 132 THEN destination_port END AS sctp_dport,
  NULL AS sctp_csum,
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
  id,
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
  captured_length AS raw_pktlen,
  uid AS oob_uid,
  time,
  host,
  country,
  city,
  latitude,
  longitude,
  asn,
  weight,
  uid
FROM packets;
