#!/bin/sh
# What the official image's entry does, as far as docker-compose.yml needs it: makes the database at the first start from
# POSTGRES_USER, POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE and POSTGRES_DB, runs /docker-entrypoint-initdb.d/*.sql, then
# becomes the server. Any other command is run as it is.
set -eu
if [ "${1:-}" != postgres ]; then
    exec "$@"
fi

as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }

install -d -o postgres -g postgres -m 0700 "$PGDATA"
install -d -o postgres -g postgres -m 0755 /run/postgresql
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}
    password=${POSTGRES_PASSWORD:-}
    [ -z "${POSTGRES_PASSWORD_FILE:-}" ] || password=$(cat "$POSTGRES_PASSWORD_FILE")
    if [ -z "$password" ]; then
        echo "postgres: POSTGRES_PASSWORD or POSTGRES_PASSWORD_FILE is needed for a new database" >&2
        exit 1
    fi
    # A start that was interrupted leaves a directory initdb refuses.
    find "$PGDATA" -mindepth 1 -delete
    secret=$(mktemp)
    printf '%s\n' "$password" >"$secret"
    chown postgres "$secret"
    as_postgres initdb -D "$PGDATA" -U "$user" --pwfile="$secret" --encoding=UTF8 --locale=C.UTF-8 \
        --auth-local=trust --auth-host=scram-sha-256 >/dev/null
    rm -f "$secret"
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    # Only on its socket until it is complete, so that nobody finds it half made.
    as_postgres pg_ctl -D "$PGDATA" -w -o "-c listen_addresses=''" start >/dev/null
    if [ "$database" != postgres ]; then
        as_postgres createdb -U "$user" "$database"
    fi
    for script in /docker-entrypoint-initdb.d/*.sql; do
        [ ! -e "$script" ] || as_postgres psql -q -v ON_ERROR_STOP=1 -U "$user" -d "$database" -f "$script"
    done
    as_postgres pg_ctl -D "$PGDATA" -w -m fast stop >/dev/null
fi
shift
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D "$PGDATA" -c listen_addresses='*' "$@"
