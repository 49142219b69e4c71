#!/bin/sh
# Copies the state of a cluster while it works: Redis' append-only files, into a directory that this makes.
#     REDISCLI_AUTH=… sh backup.sh "redis-cli --user admin" /var/lib/redis /backup/monday
# The files of the nodes are copied after that, never before: Redis then names none that is not in their copy.
set -eu
[ $# = 3 ] || { sed -n 2,4p "$0" >&2; exit 2; }
cli=$1 redis=$2 target=$3

refused() {
  echo "backup.sh: no backup: Redis answers to $1: ${2:-nothing}" >&2
  exit 1
}
# The files change their names while Redis rewrites them, so it must not begin to, and must have ended.
# redis-cli ends with 0 whatever Redis answers, so that is looked at.
rewrite_at() {
  said=$($cli CONFIG SET auto-aof-rewrite-percentage "$1")
  [ "$said" = OK ] || refused "CONFIG SET" "$said"
}
said=$($cli CONFIG GET auto-aof-rewrite-percentage) || refused "CONFIG GET" "$said"
before=$(echo "$said" | sed -n 2p)
case $before in '' | *[!0-9]*) refused "CONFIG GET" "$said" ;; esac
mkdir "$target"
trap 'rewrite_at "$before"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
rewrite_at 0
while :; do
  said=$($cli INFO persistence)
  case $said in
    *aof_rewrite_in_progress:1* | *aof_rewrite_scheduled:1*) sleep 0.2 ;;
    *aof_rewrite_in_progress:0*) break ;;
    *) refused "INFO persistence" "$said" ;;
  esac
done
cp -a "$redis/appendonlydir" "$target/"
