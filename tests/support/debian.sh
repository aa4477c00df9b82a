#!/usr/bin/env bash
# Install the Debian packages that the tests need, where this account may; else say in one line what is missing.
# The list stands here and nowhere else: a command, and the package that has it.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin$(printf ':%s' /usr/lib/postgresql/*/bin)"

needed=(chromium:chromium adduser:adduser setpriv:util-linux postgres:postgresql
    skopeo:skopeo umoci:umoci bwrap:bubblewrap docker-registry:docker-registry podman:podman zsh:zsh fish:fish)
consequence="tests that need them are skipped"
if [ "${1:-}" = venv ]; then
    needed=(no-such-command:python3-venv)
    consequence="no virtual environment can be made"
fi

missing=()
for pair in "${needed[@]}"; do
    command -v "${pair%%:*}" > /dev/null || missing+=("${pair##*:}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get > /dev/null || return
    echo "installing ${missing[*]}" >&2
    apt-get -qq update < /dev/null &&
        DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends "${missing[@]}" \
            < /dev/null > /dev/null
}

if ! install; then
    echo "missing, and could not be installed: ${missing[*]}; $consequence" >&2
    [ "${1:-}" != venv ]
fi
