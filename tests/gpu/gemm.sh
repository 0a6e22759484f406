#!/bin/bash
# Builds (unless given a program), checks and times the matrix products of cuda/gemm on this machine's
# GPU. A few minutes. Every check and timing is a process of its own, with a limit: one that hangs
# costs no more than that, and its family is not timed.
#   tests/gpu/gemm.sh [PROGRAM]
program=$(realpath "${1:-./none}")
cd "$(dirname "$0")" || exit 1
if [ ! -x "$program" ]; then
  cd ../.. || exit 1
  out=$(mktemp -d); program=$out/gemm
  flags="-std=c++20 --expt-relaxed-constexpr -O3 -I."
  for f in gemm simt thin mma; do nvcc $flags -arch=sm_90 -c cuda/gemm/$f.cu -o "$out/$f.o" & done
  nvcc $flags -gencode=arch=compute_90a,code=sm_90a -DNEEDLE_SM90A -c cuda/gemm/wgmma_sm90.cu \
    -o "$out/wgmma.o" &
  nvcc $flags -arch=sm_90 -c tests/gpu/gemm.cu -o "$out/check.o" &
  nvcc -std=c++20 -I. -c needle/array/dtype.cc -o "$out/dtype.o" &
  wait
  nvcc -arch=sm_90 -cudart static -o "$program" "$out"/*.o -ldl || exit 1
fi
# cuBLAS: PyTorch's, or the toolkit's.
torch=$(python3 -c 'import nvidia, os; print(os.path.dirname(nvidia.__path__[0]))' 2>/dev/null)
cublas=$(ls -d "$torch"/nvidia/cu13/lib "$torch"/nvidia/cublas/lib /usr/local/cuda/lib64 2>/dev/null | tr '\n' ':')
export LD_LIBRARY_PATH=$cublas$LD_LIBRARY_PATH
nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit,temperature.gpu --format=csv,noheader

hung=""
check() {
  timeout -k 2 60 "$program" check "$1"
  local rc=$?
  if [ $rc -ge 124 ]; then echo "FAIL $1: exit $rc (hangs?)"; hung="$hung ${1%%:*}"; fi
}
time_() {  # KERNEL TYPE M N K FORM
  case " $hung " in *" ${1%%:*} "*) echo "$1: not timed"; return;; esac
  timeout -k 2 25 "$program" time "$@" || echo "$* : exit $?"
}

echo "--- checks"
for k in wgmma:256:1 wgmma:256:2 wgmma:128:1 wgmma:128:2 wgmma:256:2:8:3 wgmma mma:1 mma:3 thin auto simt simt:large \
  simt:wide simt:small simt:small:3; do check $k; done
echo "--- wgmma, bfloat16"
for v in 256:1:16 256:1:8 256:2:4 256:2:8 256:2:16 128:2:8 128:1:16; do
  time_ wgmma:$v bfloat16 8192 8192 8192 nn
done
for f in nt tn tt; do time_ wgmma:256:2:8 bfloat16 8192 8192 8192 $f; done
time_ wgmma:256:1:16 bfloat16 8192 8192 8192 nt
time_ wgmma:256:2:8 float16 8192 8192 8192 nn
for v in 256:1:16 256:2:8 128:1:16 128:2:8; do time_ wgmma:$v bfloat16 4096 4096 4096 nt; done
for v in 256:1:16 256:2:8 128:1:16 128:2:8; do time_ wgmma:$v bfloat16 2048 2048 2048 nt; done
for v in 128:1:16:1 128:1:16:2 128:2:8:2 256:1:16:1; do time_ wgmma:$v bfloat16 1024 1024 1024 nt; done
for v in 128:1:16:1 128:1:16:2 128:1:16:4 128:1:16:8; do time_ wgmma:$v bfloat16 128 4096 4096 nt; done
echo "--- simt, float32"
for f in nn nt tn tt; do time_ simt:large float32 4096 4096 4096 $f; done
for f in nn nt; do time_ simt:wide float32 4096 4096 4096 $f; done
time_ simt:small float32 4096 4096 4096 nn
time_ simt:large float32 8192 8192 8192 nn
time_ auto float32 4095 4095 4095 nn
echo "--- mma"
for f in nn nt tn tt; do time_ mma:1 bfloat16 4096 4096 4096 $f; done
echo "--- few rows"
for m in 1 4 16; do
  for f in nt nn; do time_ thin bfloat16 $m 4096 4096 $f; done
done
time_ thin bfloat16 1 16384 4096 nt
time_ thin bfloat16 1 16384 4096 nn
time_ thin bfloat16 8 4096 16384 nt
for m in 1 4 16; do
  for f in nt nn; do time_ thin float32 $m 4096 4096 $f; done
done
echo "--- auto"
for s in "32 4096 4096" "64 4096 4096" "256 4096 4096" "512 512 512" "1024 1024 1024" "2048 2048 2048" "512 2048 512"; do
  time_ auto bfloat16 $s nt
done
for s in "128 4096 4096" "512 512 512" "1024 1024 1024" "2048 2048 2048" "2048 512 512"; do time_ auto float32 $s nt; done
echo "--- compute-sanitizer"
sanitize() {  # TOOL KERNEL
  timeout -k 2 45 compute-sanitizer --tool $1 --print-limit 3 "$program" check $2 few 2>&1 | tail -4
}
sanitize memcheck simt:large; sanitize memcheck thin; sanitize memcheck mma:1
sanitize racecheck simt:large; sanitize racecheck mma:1; sanitize racecheck thin
nvidia-smi --query-gpu=temperature.gpu,clocks.sm,power.draw --format=csv,noheader
