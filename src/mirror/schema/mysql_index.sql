
-- Optional: the index that covers the dashboards' queries. A server with an innodb_page_size below 16k or
-- with ROW_FORMAT=COMPACT rejects it, and keeps the short index.
SET @nflog_index = (SELECT IF(COUNT(*) > 2, 'DO 0', 'ALTER TABLE packets DROP KEY by_source, ADD KEY by_source
(source, destination_port, protocol, time, host, prefix, country, length, weight, latitude, longitude, tcp_dport, udp_dport)')
FROM information_schema.statistics
WHERE table_schema = DATABASE() AND table_name = 'packets' AND index_name = 'by_source');

PREPARE nflog_index FROM @nflog_index;

EXECUTE nflog_index;

DEALLOCATE PREPARE nflog_index;

