#!/bin/sh
# Install the Debian packages that `make test-system` needs. Run as root.
set -eu
export DEBIAN_FRONTEND=noninteractive
packages="buildah caddy catatonit chromium chromium-driver debootstrap docker-registry
  haproxy netavark nginx nodejs openjdk-17-jdk-headless podman postgresql runc skopeo wrk"
missing=$(for p in $packages; do dpkg -s "$p" >/dev/null 2>&1 || echo "$p"; done)
if [ -n "$missing" ]; then
  apt-get update -q
  # shellcheck disable=SC2086  # one argument a package
  apt-get install -y -q --no-install-recommends $missing
fi
