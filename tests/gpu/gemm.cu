// The matrix products of cuda/gemm on a GPU: right, and how fast beside cuBLAS.
//
//   gemm check KERNEL [few]  awkward sizes, all forms and types, against sums in float64
//   gemm time                for each line "KERNEL TYPE M N K FORM" of the input the median of pairs,
//                            beside cuBLAS; FORM: nn, nt, tn, tt (a, b; n: rows contiguous)
// KERNEL: auto, thin, mma[:slices], wgmma[:columns[:cluster[:height[:slices]]]], simt[:large|small
// [:slices]], or simt:NAME with a name of gemm_variants.cu. 0 leaves the choice to the kernel.
#include <cmath>
#include <cstring>
#include <iostream>
#include <map>
#include <sstream>
#include <vector>

#include "tests/gpu/gemm_support.h"

namespace needle::cuda::check {
namespace {

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
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < n;
       i += gridDim.x * blockDim.x)
    to[i] = static_cast<T>(noise(i, seed));
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

int64_t round_up(int64_t x, int64_t to) { return (x + to - 1) / to * to; }

double host_number(DType t, const unsigned char* p) {
  if (t == DType::float32) return *reinterpret_cast<const float*>(p);
  if (t == DType::float64) return *reinterpret_cast<const double*>(p);
  if (t == DType::float16) return static_cast<float>(*reinterpret_cast<const float16*>(p));
  return static_cast<float>(*reinterpret_cast<const bfloat16*>(p));
}

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
  const int64_t plane_a = lead_a * (c.turned_a ? c.k : c.m),
                plane_b = lead_b * (c.turned_b ? c.n : c.k);
  const int64_t plane_c = lead_c * (c.turned_c ? c.n : c.m);
  Buffer a(plane_a * c.batch * size_of(c.in)), b(plane_b * c.batch * size_of(c.in));
  Buffer out(plane_c * c.batch * size_of(c.out));
  const int64_t count = c.batch * c.m * c.n;
  Buffer want(count * 8), size(count * 8);
  fill(c.in, a, 1 + c.m), fill(c.in, b, 2 + c.n);
  Problem p = {c.in,
               c.out,
               c.m,
               c.n,
               c.k,
               c.batch,
               {a.data, c.turned_a ? 1 : lead_a, c.turned_a ? lead_a : 1, plane_a},
               {b.data, c.turned_b ? 1 : lead_b, c.turned_b ? lead_b : 1, c.shared_b ? 0 : plane_b},
               {out.data, c.turned_c ? 1 : lead_c, c.turned_c ? lead_c : 1, plane_c}};
  ok(cudaMemset(out.data, 0xff, out.bytes), "memset");
  const unsigned blocks = static_cast<unsigned>((count + 127) / 128);
  if (c.in == DType::float32)
    oracle<float><<<blocks, 128>>>(p, (double*)want.data, (double*)size.data);
  if (c.in == DType::float64)
    oracle<double><<<blocks, 128>>>(p, (double*)want.data, (double*)size.data);
  if (c.in == DType::float16)
    oracle<float16><<<blocks, 128>>>(p, (double*)want.data, (double*)size.data);
  if (c.in == DType::bfloat16)
    oracle<bfloat16><<<blocks, 128>>>(p, (double*)want.data, (double*)size.data);
  ok(cudaDeviceSynchronize(), "oracle");
  if (!run(kernel, p)) {
    ++tally->declined;
    return;
  }
  const auto describe = [&](const char* what) {
    std::printf("FAIL %s %s->%s (%ld,%ld,%ld)x%ld %c%c%c%s%s: %s\n", kernel.c_str(),
                std::string(name_of(c.in)).c_str(), std::string(name_of(c.out)).c_str(), c.m, c.n,
                c.k, c.batch, "nt"[c.turned_a], "nt"[c.turned_b], "nt"[c.turned_c],
                c.shared_b ? " shared b" : "", c.aligned ? "" : " unaligned", what);
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
    if (untouched[i] && got[i] != 0xff && strayed++ == 0)
      stray_at = static_cast<int64_t>(i) / bytes;
  }
  if (wrong || strayed) {
    char text[300];
    std::snprintf(
        text, sizeof text,
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

}  // namespace

void fill(DType t, Buffer& b, uint64_t seed) {
  const int64_t n = b.bytes / size_of(t);
  if (t == DType::float32) fill_noise<<<1024, 256>>>(static_cast<float*>(b.data), n, seed);
  if (t == DType::float64) fill_noise<<<1024, 256>>>(static_cast<double*>(b.data), n, seed);
  if (t == DType::float16) fill_noise<<<1024, 256>>>(static_cast<float16*>(b.data), n, seed);
  if (t == DType::bfloat16) fill_noise<<<1024, 256>>>(static_cast<bfloat16*>(b.data), n, seed);
}

int check_all(const std::string& kernel, bool few) {
  const int64_t shapes[][3] = {{1, 1, 1},        {1, 1000, 776},   {3, 5, 7},       {5, 96, 40},
                               {17, 33, 65},     {64, 64, 64},     {128, 256, 64},  {129, 257, 65},
                               {16, 1024, 2048}, {1536, 8, 512},   {127, 129, 63},  {200, 300, 104},
                               {256, 512, 1024}, {511, 513, 1025}, {640, 72, 2048}, {1000, 520, 33},
                               {300, 280, 4096}, {640, 768, 192}};
  Tally tally;
  std::vector<std::pair<DType, DType>> types;
  if (!kernel.starts_with("mma") && !kernel.starts_with("wgmma")) {
    types.push_back({DType::float32, DType::float32});
  }
  if (!kernel.starts_with("simt")) {
    types.push_back({DType::bfloat16, DType::bfloat16});
    types.push_back({DType::bfloat16, DType::float32});
    types.push_back({DType::float16, DType::float16});
  }
  int number = 0;
  for (const auto& [in, out] : types) {
    for (const auto& [m, n, k] : shapes) {
      if (few && (m * n * k > 10000000 || m == 64)) continue;
      for (int form = 0; form < 4; ++form) {
        for (int aligned = 1; aligned >= 0; --aligned) {
          if (!aligned && m * n * k > 10000000) continue;
          const int64_t batch = m * n * k < (1 << 23) && ++number % 3 == 0 ? 3 : 1;
          check(kernel,
                {in, out, m, n, k, batch, (form & 1) != 0, (form & 2) != 0, number % 5 == 0,
                 batch > 1 && number % 2 == 0, aligned == 1},
                &tally);
        }
      }
    }
  }
  const bool bad = tally.failed != 0 || tally.passed == 0;
  std::printf("%s %-18s %4d passed, %4d declined, %4d failed\n", bad ? "FAIL" : "ok  ",
              kernel.c_str(), tally.passed, tally.declined, tally.failed);
  return bad;
}

bool run(const std::string& kernel, const Problem& p) {
  const auto parts = split(kernel, ':');
  const auto at = [&](size_t i) { return i < parts.size() ? std::atoi(parts[i].c_str()) : 0; };
  if (parts[0] == "auto") return multiply(p);
  if (parts[0] == "thin") return multiply_thin(p);
  if (parts[0] == "mma") return multiply_mma(p, at(1));
  if (parts[0] == "wgmma") return multiply_wgmma(p, {at(1), at(2), at(3), at(4)});
  if (parts[0] != "simt") return false;
  if (parts.size() == 1) return multiply_float(p);
  if (parts[1] == "large") return multiply_float(p, SgemmCut::large, at(2));
  if (parts[1] == "small") return multiply_float(p, SgemmCut::small, at(2));
  return run_variant(parts[1], p);
}

}  // namespace needle::cuda::check

namespace needle::cuda {

// In the library this is cuda/memory.cu, which comes with the whole table of kernels.
namespace {
std::multimap<size_t, void*> released;
}

void* allocate(size_t bytes) {
  void* data = nullptr;
  if (const auto found = released.find(bytes); found != released.end()) {
    data = found->second;
    released.erase(found);
  } else {
    check::ok(cudaMalloc(&data, bytes), "malloc");
  }
  return data;
}
void release(void* data, size_t bytes) noexcept { released.emplace(bytes, data); }

}  // namespace needle::cuda

int main(int argc, char** argv) {
  using namespace needle;
  const std::string command = argc > 1 ? argv[1] : "";
  std::string line, kernel;
  try {
    if (command == "check" && argc >= 3) {
      kernel = argv[2];
      return cuda::check::check_all(kernel, argc > 3);
    }
    if (command == "time") {
      while (std::getline(std::cin, line)) {
        std::istringstream words(line);
        std::string type, form;
        int64_t m, n, k;
        if (!(words >> kernel >> type >> m >> n >> k >> form)) continue;
        cuda::check::time_one(kernel, dtype_of(type), m, n, k, form);
        std::fflush(stdout);
      }
      return 0;
    }
  } catch (const std::exception& e) {
    std::printf("FAIL %s: %s\n", kernel.c_str(), e.what());
    return 1;
  }
  std::puts("usage: gemm check KERNEL [few] | gemm time < FILE");
  return 2;
}
