#!/usr/bin/env sh
# Makes the component: ./build.sh
set -eu
cd "$(dirname "$0")"
target=wasm32-wasip2
rustup target list --installed | grep -qx "$target" || rustup target add "$target"
cargo build --release --target "$target"
# Lifts the manifest out of the code to where it can be read without running anything.
"${SIDENOTE:-sidenote}" plugin pack \
  "${CARGO_TARGET_DIR:-target}/$target/release/example_source.wasm" -o example-source.wasm
