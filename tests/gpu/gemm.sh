#!/bin/bash
# Checks and times the matrix products of cuda/gemm on this machine's GPU, in about 90 seconds.
#   tests/gpu/gemm.sh [PROGRAM]
# PROGRAM is what `gemm.sh --build PROGRAM` made, perhaps on another machine; without one that runs
# here it is built first. Every check, and each group of timings, is a process of its own, with a
# limit: one that hangs or faults costs no more than that. PARTS="checks" or PARTS="times" does one.
cd "$(dirname "$0")/../.." || exit 1

build() {  # PROGRAM
  local objects flags="-std=c++20 --expt-relaxed-constexpr -O3 -I." f
  objects=$(mktemp -d)
  for f in cuda/gemm/{gemm,sgemm,thin,mma} tests/gpu/gemm{,_time,_variants}; do
    nvcc $flags -gencode=arch=compute_80,code=sm_90 -c $f.cu -o "$objects/$(echo $f | tr / _).o" &
    [ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n
  done
  nvcc $flags -gencode=arch=compute_90a,code=sm_90a -DNEEDLE_SM90A -c cuda/gemm/wgmma_sm90.cu \
    -o "$objects/wgmma.o" &
  nvcc -std=c++20 -I. -c needle/array/dtype.cc -o "$objects/dtype.o" &
  wait
  nvcc -arch=sm_90 -cudart static -Xcompiler -static-libstdc++,-static-libgcc -o "$1" \
    "$objects"/*.o -ldl
}

if [ "$1" = --build ]; then build "$2"; exit; fi
program=$(realpath -m "${1:-gpu-carry/gemm}")
if ! "$program" 2> /dev/null | grep -q usage; then
  program=$(mktemp -d)/gemm
  build "$program" || exit 1
fi
# cuBLAS: PyTorch's, or the toolkit's.
torch=$(python3 -c 'import nvidia, os; print(os.path.dirname(list(nvidia.__path__)[0]))' 2> /dev/null)
cublas=$(ls -d "$torch"/nvidia/{cu13,cublas}/lib /usr/local/cuda/lib64 2> /dev/null | tr '\n' ':')
export LD_LIBRARY_PATH=$cublas$LD_LIBRARY_PATH
nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit,temperature.gpu \
  --format=csv,noheader

parts=${PARTS:-checks times}
[ "${parts#*checks}" = "$parts" ] || echo "--- checks"
[ "${parts#*checks}" = "$parts" ] || for kernel in wgmma wgmma:256:1 wgmma:256:2 wgmma:128:1:16:8 wgmma:128:2:8:3 mma:1 mma:3 thin auto \
  simt simt:large simt:small simt:small:3 \
  simt:{plain,deep,wide,tall,eight}; do
  timeout -k 2 20 "$program" check $kernel || echo "$kernel: exit $?"
done

[ "${parts#*times}" = "$parts" ] && exit
times() {  # NAME, and lines of the program's input
  echo "--- $1"
  timeout -k 2 "${SECONDS_EACH:-20}" "$program" time || echo "$1: exit $?"
}
grid() {  # KERNELS TYPE "M N K" FORMS
  local kernel form
  for kernel in $1; do for form in $4; do echo "$kernel $2 $3 $form"; done; done
}

{
  grid "simt:large simt:plain simt:deep simt:wide simt:tall simt:eight" float32 "4096 4096 4096" \
    "nn nt tn"
  grid "simt:large simt:small" float32 "4096 4096 4096" tt
  grid simt float32 "8192 8192 8192" nn
} | times "float32"
{
  grid "wgmma:256:1:16 wgmma:256:2:8" bfloat16 "8192 8192 8192" "nn nt tn tt"
  grid "wgmma:256:1:4 wgmma:256:1:8 wgmma:256:2:4 wgmma:256:2:16 wgmma:128:2:8" bfloat16 \
    "8192 8192 8192" nn
  grid wgmma float16 "8192 8192 8192" nn
} | times "bfloat16, large"
{
  grid "wgmma:256:1:16 wgmma:256:2:8 wgmma:128:1:16 mma" bfloat16 "4096 4096 4096" nt
  grid "wgmma:256:1:16 wgmma:256:2:8 wgmma:128:1:16" bfloat16 "2048 2048 2048" nt
  grid "wgmma:128:1:16:1 wgmma:128:1:16:2 wgmma:256:1:16:1" bfloat16 "1024 1024 1024" nt
  grid "wgmma:128:1:16:1 wgmma:128:1:16:4 wgmma:128:1:16:8" bfloat16 "128 4096 4096" nt
  for m in 32 64 256; do grid auto bfloat16 "$m 4096 4096" nt; done
  for n in 512 1024 2048; do grid auto float32 "$n $n $n" nt; done
  grid auto float32 "4095 4095 4095" nn
  grid auto float32 "128 4096 4096" nt
} | times "smaller"
{
  for m in 1 4 16; do
    grid thin bfloat16 "$m 4096 4096" "nt nn"
    grid thin float32 "$m 4096 4096" "nt nn"
  done
  grid thin bfloat16 "1 16384 4096" "nt nn"
  grid thin bfloat16 "8 4096 16384" nt
} | times "few rows"
nvidia-smi --query-gpu=temperature.gpu,clocks.sm,power.draw --format=csv,noheader
