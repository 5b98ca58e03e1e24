#!/usr/bin/env bash
# Makes stubs from the proto and runs the example against $HOLDFAST_SERVER.
# Needs a Python with `pip install -r requirements.txt`; $PYTHON names it (default: python3).
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
stubs=$(mktemp -d)
trap 'rm -rf "$stubs"' EXIT
"$python" -m grpc_tools.protoc -I "$here/../../proto" \
  --python_out="$stubs" --grpc_python_out="$stubs" \
  holdfast/v1/types.proto holdfast/v1/log.proto holdfast/v1/transactions.proto \
  holdfast/v1/admin.proto
PYTHONPATH="$stubs" "$python" "$here/example.py"
