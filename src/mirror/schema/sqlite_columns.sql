ALTER TABLE packets ADD COLUMN ct_state TEXT;

ALTER TABLE packets ADD COLUMN ct_zone INTEGER;

ALTER TABLE packets ADD COLUMN source_network_name TEXT;

ALTER TABLE packets ADD COLUMN destination_network_name TEXT;

ALTER TABLE packets ADD COLUMN list TEXT;
