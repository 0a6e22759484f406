// The half of tests/gpu/gemm.cu that takes times.
#include <dlfcn.h>

#include <chrono>
#include <cmath>
#include <memory>
#include <vector>

#include "tests/gpu/gemm_support.h"

namespace needle::cuda::check {
namespace {

using GemmEx = int (*)(void*, int, int, int, int, int, const void*, const void*, int, int,
                       const void*, int, int, const void*, void*, int, int, int, int);

struct Cublas {
  void* handle = nullptr;
  GemmEx gemm = nullptr;
  Cublas() {
    void* library = nullptr;
    for (const char* name : {"libcublas.so.13", "libcublas.so.12", "libcublas.so"}) {
      if (!library) library = dlopen(name, RTLD_NOW);
    }
    if (!library) return;
    auto create = reinterpret_cast<int (*)(void**)>(dlsym(library, "cublasCreate_v2"));
    gemm = reinterpret_cast<GemmEx>(dlsym(library, "cublasGemmEx"));
    if (!create || create(&handle) != 0) gemm = nullptr;
  }
};

__global__ void difference(const void* a, const void* b, int64_t n, int kind, double* sums) {
  double d = 0, s = 0;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n;
       i += gridDim.x * blockDim.x) {
    double x, y;
    if (kind == 0) x = static_cast<const float*>(a)[i], y = static_cast<const float*>(b)[i];
    if (kind == 1) x = static_cast<const double*>(a)[i], y = static_cast<const double*>(b)[i];
    if (kind == 2) {
      x = static_cast<float>(static_cast<const float16*>(a)[i]);
      y = static_cast<float>(static_cast<const float16*>(b)[i]);
    }
    if (kind == 3) {
      x = static_cast<float>(static_cast<const bfloat16*>(a)[i]);
      y = static_cast<float>(static_cast<const bfloat16*>(b)[i]);
    }
    d += (x - y) * (x - y), s += y * y;
  }
  atomicAdd(sums, d), atomicAdd(sums + 1, s);
}

}  // namespace

int time_one(const std::string& kernel, DType type, int64_t m, int64_t n, int64_t k,
             const std::string& form) {
  const bool ta = form[0] == 't', tb = form[1] == 't';
  const int64_t bytes = size_of(type);
  // Several copies of the inputs, so that none is in the L2 cache from the run before.
  const int64_t set = (m * k + k * n) * bytes;
  const int copies = static_cast<int>(std::clamp<int64_t>((int64_t{256} << 20) / set, 1, 16));
  std::vector<std::unique_ptr<Buffer>> as, bs;
  for (int i = 0; i < copies; ++i) {
    as.push_back(std::make_unique<Buffer>(m * k * bytes));
    bs.push_back(std::make_unique<Buffer>(k * n * bytes));
    fill(type, *as.back(), 10 + i), fill(type, *bs.back(), 50 + i);
  }
  Buffer ours(m * n * bytes), theirs(m * n * bytes), sums(16);
  ok(cudaMemset(ours.data, 0xff, ours.bytes), "memset");
  Problem p = {type,
               type,
               m,
               n,
               k,
               1,
               {nullptr, ta ? 1 : k, ta ? m : 1, 0},
               {nullptr, tb ? 1 : n, tb ? k : 1, 0},
               {ours.data, n, 1, 0}};
  static Cublas cublas;
  const int kinds[] = {0, 0, 0, 2, 14, 0, 1};  // cudaDataType of our DType
  const int data = kinds[static_cast<int>(type)], compute = type == DType::float64 ? 70 : 68;
  const float one = 1, zero = 0;
  const double one_d = 1, zero_d = 0;
  const void* alpha = type == DType::float64 ? (const void*)&one_d : &one;
  const void* beta = type == DType::float64 ? (const void*)&zero_d : &zero;
  int status = 0;
  const auto run_theirs = [&](int i) {  // columns first: c^T = b^T a^T
    const int lead_a = static_cast<int>(ta ? m : k), lead_b = static_cast<int>(tb ? k : n);
    status |=
        cublas.gemm(cublas.handle, tb, ta, n, m, k, alpha, bs[i % copies]->data, data, lead_b,
                    as[i % copies]->data, data, lead_a, beta, theirs.data, data, n, compute, -1);
  };
  const auto run_ours = [&](int i) {
    p.a.data = as[i % copies]->data, p.b.data = bs[i % copies]->data;
    return run(kernel, p);
  };
  if (!run_ours(0)) return std::printf("%-20s declined\n", kernel.c_str()), 1;
  ok(cudaDeviceSynchronize(), kernel.c_str());
  cudaEvent_t begin, end;
  cudaEventCreate(&begin), cudaEventCreate(&end);
  const auto milliseconds = [&](const auto& f, int times) {
    cudaEventRecord(begin);
    for (int i = 0; i < times; ++i) f(i);
    cudaEventRecord(end);
    ok(cudaEventSynchronize(end), kernel.c_str());
    float ms = 0;
    cudaEventElapsedTime(&ms, begin, end);
    return ms / times;
  };
  double norm = -1;
  if (cublas.gemm) {
    run_theirs(0);
    double host[2] = {};
    cudaMemset(sums.data, 0, 16);
    difference<<<512, 256>>>(ours.data, theirs.data, m * n, data == 14 ? 3 : data,
                             (double*)sums.data);
    cudaMemcpy(host, sums.data, 16, cudaMemcpyDeviceToHost);
    norm = std::sqrt(host[0] / host[1]);
  }
  const int times = static_cast<int>(std::clamp(12.0 / milliseconds(run_ours, 2), 2.0, 150.0));
  ok(cudaDeviceSynchronize(), kernel.c_str());
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) run_ours(i);
  const double host =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count() / 20;
  std::vector<double> a, b, ratio;
  for (int round = 0; round < 5; ++round) {
    b.push_back(cublas.gemm ? milliseconds(run_theirs, times) : 0);
    a.push_back(milliseconds(run_ours, times));
    ratio.push_back(b.back() / a.back());
  }
  const auto median = [](std::vector<double> v) {
    return std::sort(v.begin(), v.end()), v[v.size() / 2];
  };
  const double flops = 2.0 * m * n * k,
               moved = (m * k + k * n + m * n) * static_cast<double>(bytes);
  std::printf(
      "%-20s %-8s %5ldx%5ldx%5ld %s %8.1f us %7.1f TF/s %6.0f GB/s | cuBLAS %8.1f us %7.1f TF/s | "
      "%.3f%s err %.0e host %.1f us\n",
      kernel.c_str(), std::string(name_of(type)).c_str(), m, n, k, form.c_str(), median(a) * 1e3,
      flops / median(a) * 1e-9, moved / median(a) * 1e-6, median(b) * 1e3, flops / median(b) * 1e-9,
      median(ratio), status ? " (cuBLAS failed)" : "", norm, host * 1e6);
  return 0;
}

}  // namespace needle::cuda::check
