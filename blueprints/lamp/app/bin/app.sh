#!/bin/bash
# Makes this instance an app server: Apache with PHP on port 8080.
# Wants INSTANCE, ZONE, REGION and CONFIGURATION (the name of the parameter with the endpoints).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)

# Endpoints and secrets are read once, with the instance's role, into a file that only Apache reads.
install -d -m 0750 -o root -g www-data /etc/lamp
umask 027
php "$here/bin/configure.php" > /etc/lamp/config.json.new
chgrp www-data /etc/lamp/config.json.new
mv /etc/lamp/config.json.new /etc/lamp/config.json
umask 022
php "$here/bin/migrate.php"

a2dismod -q -f mpm_event >/dev/null 2>&1 || true
a2enmod -q mpm_prefork rewrite "$(basename /etc/apache2/mods-available/php*.load .load)" >/dev/null
a2dissite -q 000-default >/dev/null 2>&1 || true
echo "Listen 8080" > /etc/apache2/ports.conf

# A connection that a load balancer keeps holds a process. Health checks need one besides, at once: too few
# spare ones, and a burst of requests makes a busy server look like a dead one.
cat > /etc/apache2/mods-available/mpm_prefork.conf <<CONF
StartServers 32
MinSpareServers 32
MaxSpareServers 64
MaxRequestWorkers 256
CONF

cat > /etc/apache2/sites-available/lamp.conf <<CONF
ServerName $INSTANCE
ServerTokens Prod
HostnameLookups Off
KeepAlive On
KeepAliveTimeout 75
MaxKeepAliveRequests 0

<VirtualHost *:8080>
    DocumentRoot $here/public
    <Directory $here/public>
        Require all granted
        Options None
        AllowOverride None
        FallbackResource /index.php
    </Directory>
    php_admin_value open_basedir "$here:/etc/lamp:/tmp"
    php_admin_flag expose_php off
    ErrorLog \${APACHE_LOG_DIR}/error.log
    LogFormat "%t %a \"%r\" %>s %O %D" lamp
    CustomLog \${APACHE_LOG_DIR}/access.log lamp
</VirtualHost>
CONF

a2ensite -q lamp >/dev/null
apache2ctl configtest
if [ -d /run/systemd/system ]; then
    systemctl enable -q apache2
    systemctl restart apache2
else
    apache2ctl restart
fi

for _ in $(seq 100); do
    curl -fsS -o /dev/null http://127.0.0.1:8080/health && exit 0
    sleep 0.1
done
exit 1
