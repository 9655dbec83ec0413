#!/bin/sh
# Creates the user of Grafana, who can only read the rows. The entry point of the image of MariaDB runs it once, after it
# has created the database and before the server listens.
set -eu
MYSQL_PWD=$MARIADB_ROOT_PASSWORD mariadb --user=root <<SQL
CREATE USER grafana@'%' IDENTIFIED BY '$NFLOG_MYSQL_PASSWORD';
GRANT SELECT ON $MARIADB_DATABASE.* TO grafana@'%';
SQL
