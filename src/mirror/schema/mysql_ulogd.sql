
-- The other tables and views of ulogd2's schema, based on the view ulog. Existing objects stay. There is
-- no equivalent of ulog2_ct and conntrack (connections), nufw, view_nufw and nulog (NuFW), state_t, ip_proto, nfacct,
-- and of the functions that insert and delete packets.
SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW ulog2 AS SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_bin AS ip_saddr, ip_daddr_bin AS ip_daddr, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl,
  ip_csum, ip_id, ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff,
  ip6_fragid, raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS `timestamp`
FROM ulog', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'ulog2');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW tcp AS SELECT
  _id AS _tcp_id, tcp_sport, tcp_dport, tcp_seq, tcp_ackseq, tcp_window, tcp_urg, tcp_urgp, tcp_ack,
  tcp_psh, tcp_rst, tcp_syn, tcp_fin
FROM ulog
WHERE ip_protocol = 6', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'tcp');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW udp AS SELECT
  _id AS _udp_id, udp_sport, udp_dport, udp_len
FROM ulog
WHERE ip_protocol = 17', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'udp');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW sctp AS SELECT
  _id AS _sctp_id, sctp_sport, sctp_dport, sctp_csum
FROM ulog
WHERE ip_protocol = 132', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'sctp');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW icmp AS SELECT
  _id AS _icmp_id, icmp_type, icmp_code, icmp_echoid, icmp_echoseq, icmp_gateway, icmp_fragmtu
FROM ulog
WHERE ip_protocol = 1', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'icmp');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW icmpv6 AS SELECT
  _id AS _icmpv6_id, icmpv6_type, icmpv6_code, icmpv6_echoid, icmpv6_echoseq, icmpv6_csum
FROM ulog
WHERE ip_protocol = 58', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'icmpv6');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW mac AS SELECT
  _id AS _mac_id, mac_saddr_str AS mac_saddr, mac_daddr_str AS mac_daddr,
  oob_protocol AS mac_protocol
FROM ulog
WHERE mac_saddr_str IS NOT NULL', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'mac');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW hwhdr AS SELECT
  _id AS _hw_id, raw_type, mac_str AS raw_header
FROM ulog
WHERE mac_saddr_str IS NULL', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'hwhdr');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW view_tcp AS SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_bin AS ip_saddr, ip_daddr_bin AS ip_daddr, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl,
  ip_csum, ip_id, ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff,
  ip6_fragid, raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS `timestamp`, _id AS _tcp_id, tcp_sport, tcp_dport, tcp_seq, tcp_ackseq, tcp_window,
  tcp_urg, tcp_urgp, tcp_ack, tcp_psh, tcp_rst, tcp_syn, tcp_fin
FROM ulog
WHERE ip_protocol = 6', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'view_tcp');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW view_udp AS SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_bin AS ip_saddr, ip_daddr_bin AS ip_daddr, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl,
  ip_csum, ip_id, ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff,
  ip6_fragid, raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS `timestamp`, _id AS _udp_id, udp_sport, udp_dport, udp_len
FROM ulog
WHERE ip_protocol = 17', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'view_udp');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW view_icmp AS SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_bin AS ip_saddr, ip_daddr_bin AS ip_daddr, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl,
  ip_csum, ip_id, ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff,
  ip6_fragid, raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS `timestamp`, _id AS _icmp_id, icmp_type, icmp_code, icmp_echoid, icmp_echoseq,
  icmp_gateway, icmp_fragmtu
FROM ulog
WHERE ip_protocol = 1', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'view_icmp');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW view_icmpv6 AS SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_bin AS ip_saddr, ip_daddr_bin AS ip_daddr, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl,
  ip_csum, ip_id, ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff,
  ip6_fragid, raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS `timestamp`, _id AS _icmpv6_id, icmpv6_type, icmpv6_code, icmpv6_echoid, icmpv6_echoseq,
  icmpv6_csum
FROM ulog
WHERE ip_protocol = 58', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'view_icmpv6');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW view_tcp_quad AS SELECT
  _id,
  IF(LEFT(ip_saddr_bin, 12) = X''00000000000000000000FFFF'', CONCAT(''::ffff:'', INET6_NTOA(SUBSTRING(ip_saddr_bin, 13))),
    LOWER(CONCAT(HEX(SUBSTRING(ip_saddr_bin, 1, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 3, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 5, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 7, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 9, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 11, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 13, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 15, 2))))) AS ip_saddr_str,
  tcp_sport,
  IF(LEFT(ip_daddr_bin, 12) = X''00000000000000000000FFFF'', CONCAT(''::ffff:'', INET6_NTOA(SUBSTRING(ip_daddr_bin, 13))),
    LOWER(CONCAT(HEX(SUBSTRING(ip_daddr_bin, 1, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 3, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 5, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 7, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 9, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 11, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 13, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 15, 2))))) AS ip_daddr_str,
  tcp_dport
FROM ulog
WHERE ip_protocol = 6', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'view_tcp_quad');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;

SET @nflog_view = (SELECT IF(COUNT(*) = 0, 'CREATE SQL SECURITY INVOKER VIEW view_udp_quad AS SELECT
  _id,
  IF(LEFT(ip_saddr_bin, 12) = X''00000000000000000000FFFF'', CONCAT(''::ffff:'', INET6_NTOA(SUBSTRING(ip_saddr_bin, 13))),
    LOWER(CONCAT(HEX(SUBSTRING(ip_saddr_bin, 1, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 3, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 5, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 7, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 9, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 11, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 13, 2)), '':'', HEX(SUBSTRING(ip_saddr_bin, 15, 2))))) AS ip_saddr_str,
  udp_sport,
  IF(LEFT(ip_daddr_bin, 12) = X''00000000000000000000FFFF'', CONCAT(''::ffff:'', INET6_NTOA(SUBSTRING(ip_daddr_bin, 13))),
    LOWER(CONCAT(HEX(SUBSTRING(ip_daddr_bin, 1, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 3, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 5, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 7, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 9, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 11, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 13, 2)), '':'', HEX(SUBSTRING(ip_daddr_bin, 15, 2))))) AS ip_daddr_str,
  udp_dport
FROM ulog
WHERE ip_protocol = 17', 'DO 0')
FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = 'view_udp_quad');

PREPARE nflog_view FROM @nflog_view;

EXECUTE nflog_view;

DEALLOCATE PREPARE nflog_view;
