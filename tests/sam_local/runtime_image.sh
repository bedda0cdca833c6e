#!/usr/bin/env bash
# Makes a stand-in for AWS's python3.13 Lambda image out of Debian 13, whose own Python is 3.13, under the name
# that SAM looks for. For machines that reach no image registry: pass `--skip-pull-image` to `sam local` there.
# Does nothing when the image is present, so where a registry can be reached, `docker pull` the real one first.
#
# Same as the real one: where things lie, environment, search path, boto3 and the runtime client; SAM adds the
# runtime emulator to either. Not the same: Debian's C library is newer than Lambda's (2.34), so a layer may load
# here and not there; what guards that is the --platform tags that the layer is built with.
set -euo pipefail

readonly debian=trixie python=3.13
readonly runtime_packages=(awslambdaric==4.2.2 boto3==1.44.5)
case $(uname -m) in
    x86_64) readonly architecture=x86_64 wheels=manylinux2014_x86_64 ;;
    aarch64 | arm64) readonly architecture=arm64 wheels=manylinux2014_aarch64 ;;
    *) echo "runtime_image.sh: Lambda has no $(uname -m)" >&2 && exit 1 ;;
esac
readonly repository=public.ecr.aws/lambda/python
readonly image=$repository:$python-$architecture
# What SAM derives from it, for functions without layers.
readonly derived=$repository:$python-rapid-$architecture

fail() {
    echo "runtime_image.sh: $*" >&2
    exit 1
}

quietly() { # command...: its output only when it fails
    "$@" >"$staging/log" 2>&1 || {
        cat "$staging/log" >&2
        fail "failed: $*"
    }
}

# Debian's mirror as this machine's apt knows it, be it from sources.list or from deb822 files.
debian_mirror() {
    # shellcheck source=/dev/null
    . /etc/os-release
    [[ $ID == debian ]] || fail "builds on Debian only: pull or load $image yourself"
    # shellcheck disable=SC2016  # apt fills in $(REPO_URI)
    apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' "Codename: $VERSION_CODENAME" | sed -n 1p
}

build_root() { # tar file to write
    local mirror
    if ! command -v mmdebstrap >/dev/null; then
        ((EUID == 0)) || fail "needs mmdebstrap, and only root can install it"
        quietly apt-get update
        # The keyring too: an older one lacks this release's key.
        DEBIAN_FRONTEND=noninteractive quietly apt-get install -y --no-install-recommends \
            mmdebstrap debian-archive-keyring
    fi
    mirror=$(debian_mirror)
    [[ -n $mirror ]] || fail "apt has no Debian mirror: run apt-get update, and look at /etc/apt"

    mkdir -p "$staging/runtime" "$staging/lang/bin"
    ln -s "/usr/bin/python$python" "$staging/lang/bin/python$python"
    ln -s "python$python" "$staging/lang/bin/python3"
    ln -s python3 "$staging/lang/bin/python"
    # No compiling here: this pip's Python need not be 3.13.
    quietly python3 -m pip install --no-compile --only-binary=:all: --platform "$wheels" --python-version "$python" \
        --target "$staging/runtime" "${runtime_packages[@]}"
    # Layers before the runtime's own packages, as in Lambda; awslambdaric puts /var/task before both.
    cat >"$staging/runtime/bootstrap" <<BOOTSTRAP
#!/bin/sh
export AWS_EXECUTION_ENV=AWS_Lambda_python$python
export PYTHONPATH="\${PYTHONPATH:+\$PYTHONPATH:}/opt/python/lib/python$python/site-packages:/opt/python:/var/runtime"
exec /var/lang/bin/python$python -m awslambdaric "\$_HANDLER"
BOOTSTRAP
    chmod +x "$staging/runtime/bootstrap"

    # libstdc++6: wheels such as onnxruntime's take it from the system, and Lambda's has it.
    # shellcheck disable=SC2016  # mmdebstrap fills in $1, the root being made
    quietly mmdebstrap --variant=essential --include="python$python,ca-certificates,libstdc++6" \
        --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' \
        --customize-hook="copy-in '$staging/runtime' '$staging/lang' /var" \
        --customize-hook="chroot \"\$1\" python$python -m compileall -q /var/runtime" \
        --customize-hook='mkdir -p "$1/var/task" "$1/opt"' \
        "$debian" "$1" "$mirror"
}

docker info >/dev/null 2>&1 || fail "no Docker engine answers: run engine.sh first"
# All versions stand in this file, so its digest tells stand-ins apart.
version=$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-16)
readonly version label=lifestream.stand-in
if present=$(docker image inspect --format "{{index .Config.Labels \"$label\"}}" "$image" 2>/dev/null); then
    # The real one has no such label, and is left alone.
    [[ -n $present && $present != "$version" ]] || exit 0
fi

staging=$(mktemp -d)
trap 'rm -rf "$staging"' EXIT
cache=${XDG_CACHE_HOME:-$HOME/.cache}/lifestream
mkdir -p "$cache"
exec 9>"$cache/runtime-image.lock"
flock 9

root=$cache/lambda-python$python-$architecture-$version.tar
if [[ ! -f $root ]]; then
    rm -f "$cache/lambda-python$python-$architecture-"*.tar
    build_root "$root.partial.tar"
    mv "$root.partial.tar" "$root"
fi

# The environment is that of AWS's published Dockerfiles.
docker import --change "LABEL $label=$version" \
    --change 'ENV LANG=en_US.UTF-8' \
    --change 'ENV TZ=:/etc/localtime' \
    --change 'ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin/:/bin:/opt/bin' \
    --change 'ENV LD_LIBRARY_PATH=/var/lang/lib:/lib64:/usr/lib64:/var/runtime:/var/runtime/lib:/var/task:/var/task/lib:/opt/lib' \
    --change 'ENV LAMBDA_TASK_ROOT=/var/task' \
    --change 'ENV LAMBDA_RUNTIME_DIR=/var/runtime' \
    --change 'WORKDIR /var/task' \
    "$root" "$image" >/dev/null
# With --skip-pull-image SAM would keep using what it derived from an earlier image of this name.
docker image rm --force "$derived" >/dev/null 2>&1 || true
echo "runtime_image.sh: made $image"
