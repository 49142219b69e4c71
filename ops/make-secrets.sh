#!/bin/sh
# make-secrets.sh [DIRECTORY]: makes DIRECTORY/secrets (here, for compose.yaml): the key that signs packs, Redis users with
# passwords, and who logs in as whom.
# Where there is one it stays as it is: whoever wants new passwords moves it away.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
cd "${1:-$here}"
if [ -e secrets ]; then echo "make-secrets: $PWD/secrets is there already: move it away to make others" >&2; exit 1; fi
umask 077
mkdir secrets.new
random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }
random > secrets.new/disco-rq
cp "$here/users.conf" secrets.new/users.conf
for user in client master worker webhooks viewer admin replica sentinel; do
    password=$(random)
    # By a pipe: anybody may read a command line.
    echo "s/>CHANGE-$user />$password /" | sed -f /dev/stdin secrets.new/users.conf > secrets.new/next
    mv secrets.new/next secrets.new/users.conf
    case $user in
        client | viewer | admin) echo "DISCO_RQ_REDIS=redis://$user:$password@redis:6379/0" > "secrets.new/$user.env" ;;
        master) echo "DISCO_RQ_REDIS=redis://$user:$password@redis:6379/0" > secrets.new/master.env ;;
        webhooks) echo "RQ_REDIS_URL=redis://$user:$password@redis:6379/0" > secrets.new/webhooks.env ;;
        worker) echo "DISCO_RQ_REDIS=redis://$user:$password@redis:6379/0" > secrets.new/node.env ;;
    esac
done
# Containers read these two with users of their own; on this machine nobody else gets into the directory.
chmod 0644 secrets.new/disco-rq secrets.new/users.conf
mv secrets.new secrets
echo "made $PWD/secrets" >&2
