
-- The other tables and views of ulogd2's schema, based on the view ulog. Existing objects stay. There is
-- no equivalent of ulog2_ct and conntrack (connections), nufw, view_nufw and nulog (NuFW), state_t, ip_proto, nfacct,
-- and of the functions that insert and delete packets.
CREATE VIEW IF NOT EXISTS ulog2 AS
SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_str, ip_daddr_str, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl, ip_csum, ip_id,
  ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff, ip6_fragid,
  raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS "timestamp"
FROM ulog;

CREATE VIEW IF NOT EXISTS tcp AS
SELECT
  _id AS _tcp_id, tcp_sport, tcp_dport, tcp_seq, tcp_ackseq, tcp_window, tcp_urg, tcp_urgp, tcp_ack,
  tcp_psh, tcp_rst, tcp_syn, tcp_fin
FROM ulog
WHERE ip_protocol = 6;

CREATE VIEW IF NOT EXISTS udp AS
SELECT
  _id AS _udp_id, udp_sport, udp_dport, udp_len
FROM ulog
WHERE ip_protocol = 17;

CREATE VIEW IF NOT EXISTS sctp AS
SELECT
  _id AS _sctp_id, sctp_sport, sctp_dport, sctp_csum
FROM ulog
WHERE ip_protocol = 132;

CREATE VIEW IF NOT EXISTS icmp AS
SELECT
  _id AS _icmp_id, icmp_type, icmp_code, icmp_echoid, icmp_echoseq, icmp_gateway, icmp_fragmtu
FROM ulog
WHERE ip_protocol = 1;

CREATE VIEW IF NOT EXISTS icmpv6 AS
SELECT
  _id AS _icmpv6_id, icmpv6_type, icmpv6_code, icmpv6_echoid, icmpv6_echoseq, icmpv6_csum
FROM ulog
WHERE ip_protocol = 58;

CREATE VIEW IF NOT EXISTS mac AS
SELECT
  _id AS _mac_id, mac_saddr_str AS mac_saddr, mac_daddr_str AS mac_daddr,
  oob_protocol AS mac_protocol
FROM ulog
WHERE mac_saddr_str IS NOT NULL;

CREATE VIEW IF NOT EXISTS hwhdr AS
SELECT
  _id AS _hw_id, raw_type, mac_str AS raw_header
FROM ulog
WHERE mac_saddr_str IS NULL;

CREATE VIEW IF NOT EXISTS view_tcp AS
SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_str, ip_daddr_str, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl, ip_csum, ip_id,
  ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff, ip6_fragid,
  raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS "timestamp", _id AS _tcp_id, tcp_sport, tcp_dport,
  tcp_seq, tcp_ackseq, tcp_window, tcp_urg, tcp_urgp, tcp_ack, tcp_psh, tcp_rst, tcp_syn, tcp_fin
FROM ulog
WHERE ip_protocol = 6;

CREATE VIEW IF NOT EXISTS view_udp AS
SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_str, ip_daddr_str, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl, ip_csum, ip_id,
  ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff, ip6_fragid,
  raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS "timestamp", _id AS _udp_id, udp_sport, udp_dport,
  udp_len
FROM ulog
WHERE ip_protocol = 17;

CREATE VIEW IF NOT EXISTS view_icmp AS
SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_str, ip_daddr_str, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl, ip_csum, ip_id,
  ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff, ip6_fragid,
  raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS "timestamp", _id AS _icmp_id, icmp_type,
  icmp_code, icmp_echoid, icmp_echoseq, icmp_gateway, icmp_fragmtu
FROM ulog
WHERE ip_protocol = 1;

CREATE VIEW IF NOT EXISTS view_icmpv6 AS
SELECT
  _id, oob_time_sec, oob_time_usec, oob_hook, oob_prefix, oob_mark, oob_in, oob_out, oob_family,
  ip_saddr_str, ip_daddr_str, ip_protocol, ip_tos, ip_ttl, ip_totlen, ip_ihl, ip_csum, ip_id,
  ip_fragoff, ip6_payloadlen, ip6_priority, ip6_hoplimit, ip6_flowlabel, ip6_fragoff, ip6_fragid,
  raw_label AS label, CASE WHEN mac_saddr_str IS NOT NULL THEN _id END AS mac_id,
  time AS "timestamp", _id AS _icmpv6_id, icmpv6_type,
  icmpv6_code, icmpv6_echoid, icmpv6_echoseq, icmpv6_csum
FROM ulog
WHERE ip_protocol = 58;

CREATE VIEW IF NOT EXISTS view_tcp_quad AS
SELECT
  _id, ip_saddr_str, tcp_sport, ip_daddr_str, tcp_dport
FROM ulog
WHERE ip_protocol = 6;

CREATE VIEW IF NOT EXISTS view_udp_quad AS
SELECT
  _id, ip_saddr_str, udp_sport, ip_daddr_str, udp_dport
FROM ulog
WHERE ip_protocol = 17;
