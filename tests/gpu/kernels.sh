#!/bin/sh
# The CUDA kernels on a GPU: conformance on device cuda, then results and times against PyTorch.
#   tests/gpu/kernels.sh DIR [OUT]
# DIR holds conformance, libneedle_cuda.so and libneedle_slots.so, with the libraries they need;
# OUT takes conformance.log and kernels.json. Python has PyTorch.
set -u
here=$(dirname "$0")
dir=$1
out=${2:-.}
export LD_LIBRARY_PATH="$dir:${LD_LIBRARY_PATH:-}"
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader
echo "== conformance"
NEEDLE_DEVICE=cuda timeout "${CONFORMANCE_SECONDS:-240}" "$dir/conformance" --no-colors=true \
  --duration=true ${CONFORMANCE_ARGS:-} > "$out/conformance.log" 2>&1
echo "exit $?"
grep -E "^[0-9.]+ s:" "$out/conformance.log"
grep -B 3 -A 24 -m 12 -E "ERROR" "$out/conformance.log" | head -n 80
tail -n 3 "$out/conformance.log"
echo "== kernels"
timeout 300 python3 "$here/kernels.py" "$dir/libneedle_slots.so" "$out/kernels.json"
