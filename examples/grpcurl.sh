#!/usr/bin/env bash
# Holdfast from the shell, with grpcurl and nothing else: the server describes itself (reflection).
# Checks itself: ends with an error when what was read is not what was written.
set -euo pipefail
server=${HOLDFAST_SERVER:-localhost:7401}
server=${server%%,*}
topic="example-grpcurl-$$-$RANDOM"

call() {
  grpcurl -plaintext -max-time 30 -d "$2" "$server" "holdfast.v1.$1"
}

expect() {
  if ! grep -q -- "$1" <<<"$2"; then
    printf 'FAILED: expected %s in:\n%s\n' "$1" "$2" >&2
    exit 1
  fi
  echo "ok: $3"
}

services=$(grpcurl -plaintext "$server" list)
expect holdfast.v1.Log "$services" "the services are listed"
health=$(grpcurl -plaintext -d '{}' "$server" grpc.health.v1.Health/Check)
expect SERVING "$health" "the node is healthy"

call Admin/CreateTopic "{\"name\": \"$topic\", \"queue_count\": 1}" >/dev/null
body=$(printf 'hello from the shell' | base64)
ack=$(call Log/Produce "{\"topic\": \"$topic\", \"messages\": [{\"key\": \"k\", \"body\": \"$body\"}]}")
expect '"durability": "MAJORITY_FSYNC"' "$ack" "a message is stored"

batch=$(call Log/Fetch "{\"topic\": \"$topic\", \"queue\": 0, \"offset\": 0}")
expect "\"body\": \"$body\"" "$batch" "and read back"

call Log/CommitOffset "{\"group\": \"$topic\", \"topic\": \"$topic\", \"offsets\": [{\"offset\": 1}]}" \
  >/dev/null
place=$(call Log/GetOffset "{\"group\": \"$topic\", \"topic\": \"$topic\"}")
expect '"offset": "1"' "$place" "a committed offset is kept"

refused=$(call Log/Fetch "{\"topic\": \"$topic\", \"offset\": 99}" 2>&1 || true)
expect OutOfRange "$refused" "an offset past the end is refused"
expect '"reason": "OFFSET_OUT_OF_RANGE"' "$refused" "with its reason"

call Admin/DeleteTopic "{\"name\": \"$topic\"}" >/dev/null
echo "all checks passed"
