
-- Adds the columns that a table of an earlier program lacks. Servers with instant DDL (MySQL 8.0.12, MariaDB 10.3 and
-- later) change no row.
SET @nflog_columns = (SELECT IF(COUNT(*) > 0, 'DO 0', 'ALTER TABLE packets
ADD COLUMN ct_state ENUM(''new'', ''established'', ''related'', ''untracked''),
ADD COLUMN ct_zone SMALLINT UNSIGNED,
ADD COLUMN source_network_name VARCHAR(128),
ADD COLUMN destination_network_name VARCHAR(128),
ADD COLUMN list VARCHAR(128)')
FROM information_schema.columns
WHERE table_schema = DATABASE() AND table_name = 'packets' AND column_name = 'list');

PREPARE nflog_columns FROM @nflog_columns;

EXECUTE nflog_columns;

DEALLOCATE PREPARE nflog_columns;
