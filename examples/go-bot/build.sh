#!/usr/bin/env sh
# Makes the component: ./build.sh
set -eu
cd "$(dirname "$0")"
mkdir -p build
GOOS=wasip1 GOARCH=wasm go build -buildmode=c-shared -ldflags='-s -w -checklinkname=0' -o build/core.wasm .
"${SIDENOTE:-sidenote}" plugin pack build/core.wasm \
  --wit wit --world chatbot-plugin --manifest manifest.json -o example-bot.wasm
