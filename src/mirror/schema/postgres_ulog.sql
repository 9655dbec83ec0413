
-- Names and types are those of ulogd2; the ones of its first version (ip_saddr, ip_daddr, id) and our own are last.
-- NULL, because rows do not have them: ip_tos, ip_ihl, ip_csum, ip_id, ip_fragoff, ip6_priority,
-- ip6_flowlabel, ip6_fragoff, ip6_fragid, tcp_seq, tcp_ackseq, tcp_window, tcp_urgp, udp_len, sctp_csum, icmp_echoid,
-- icmp_echoseq, icmp_gateway, icmp_fragmtu, icmpv6_echoid, icmpv6_echoseq, icmpv6_csum; mac_str, mac_daddr_str, raw_label.
-- The columns of ulogd2. Compare oob_time_sec with whole numbers, as in
-- `oob_time_sec > extract(epoch FROM now())::int - 600`: a comparison with a numeric uses no index.
-- Our own view is replaced; another `ulog`, such as ulogd's, is not changed.
DO $do$ BEGIN IF to_regclass('ulog') IS NOT NULL AND 3 <> (
  SELECT count(*) FROM pg_attribute
  WHERE attrelid = to_regclass('ulog') AND attname IN ('country', 'asn', 'weight') AND NOT attisdropped
) THEN RAISE EXCEPTION '"ulog" is not nflog_exporter''s and was left as it is: ALTER TABLE ulog RENAME TO ulogd_ulog, and run this again'
; END IF; IF to_regclass('ulog') IS NOT NULL AND NOT EXISTS (
  SELECT FROM pg_attribute WHERE attrelid = to_regclass('ulog') AND attname = '_id'
) THEN DROP VIEW ulog; END IF; EXECUTE $view$
CREATE OR REPLACE VIEW ulog AS
SELECT
  id AS _id,
  floor(date_part('epoch', time AT TIME ZONE 'UTC'))::bigint AS oob_time_sec,
  date_part('microseconds', time AT TIME ZONE 'UTC')::integer % 1000000 AS oob_time_usec,
  (array_position(
    ARRAY['prerouting', 'input', 'forward', 'output', 'postrouting', 'ingress', 'egress'], hook
  ) - 1)::smallint AS oob_hook,
  prefix AS oob_prefix,
  mark AS oob_mark,
  in_device AS oob_in,
  out_device AS oob_out,
  (CASE ip_version WHEN 4 THEN 2 WHEN 6 THEN 10 END)::smallint AS oob_family,
  source AS ip_saddr_str,
  destination AS ip_daddr_str,
  protocol AS ip_protocol,
  NULL::smallint AS ip_tos,
  CASE WHEN ip_version = 4 THEN ttl END AS ip_ttl,
  CASE WHEN ip_version = 4 THEN length END AS ip_totlen,
  NULL::smallint AS ip_ihl,
  NULL::integer AS ip_csum,
  NULL::integer AS ip_id,
  NULL::smallint AS ip_fragoff,
  CASE WHEN ip_version = 6 AND length >= 40 THEN length - 40 END AS ip6_payloadlen,
  NULL::smallint AS ip6_priority,
  CASE WHEN ip_version = 6 THEN ttl END AS ip6_hoplimit,
  NULL::bigint AS ip6_flowlabel,
  NULL::integer AS ip6_fragoff,
  NULL::bigint AS ip6_fragid,
  CASE WHEN protocol = 6 THEN source_port END AS tcp_sport,
  CASE WHEN protocol = 6 THEN destination_port END AS tcp_dport,
  NULL::bigint AS tcp_seq,
  NULL::bigint AS tcp_ackseq,
  NULL::integer AS tcp_window,
  tcp_flags & 32 <> 0 AS tcp_urg,
  NULL::integer AS tcp_urgp,
  tcp_flags & 16 <> 0 AS tcp_ack,
  tcp_flags & 8 <> 0 AS tcp_psh,
  tcp_flags & 4 <> 0 AS tcp_rst,
  tcp_flags & 2 <> 0 AS tcp_syn,
  tcp_flags & 1 <> 0 AS tcp_fin,
  CASE WHEN protocol = 17 THEN source_port END AS udp_sport,
  CASE WHEN protocol = 17 THEN destination_port END AS udp_dport,
  NULL::smallint AS udp_len,
  CASE WHEN protocol = 1 THEN icmp_type END AS icmp_type,
  CASE WHEN protocol = 1 THEN icmp_code END AS icmp_code,
  NULL::integer AS icmp_echoid,
  NULL::integer AS icmp_echoseq,
  NULL::integer AS icmp_gateway,
  NULL::smallint AS icmp_fragmtu,
  CASE WHEN protocol = 58 THEN icmp_type END AS icmpv6_type,
  CASE WHEN protocol = 58 THEN icmp_code END AS icmpv6_code,
  NULL::integer AS icmpv6_echoid,
  NULL::integer AS icmpv6_echoseq,
  NULL::integer AS icmpv6_csum,
  CASE WHEN LENGTH(hardware_address) = 6 THEN 1 END AS raw_type,
  NULL::varchar AS mac_str,
  CASE WHEN length(hardware_address) = 6 THEN encode(hardware_address, 'hex')::macaddr END AS mac_saddr_str,
  NULL::macaddr AS mac_daddr_str,
  CASE ip_version WHEN 4 THEN 2048 WHEN 6 THEN 34525 END AS oob_protocol,
  NULL::smallint AS raw_label,
  CASE WHEN protocol = 132 THEN source_port END AS sctp_sport,
  CASE WHEN protocol = 132 THEN destination_port END AS sctp_dport,
  NULL::smallint AS sctp_csum,
  id,
  CASE WHEN family(source) = 4 THEN source - inet '0.0.0.0' END AS ip_saddr,
  CASE WHEN family(destination) = 4 THEN destination - inet '0.0.0.0' END AS ip_daddr,
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
FROM packets
$view$; END $do$;
