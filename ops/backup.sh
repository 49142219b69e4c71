#!/bin/sh
# Copies the state of a cluster while it works: Redis' append-only files, into a directory that this makes.
#     REDISCLI_AUTH=… sh backup.sh "redis-cli --user admin" /var/lib/redis /backup/monday
# The files of the nodes are copied after that, never before: Redis then names none that is not in their copy.
set -eu
cli=$1 redis=$2 target=$3
mkdir "$target"
# The files change their names while Redis rewrites them, so it must not begin to, and must have ended.
before=$($cli CONFIG GET auto-aof-rewrite-percentage | sed -n 2p)
trap '$cli CONFIG SET auto-aof-rewrite-percentage "$before" >/dev/null' EXIT
$cli CONFIG SET auto-aof-rewrite-percentage 0 >/dev/null
while $cli INFO persistence | grep -q 'aof_rewrite_\(in_progress\|scheduled\):1'; do sleep 0.2; done
cp -a "$redis/appendonlydir" "$target/"
