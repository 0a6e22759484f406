#!/bin/bash
# All that only a GPU can show, in one command: results, stray accesses and races, times, counters.
#   tests/bench/gpu.sh [OUT]
# OUT, build/gpu-results if not given, takes conformance.log, sanitizer.log, gemm.txt, kernels.json and
# counters.csv. It needs nvcc, and a Python that has PyTorch with CUDA: $PYTHON, else python3.
# $BUILT names a folder with conformance, libneedle_cuda.so, libneedle_slots.so and gemm that were
# built elsewhere. Ends with status 1 if a result is wrong; times are for reading.
cd "$(dirname "$0")/../.." || exit 1
out=$(realpath -m "${1:-build/gpu-results}") python=${PYTHON:-python3} built=$BUILT
mkdir -p "$out"
if ! nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2> /dev/null; then
  echo "gpu.sh: there is no GPU here, or no driver; ./course test sim needs neither"
  exit 2
fi
if [ -z "$built" ]; then
  ./course build || exit 1
  .venv/bin/ninja -C build/release tests/libneedle_slots.so || exit 1
  built=$PWD/build/gpu
  mkdir -p "$built"
  cp build/release/{tests/conformance,tests/libneedle_slots.so,cuda/libneedle_cuda.so} "$built"
fi
export LD_LIBRARY_PATH=$built:$LD_LIBRARY_PATH
status=0
check() {  # WHAT LOG COMMAND…
  local what=$1 log=$2
  shift 2
  if "$@" > "$log" 2>&1; then
    echo "ok   $what"
  else
    echo "FAIL $what: $log"
    status=1
  fi
}

echo "--- conformance on device cuda"
check conformance "$out/conformance.log" \
  env NEEDLE_DEVICE=cuda timeout 600 "$built/conformance" --no-colors=true --duration=true
sanitizer=$(PATH=$PATH:/usr/local/cuda/bin type -P compute-sanitizer)
for tool in memcheck racecheck; do
  check "compute-sanitizer, $tool" "$out/$tool.log" \
    env NEEDLE_DEVICE=cuda timeout 600 "$sanitizer" --tool $tool --error-exitcode 9 \
    "$built/conformance" --no-colors=true -tc="softmax*,norm*,cross_entropy*,matmul of batches"
done

echo "--- matrix products against cuBLAS"
bash tests/gpu/gemm.sh "$built/gemm" | tee "$out/gemm.txt"
if [ ! -s "$out/gemm.txt" ] || grep -q "^FAIL\|exit" "$out/gemm.txt"; then status=1; fi

echo "--- kernels against PyTorch"
"$python" tests/gpu/kernels.py "$built/libneedle_slots.so" "$out/kernels.json" || status=1

echo "--- counters of the ladders"
counter=l1tex__t metric=
for what in sectors requests; do
  for access in ld st; do metric+=${counter}_${what}_pipe_lsu_mem_global_op_$access.sum,; done
done
ncu --nvtx --nvtx-include "regex:.* v[0-9]/" --csv \
  --metrics "${metric}l1tex__data_pipe_lsu_wavefronts_mem_shared.sum" \
  "$python" tests/gpu/ladders.py "$built/libneedle_slots.so" > "$out/counters.csv" \
  && "$python" tests/gpu/counters.py "$out/counters.csv" > "$out/counters.json" \
  && echo "ok   $out/counters.json"
exit $status
