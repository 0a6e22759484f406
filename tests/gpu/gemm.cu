// The matrix products of cuda/gemm on a GPU: right, and how fast beside cuBLAS.
//
//   gemm check KERNEL [few]           awkward sizes, all forms and types, against sums in float64
//   gemm time KERNEL TYPE M N K FORM  median of pairs, beside cuBLAS; FORM: nn, nt, tn, tt (a, b; n:
//                                     rows contiguous)
// KERNEL: auto, simt[:large|wide|small[:slices]], thin, mma[:slices],
// wgmma[:columns[:cluster[:height[:slices]]]]; 0 leaves the choice to the kernel.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "cuda/gemm/gemm.h"
#include "cuda/gemm/host.h"

using namespace needle;
using namespace needle::cuda;

namespace {

void ok(cudaError_t e, const char* what) {
  if (e == cudaSuccess) return;
  std::printf("FAIL %s: %s\n", what, cudaGetErrorString(e));
  std::exit(1);
}

struct Buffer {
  void* data = nullptr;
  int64_t bytes = 0;
  explicit Buffer(int64_t n) : bytes(n) { ok(cudaMalloc(&data, std::max<int64_t>(n, 256)), "malloc"); }
  ~Buffer() { cudaFree(data); }
  Buffer(const Buffer&) = delete;
};

// --- what to multiply ---

__device__ float noise(uint64_t i, uint64_t seed) {
  uint64_t x = (i + 1) * 0x9e3779b97f4a7c15u + seed * 0xda942042e4dd58b5u;
  float sum = 0;
  for (int round = 0; round < 4; ++round) {
    x ^= x >> 31, x *= 0x7fb5d329728ea185u, x ^= x >> 27, x *= 0x81dadef4bc2dd44du;
    sum += static_cast<float>(x >> 40) * 0x1p-24f - 0.5f;
  }
  return sum * 1.7f;  // nearly normal
}
template <class T>
__global__ void fill_noise(T* to, int64_t n, uint64_t seed) {
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x)
    to[i] = static_cast<T>(noise(i, seed));
}
void fill(DType t, Buffer& b, uint64_t seed) {
  const int64_t n = b.bytes / size_of(t);
  if (t == DType::float32) fill_noise<<<1024, 256>>>(static_cast<float*>(b.data), n, seed);
  if (t == DType::float64) fill_noise<<<1024, 256>>>(static_cast<double*>(b.data), n, seed);
  if (t == DType::float16) fill_noise<<<1024, 256>>>(static_cast<float16*>(b.data), n, seed);
  if (t == DType::bfloat16) fill_noise<<<1024, 256>>>(static_cast<bfloat16*>(b.data), n, seed);
}

template <class T>
__device__ double number(T x) {
  if constexpr (std::is_same_v<T, double>) return x;
  return static_cast<float>(x);
}
/// want (batch, m, n) and the sums of the absolute products, in float64.
template <class T>
__global__ void oracle(Problem p, double* want, double* size) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= p.batch * p.m * p.n) return;
  const int64_t z = i / (p.m * p.n), row = i / p.n % p.m, column = i % p.n;
  const T* a = static_cast<const T*>(p.a.data) + z * p.a.batch + row * p.a.row;
  const T* b = static_cast<const T*>(p.b.data) + z * p.b.batch + column * p.b.column;
  double sum = 0, absolute = 0;
  for (int64_t k = 0; k < p.k; ++k) {
    const double product = number(a[k * p.a.column]) * number(b[k * p.b.row]);
    sum += product;
    absolute += fabs(product);
  }
  want[i] = sum;
  size[i] = absolute;
}

// --- kernels by name ---

std::vector<std::string> split(const std::string& s, char by) {
  std::vector<std::string> parts(1);
  for (char c : s) {
    if (c == by) {
      parts.emplace_back();
    } else {
      parts.back().push_back(c);
    }
  }
  return parts;
}

bool run(const std::string& kernel, const Problem& p) {
  const auto parts = split(kernel, ':');
  const auto at = [&](size_t i) { return i < parts.size() ? std::atoi(parts[i].c_str()) : 0; };
  if (parts[0] == "auto") return multiply(p), true;
  if (parts[0] == "thin") return multiply_thin(p);
  if (parts[0] == "mma") return multiply_mma(p, at(1));
  if (parts[0] == "wgmma") return multiply_wgmma(p, {at(1), at(2), at(3), at(4)});
  SimtCut cut = SimtCut::choose;
  if (parts.size() > 1 && parts[1] == "large") cut = SimtCut::large;
  if (parts.size() > 1 && parts[1] == "wide") cut = SimtCut::wide;
  if (parts.size() > 1 && parts[1] == "small") cut = SimtCut::small;
  return multiply_simt(p, cut, at(2)), true;
}

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

double host_number(DType t, const unsigned char* p) {
  if (t == DType::float32) return *reinterpret_cast<const float*>(p);
  if (t == DType::float64) return *reinterpret_cast<const double*>(p);
  if (t == DType::float16) return static_cast<float>(*reinterpret_cast<const float16*>(p));
  return static_cast<float>(*reinterpret_cast<const bfloat16*>(p));
}

// --- check ---

struct Case {
  DType in, out;
  int64_t m, n, k, batch;
  bool turned_a, turned_b, turned_c, shared_b, aligned;
};

struct Tally {
  int passed = 0, declined = 0, failed = 0;
};

void check(const std::string& kernel, const Case& c, Tally* tally) {
  const auto pitch = [&](int64_t n) { return c.aligned ? round_up(n, 8) + 8 : n + 1; };
  const int64_t lead_a = pitch(c.turned_a ? c.m : c.k), lead_b = pitch(c.turned_b ? c.k : c.n);
  const int64_t lead_c = pitch(c.turned_c ? c.m : c.n);
  const int64_t plane_a = lead_a * (c.turned_a ? c.k : c.m), plane_b = lead_b * (c.turned_b ? c.n : c.k);
  const int64_t plane_c = lead_c * (c.turned_c ? c.n : c.m);
  Buffer a(plane_a * c.batch * size_of(c.in)), b(plane_b * c.batch * size_of(c.in));
  Buffer out(plane_c * c.batch * size_of(c.out));
  const int64_t count = c.batch * c.m * c.n;
  Buffer want(count * 8), size(count * 8);
  fill(c.in, a, 1 + c.m), fill(c.in, b, 2 + c.n);
  Problem p = {c.in, c.out, c.m, c.n, c.k, c.batch,
               {a.data, c.turned_a ? 1 : lead_a, c.turned_a ? lead_a : 1, plane_a},
               {b.data, c.turned_b ? 1 : lead_b, c.turned_b ? lead_b : 1, c.shared_b ? 0 : plane_b},
               {out.data, c.turned_c ? 1 : lead_c, c.turned_c ? lead_c : 1, plane_c}, nullptr, 0};
  Buffer workspace(std::max<int64_t>(workspace_bytes(p), 64 * c.batch * c.m * c.n * 4));
  p.workspace = workspace.data, p.workspace_bytes = workspace.bytes;
  ok(cudaMemset(out.data, 0xff, out.bytes), "memset");
  ok(cudaMemset(workspace.data, 0xff, workspace.bytes), "memset");
  const unsigned blocks = static_cast<unsigned>((count + 127) / 128);
  if (c.in == DType::float32) oracle<float><<<blocks, 128>>>(p, (double*)want.data, (double*)size.data);
  if (c.in == DType::float64) oracle<double><<<blocks, 128>>>(p, (double*)want.data, (double*)size.data);
  if (c.in == DType::float16) oracle<float16><<<blocks, 128>>>(p, (double*)want.data, (double*)size.data);
  if (c.in == DType::bfloat16) oracle<bfloat16><<<blocks, 128>>>(p, (double*)want.data, (double*)size.data);
  ok(cudaDeviceSynchronize(), "oracle");
  if (!run(kernel, p)) {
    ++tally->declined;
    return;
  }
  const auto describe = [&](const char* what) {
    std::printf("FAIL %s %s->%s (%ld,%ld,%ld)x%ld %c%c%c%s%s: %s\n", kernel.c_str(),
                std::string(name_of(c.in)).c_str(), std::string(name_of(c.out)).c_str(), c.m, c.n, c.k,
                c.batch, "nt"[c.turned_a], "nt"[c.turned_b], "nt"[c.turned_c], c.shared_b ? " shared b" : "",
                c.aligned ? "" : " unaligned", what);
  };
  if (const cudaError_t e = cudaDeviceSynchronize(); e != cudaSuccess) {
    describe(cudaGetErrorString(e));
    std::printf("END %s: the device is lost after %d passed\n", kernel.c_str(), tally->passed);
    std::exit(1);
  }
  std::vector<unsigned char> got(out.bytes);
  std::vector<double> wanted(count), sizes(count);
  ok(cudaMemcpy(got.data(), out.data, out.bytes, cudaMemcpyDeviceToHost), "copy");
  ok(cudaMemcpy(wanted.data(), want.data, count * 8, cudaMemcpyDeviceToHost), "copy");
  ok(cudaMemcpy(sizes.data(), size.data, count * 8, cudaMemcpyDeviceToHost), "copy");
  const double out_error = c.out == DType::float64   ? 1e-15
                           : c.out == DType::float32 ? 0x1p-24
                           : c.out == DType::float16 ? 0x1p-11
                                                     : 0x1p-8;
  const double sum_error = c.in == DType::float64 ? 1e-15 : 2e-6;
  int64_t wrong = 0, first = -1, last = -1;
  double first_got = 0, worst = 0;
  std::vector<unsigned char> untouched(got.size(), 1);
  const int64_t bytes = size_of(c.out);
  for (int64_t i = 0; i < count; ++i) {
    const int64_t z = i / (c.m * c.n), row = i / c.n % c.m, column = i % c.n;
    const int64_t at = (z * p.c.batch + row * p.c.row + column * p.c.column) * bytes;
    std::memset(&untouched[at], 0, bytes);
    const double x = host_number(c.out, &got[at]);
    const double error = std::abs(x - wanted[i]);
    const double allowed = 1.001 * out_error * std::abs(wanted[i]) + sum_error * sizes[i] +
                           (c.out == DType::float16 ? 0x1p-25 : 0);
    if (!(error <= allowed)) {
      if (wrong++ == 0) first = i, first_got = x;
      last = i;
      worst = std::isfinite(error) ? std::max(worst, error) : 1e300;
    }
  }
  int64_t strayed = 0, stray_at = -1;
  for (size_t i = 0; i < got.size(); ++i) {
    if (untouched[i] && got[i] != 0xff && strayed++ == 0) stray_at = static_cast<int64_t>(i) / bytes;
  }
  if (wrong || strayed) {
    char text[300];
    std::snprintf(text, sizeof text,
                  "%ld of %ld wrong, first [%ld,%ld,%ld] got %.7g expected %.7g, last [%ld,%ld,%ld], worst "
                  "%.3g; %ld stray bytes, first element %ld",
                  wrong, count, first / (c.m * c.n), first / c.n % c.m, first % c.n, first_got,
                  first >= 0 ? wanted[first] : 0.0, last / (c.m * c.n), last / c.n % c.m, last % c.n, worst,
                  strayed, stray_at);
    if (++tally->failed <= 4) describe(text);
  } else {
    ++tally->passed;
  }
}

/// few: sizes that a slow checking tool can manage.
int check_all(const std::string& kernel, bool few) {
  const int64_t shapes[][3] = {{1, 1, 1},       {1, 1000, 776},  {3, 5, 7},        {5, 96, 40},
                               {16, 1024, 2048}, {1536, 8, 512},  {17, 33, 65},     {64, 64, 64},
                               {127, 129, 63},  {128, 256, 64},  {129, 257, 65},   {200, 300, 104},
                               {256, 512, 1024}, {511, 513, 1025}, {640, 72, 2048}, {1000, 520, 33},
                               {300, 280, 4096}, {8, 768, 0},     {1280, 1536, 192}};
  Tally tally;
  const bool plain = kernel.starts_with("simt") || kernel == "auto" || kernel == "thin";
  std::vector<std::pair<DType, DType>> types;
  if (plain) types.push_back({DType::float32, DType::float32});
  if (plain) types.push_back({DType::float64, DType::float64});
  types.push_back({DType::bfloat16, DType::bfloat16});
  types.push_back({DType::bfloat16, DType::float32});
  types.push_back({DType::float16, DType::float16});
  int number = 0;
  for (const auto& [in, out] : types) {
    for (const auto& [m, n, k] : shapes) {
      if (few && (m * n * k > 10000000 || m == 64)) continue;
      for (int form = 0; form < 4; ++form) {
        for (int aligned = 1; aligned >= 0; --aligned) {
          const bool small = m * n * k < (1 << 23);
          const int64_t batch = small && ++number % 3 == 0 ? 3 : 1;
          check(kernel,
                {in, out, m, n, k, batch, (form & 1) != 0, (form & 2) != 0, number % 5 == 0,
                 batch > 1 && number % 2 == 0, aligned == 1},
                &tally);
        }
      }
    }
  }
  std::printf("%s %-18s %4d passed, %4d declined, %4d failed\n", tally.failed ? "FAIL" : "ok  ",
              kernel.c_str(), tally.passed, tally.declined, tally.failed);
  return tally.failed != 0;
}

// --- time ---

using GemmEx = int (*)(void*, int, int, int, int, int, const void*, const void*, int, int, const void*, int,
                       int, const void*, void*, int, int, int, int);

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
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) {
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

int time_one(const std::string& kernel, DType type, int64_t m, int64_t n, int64_t k, const std::string& form) {
  const bool ta = form[0] == 't', tb = form[1] == 't';
  const int64_t bytes = size_of(type);
  // Several copies of the inputs, so that none is in the L2 cache from the run before.
  const int64_t set = (m * k + k * n) * bytes;
  const int copies = static_cast<int>(std::clamp<int64_t>((int64_t{512} << 20) / set, 1, 16));
  std::vector<Buffer*> as, bs;
  for (int i = 0; i < copies; ++i) {
    as.push_back(new Buffer(m * k * bytes)), bs.push_back(new Buffer(k * n * bytes));
    fill(type, *as.back(), 10 + i), fill(type, *bs.back(), 50 + i);
  }
  Buffer ours(m * n * bytes), theirs(m * n * bytes), sums(16);
  ok(cudaMemset(ours.data, 0xff, ours.bytes), "memset");
  Problem p = {type, type, m, n, k, 1, {nullptr, ta ? 1 : k, ta ? m : 1, 0}, {nullptr, tb ? 1 : n, tb ? k : 1, 0},
               {ours.data, n, 1, 0}, nullptr, 0};
  Buffer workspace(workspace_bytes(p));
  p.workspace = workspace.data, p.workspace_bytes = workspace.bytes;
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
    status |= cublas.gemm(cublas.handle, tb, ta, n, m, k, alpha, bs[i % copies]->data, data, lead_b,
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
    difference<<<512, 256>>>(ours.data, theirs.data, m * n, data == 14 ? 3 : data, (double*)sums.data);
    cudaMemcpy(host, sums.data, 16, cudaMemcpyDeviceToHost);
    norm = std::sqrt(host[0] / host[1]);
  }
  const int times = static_cast<int>(std::clamp(30.0 / milliseconds(run_ours, 3), 3.0, 200.0));
  ok(cudaDeviceSynchronize(), kernel.c_str());
  const auto before = std::chrono::steady_clock::now();
  for (int i = 0; i < 20; ++i) run_ours(i);
  const double host = std::chrono::duration<double>(std::chrono::steady_clock::now() - before).count() / 20;
  std::vector<double> a, b, ratio;
  for (int round = 0; round < 7; ++round) {
    b.push_back(cublas.gemm ? milliseconds(run_theirs, times) : 0);
    a.push_back(milliseconds(run_ours, times));
    ratio.push_back(b.back() / a.back());
  }
  const auto median = [](std::vector<double> v) { return std::sort(v.begin(), v.end()), v[v.size() / 2]; };
  const double flops = 2.0 * m * n * k, moved = (m * k + k * n + m * n) * static_cast<double>(bytes);
  std::printf("%-20s %-8s %5ldx%5ldx%5ld %s %8.1f us %7.1f TF/s %6.0f GB/s | cuBLAS %8.1f us %7.1f TF/s | %.3f%s err %.0e host %.1f us\n",
              kernel.c_str(), std::string(name_of(type)).c_str(), m, n, k, form.c_str(), median(a) * 1e3,
              flops / median(a) * 1e-9, moved / median(a) * 1e-6, median(b) * 1e3, flops / median(b) * 1e-9,
              median(ratio), status ? " (cuBLAS failed)" : "", norm, host * 1e6);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string command = argc > 1 ? argv[1] : "";
  try {
    if (command == "check" && argc >= 3) return check_all(argv[2], argc > 3);
    if (command == "time" && argc == 8) {
      return time_one(argv[2], dtype_of(argv[3]), std::atoll(argv[4]), std::atoll(argv[5]), std::atoll(argv[6]),
                      argv[7]);
    }
  } catch (const std::exception& e) {
    std::printf("FAIL %s: %s\n", argc > 2 ? argv[2] : "", e.what());
    return 1;
  }
  std::puts("usage: gemm check KERNEL [few] | gemm time KERNEL TYPE M N K FORM");
  return 2;
}
