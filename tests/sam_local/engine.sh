#!/usr/bin/env bash
# Makes a Docker engine answer on this machine, for `sam local`: does nothing when one does already,
# otherwise installs Debian's docker.io and starts dockerd, which is left running.
# Wants root and Debian (12, tried) for that; anyone else brings an engine of their own.
set -euo pipefail

engine_answers() { docker info >/dev/null 2>&1; }

fail() {
    echo "engine.sh: $*" >&2
    exit 1
}

wait_for_engine() { # seconds [pid]: gives up early when that process has gone
    local deadline=$((SECONDS + $1)) pid=${2:-}
    until engine_answers; do
        ((SECONDS < deadline)) || return 1
        [[ -z $pid ]] || kill -0 "$pid" 2>/dev/null || return 1
        sleep 0.2
    done
}

# A killed dockerd leaves pid files. When their number has gone to some other process since, the next
# dockerd refuses to start, and takes that process for its containerd.
forget_dead() { # name pidfile
    local owner
    [[ -f $2 ]] || return 0
    owner=$(cat "/proc/$(<"$2")/comm" 2>/dev/null || true)
    [[ $owner == "$1" ]] || rm -f "$2"
}

start_dockerd() { # options...
    log=$(mktemp -t lifestream-dockerd.XXXXXX.log)
    # Its own session and no inherited output: a caller that waits for our pipe to close would wait for ever.
    setsid dockerd "$@" </dev/null >"$log" 2>&1 9>&- &
    wait_for_engine 60 $!
}

engine_answers && exit 0
[[ -z ${DOCKER_HOST:-} ]] || fail "DOCKER_HOST is set to $DOCKER_HOST, where no engine answers"
((EUID == 0)) || fail "no Docker engine answers, and only root can start one"

exec 9>/tmp/lifestream-engine.lock
flock 9

if ! command -v dockerd >/dev/null; then
    command -v apt-get >/dev/null || fail "no dockerd here, and no apt-get to install it with: install Docker"
    export DEBIAN_FRONTEND=noninteractive
    log=$(mktemp -t lifestream-docker-install.XXXXXX.log)
    # 9>&-: the package may start the engine as a service, which must not hold our lock.
    { apt-get update && apt-get install -y --no-install-recommends docker.io; } >"$log" 2>&1 9>&- || {
        cat "$log" >&2
        fail "apt-get could not install docker.io"
    }
fi

[[ ! -d /run/systemd/system ]] || systemctl start docker || true
forget_dead dockerd /var/run/docker.pid
forget_dead containerd /var/run/docker/containerd/containerd.pid
# One that somebody else started may still be coming up.
[[ ! -f /var/run/docker.pid ]] || ! wait_for_engine 30 || exit 0

# dockerd falls back to a slower storage driver by itself, but not to doing without iptables, which a nested
# container may lack. Published ports then go through docker-proxy, and only containers' way out is lost.
for options in "" "--iptables=false --ip6tables=false"; do
    # shellcheck disable=SC2086  # words, not one argument
    if start_dockerd $options; then
        echo "engine.sh: dockerd${options:+ $options} answers, its log is $log"
        exit 0
    fi
    echo "engine.sh: dockerd${options:+ $options} did not come up:" >&2
    { grep -v '\[core\]' "$log" || true; } | tail -n 15 >&2
done
fail "no Docker engine could be started"
