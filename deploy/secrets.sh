#!/bin/sh
# Makes what docker-compose.yml mounts as secrets and is not there yet, for development: passwords, the pool's key file, a
# certificate authority and a certificate for every front end. What is there is kept, so that each file can be replaced by a
# real one; only the certificate is made anew when it has less than 30 days left or POOL_FQDN has changed, and only by the
# authority beside it.
#   secrets.sh [DIR]          deploy/secrets by default; POOL_FQDN and POOL_DOMAIN say for which names
set -eu
dir=${1:-$(dirname "$0")/secrets}
fqdn=${POOL_FQDN:-pool.example.test}
domain=${POOL_DOMAIN:-example.test}
# A directory for its owner only holds files everybody may read: the containers' users have other numbers than ours, and a
# mounted file is reached without its directory.
mkdir -p "$dir"
chmod 0700 "$dir"
cd "$dir"
umask 022

if ! command -v openssl >/dev/null; then
    echo "$0: needs openssl" >&2
    exit 1
fi
# Whole or not at all: save NAME takes the file from standard input.
save() { cat >"$1.new" && mv "$1.new" "$1"; }
lacks() { [ ! -s "$1" ]; }

for name in postgres_password redis_password; do
    lacks "$name" && openssl rand -hex 24 | save "$name"
done
# Redis gets the hash of its password, the servers get addresses with the password in them.
lacks redis_acl && printf 'user default on #%s ~* &* +@all\n' \
    "$(tr -d '\n' <redis_password | sha256sum | cut -d ' ' -f 1)" | save redis_acl
lacks state_url && printf 'redis://:%s@redis:6379\n' "$(cat redis_password)" | save state_url
lacks database_url && printf 'postgres://portico:%s@postgres:5432/portico\n' "$(cat postgres_password)" | save database_url
lacks node_key && printf 'portico-keys 1\nkey 1 %s\n' "$(openssl rand -base64 32)" | save node_key

if lacks ca.pem && lacks tls_certificate; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -sha256 -days 3650 \
        -subj '/CN=Portico development authority' -addext 'basicConstraints=critical,CA:TRUE,pathlen:0' \
        -addext 'keyUsage=critical,keyCertSign,cRLSign' -keyout ca.key -out ca.pem.new 2>/dev/null
    chmod 0600 ca.key
    mv ca.pem.new ca.pem
fi
is_good() {
    openssl x509 -in tls_certificate -noout -checkend 2592000 >/dev/null 2>&1 &&
        openssl x509 -in tls_certificate -noout -checkhost "$fqdn" | grep -q 'does match'
}
if [ -s ca.key ] && ! is_good; then
    request=$(mktemp)
    extensions=$(mktemp)
    trap 'rm -f "$request" "$extensions"' EXIT
    printf '%s\n' "subjectAltName=DNS:$fqdn,DNS:$domain,DNS:sip.$domain,DNS:localhost,IP:127.0.0.1,IP:::1" \
        'keyUsage=critical,digitalSignature' 'extendedKeyUsage=serverAuth' >"$extensions"
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj '/CN=Portico' \
        -keyout tls_private_key.new -out "$request" 2>/dev/null
    openssl x509 -req -in "$request" -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -sha256 \
        -extfile "$extensions" -out tls_certificate.new 2>/dev/null
    chmod 0644 tls_private_key.new
    cat ca.pem >>tls_certificate.new
    mv tls_private_key.new tls_private_key
    mv tls_certificate.new tls_certificate
    rm -f ca.srl
    echo "certificate for $fqdn made; clients have to trust $(pwd)/ca.pem"
fi

# Root can give the servers' files to the servers' user alone.
if [ "$(id -u)" = 0 ]; then
    for name in node_key state_url database_url tls_private_key; do
        chown 10001:10001 "$name"
        chmod 0400 "$name"
    done
fi
