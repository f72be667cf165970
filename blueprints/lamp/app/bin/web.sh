#!/bin/bash
# Makes this instance a web server: static files from here, everything else from the app tier.
# Wants INSTANCE, ZONE and UPSTREAM (the internal load balancer's host name).
set -eu

here=$(cd "$(dirname "$0")/.." && pwd)

a2enmod -q proxy proxy_http headers expires >/dev/null
a2dissite -q 000-default >/dev/null 2>&1 || true

cat > /etc/apache2/sites-available/lamp.conf <<CONF
ServerName $INSTANCE
ServerTokens Prod
HostnameLookups Off
# Load balancers keep connections for a minute; the server must not be the first to close.
KeepAlive On
KeepAliveTimeout 75
MaxKeepAliveRequests 0

<VirtualHost *:80>
    DocumentRoot $here/web
    <Directory $here/web>
        Require all granted
        Options None
        AllowOverride None
    </Directory>

    # What the load balancer asks: this server only, not the tier behind it.
    Alias /health $here/web/health
    <Files health>
        ForceType text/plain
    </Files>

    Header always set X-Web-Instance "$INSTANCE"
    Header always set X-Web-Zone "$ZONE"
    RequestHeader set X-Web-Instance "$INSTANCE"
    RequestHeader set X-Web-Zone "$ZONE"
    ExpiresActive On
    <Location /static/>
        ExpiresDefault "access plus 1 hour"
    </Location>

    ProxyPreserveHost On
    ProxyTimeout 10
    ProxyPass /health !
    ProxyPass /static/ !
    # The internal load balancer's addresses change: they must not be kept for ever.
    <IfVersion >= 2.4.59>
        ProxyPass / http://$UPSTREAM/ addressttl=2 connectiontimeout=1 retry=0 ttl=30
    </IfVersion>
    <IfVersion < 2.4.59>
        ProxyPass / http://$UPSTREAM/ disablereuse=on connectiontimeout=1 retry=0
    </IfVersion>
    ProxyErrorOverride Off

    ErrorLog \${APACHE_LOG_DIR}/error.log
    LogFormat "%t %a %{X-Forwarded-For}i \"%r\" %>s %O %D" lamp
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
    curl -fsS -o /dev/null http://127.0.0.1/health && exit 0
    sleep 0.1
done
exit 1
