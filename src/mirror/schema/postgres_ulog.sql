
-- The columns of ulogd2. Compare oob_time_sec with whole numbers, as in
-- `oob_time_sec > extract(epoch FROM now())::int - 600`: no index serves a comparison with a numeric.
-- Ours is replaced; another `ulog`, as ulogd has, is left as it is.
DO $do$ BEGIN IF to_regclass('ulog') IS NOT NULL AND 3 <> (
  SELECT count(*) FROM pg_attribute
  WHERE attrelid = to_regclass('ulog') AND attname IN ('country', 'asn', 'weight') AND NOT attisdropped
) THEN RAISE EXCEPTION '"ulog" is not nflog_exporter''s and was left as it is: ALTER TABLE ulog RENAME TO ulogd_ulog, and run this again'
; END IF; EXECUTE $view$
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
FROM packets
$view$; END $do$;
