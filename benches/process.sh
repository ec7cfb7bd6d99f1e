#!/usr/bin/env bash
# Whole-process benches: the release binary against the simulator in a process of its own. See benches/README.md.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --locked --release --quiet
exec python3 benches/process.py "${CARGO_TARGET_DIR:-target}/release/drivejob" "$@"
