// Memory of the GPU, by nvcc alone: the simulator's is in memory_sim.cc.  (Lesson 04)
#include "cuda/memory.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>
#include <vector>

namespace needle::cuda {
namespace {

/// What to do about errors after which CUDA refuses everything else.
const char* advice(cudaError_t error) {
  switch (error) {
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorIllegalInstruction:
    case cudaErrorHardwareStackError:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorLaunchFailure:
      return "; a kernel faulted, perhaps an earlier one, and with it every array on cuda is lost: "
             "start the program again. On device cuda_sim the same program names the line, the "
             "block and the thread";
    default: return "";
  }
}

void check(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // an error that is not sticky must not come up again elsewhere
  throw RuntimeError(str("cuda: ", what, ": ", cudaGetErrorString(error), advice(error)));
}

class OutOfMemory : public std::bad_alloc {
 public:
  explicit OutOfMemory(std::string sentence) : sentence_(std::move(sentence)) {}
  const char* what() const noexcept override { return sentence_.c_str(); }

 private:
  std::string sentence_;
};

double mebibytes(size_t bytes) { return std::round(static_cast<double>(bytes) / 104857.6) / 10; }

enum class Place { device, pinned };

/// Released blocks are kept for the next request of their size: cudaMalloc and cudaFree wait for the
/// GPU, which then has nothing to do.
class Cache {
 public:
  explicit Cache(Place place) : place_(place) {}

  void* allocate(size_t bytes) {
    const size_t size = size_class(bytes);
    const std::lock_guard lock(mutex_);
    std::vector<void*>& kept = kept_[size];
    void* data = nullptr;
    if (!kept.empty()) {
      data = kept.back();
      kept.pop_back();
      statistics_.bytes_cached -= static_cast<int64_t>(size);
    } else {
      data = from_device(size);
    }
    statistics_.bytes_in_use += static_cast<int64_t>(size);
    return data;
  }

  void release(void* data, size_t bytes) {
    const size_t size = size_class(bytes);
    const std::lock_guard lock(mutex_);
    statistics_.bytes_in_use -= static_cast<int64_t>(size);
    statistics_.bytes_cached += static_cast<int64_t>(size);
    kept_[size].push_back(data);
  }

  void empty() {
    const std::lock_guard lock(mutex_);
    free_kept();
  }

  CacheStatistics statistics() {
    const std::lock_guard lock(mutex_);
    return statistics_;
  }

 private:
  /// Eight steps per power of two: at most 12.5 % is lost, and arrays of nearly the same size can
  /// reuse each other's blocks.
  static size_t size_class(size_t bytes) {
    constexpr size_t least = 512;
    if (bytes <= 8 * least) return std::max((bytes + least - 1) & -least, least);
    const size_t step = std::bit_floor(bytes - 1) / 8;
    return (bytes + step - 1) / step * step;
  }

  void free_kept() {
    for (auto& [size, kept] : kept_) {
      for (void* data : kept) place_ == Place::device ? cudaFree(data) : cudaFreeHost(data);
      statistics_.bytes_cached -= static_cast<int64_t>(size * kept.size());
      kept.clear();
    }
  }

  cudaError_t ask(void** data, size_t size) const {
    return place_ == Place::device ? cudaMalloc(data, size) : cudaMallocHost(data, size);
  }

  void* from_device(size_t size) {
    void* data = nullptr;
    ++statistics_.system_requests;
    cudaError_t error = ask(&data, size);
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      free_kept();  // the kept blocks may be all that is missing
      error = ask(&data, size);
    }
    if (error == cudaErrorMemoryAllocation) {
      cudaGetLastError();
      size_t left = 0, all = 0;
      cudaMemGetInfo(&left, &all);
      throw OutOfMemory(str("cuda: out of memory: wanted ", mebibytes(size), " MiB; arrays hold ",
                            mebibytes(static_cast<size_t>(statistics_.bytes_in_use)), " of ",
                            mebibytes(all), " MiB, ", mebibytes(left),
                            " MiB are free. Smaller batches, or ndl.checkpoint, need less"));
    }
    check(error, "allocation");
    return data;
  }

  Place place_;
  std::mutex mutex_;
  std::unordered_map<size_t, std::vector<void*>> kept_;
  CacheStatistics statistics_ = {};
};

// Never destroyed: arrays held by other static objects may be released after they would be.
Cache& cache() {
  static auto* cache = new Cache(Place::device);
  return *cache;
}
Cache& pinned() {
  static auto* cache = new Cache(Place::pinned);
  return *cache;
}

/// Small copies from the host go through pinned memory, which the GPU reads by itself: they need not
/// wait for the kernels before them. Large ones are as fast without.
class Staging {
 public:
  static constexpr size_t kBytes = 1 << 16, kBuffers = 16;

  void copy_in(void* device, const void* host, size_t bytes) {
    const std::lock_guard lock(mutex_);
    Buffer& buffer = buffers_[next_++ % kBuffers];
    if (!buffer.data) {
      buffer.data = pinned().allocate(kBytes);
      check(cudaEventCreateWithFlags(&buffer.read, cudaEventDisableTiming), "event");
    }
    check(cudaEventSynchronize(buffer.read), "copy to the device");  // its last copy is done
    std::memcpy(buffer.data, host, bytes);
    check(cudaMemcpyAsync(device, buffer.data, bytes, cudaMemcpyHostToDevice),
          "copy to the device");
    check(cudaEventRecord(buffer.read), "event");
  }

 private:
  struct Buffer {
    void* data = nullptr;
    cudaEvent_t read = nullptr;
  };

  std::mutex mutex_;
  Buffer buffers_[kBuffers];
  size_t next_ = 0;
};

Staging& staging() {
  static auto* staging = new Staging;
  return *staging;
}

const cudaDeviceProp& properties() {
  static const cudaDeviceProp all = [] {
    cudaDeviceProp p = {};
    check(cudaGetDeviceProperties(&p, 0), "device");
    return p;
  }();
  return all;
}

/// RuntimeError unless there is a driver and a GPU that the kernels are made for.
void require_gpu() {
  int count = 0;
  const cudaError_t error = cudaGetDeviceCount(&count);
  const char* instead = "; device cuda_sim runs the same kernels on the host, slowly";
  if (error != cudaSuccess || count == 0) {
    cudaGetLastError();
    const bool driver = error == cudaErrorInsufficientDriver;
    throw RuntimeError(
        str("device cuda: ",
            driver ? "no NVIDIA driver, or one older than CUDA 13 (nvidia-smi shows it)"
                   : "no GPU is visible (nvidia-smi and CUDA_VISIBLE_DEVICES say why)",
            error == cudaSuccess || driver ? "" : ": ",
            error == cudaSuccess || driver ? "" : cudaGetErrorString(error), instead));
  }
  if (properties().major < 8) {
    throw RuntimeError(str("device cuda: ", properties().name, " has compute capability ",
                           properties().major, ".", properties().minor,
                           "; the kernels need 8.0 or more", instead));
  }
}

}  // namespace

void* allocate(size_t bytes) { return cache().allocate(bytes); }
void release(void* data, size_t bytes) noexcept { cache().release(data, bytes); }

void copy_in(void* device, const void* host, size_t bytes) {
  if (bytes == 0) return;
  if (bytes <= Staging::kBytes) return staging().copy_in(device, host, bytes);
  check(cudaMemcpy(device, host, bytes, cudaMemcpyHostToDevice), "copy to the device");
}

void copy_out(void* host, const void* device, size_t bytes) {
  if (bytes == 0) return;
  check(cudaMemcpy(host, device, bytes, cudaMemcpyDeviceToHost), "copy to the host");
}

void synchronize() { check(cudaDeviceSynchronize(), "synchronize"); }

extern const Kernels table;
extern const GpuLadders ladders;

}  // namespace needle::cuda

/// What is asked of the library: see needle/backend/gpu.h.
extern "C" [[gnu::visibility("default")]] const needle::Gpu& needle_gpu() {
  using namespace needle;
  static const Gpu gpu = [] {
    cuda::require_gpu();
    return Gpu{
        .kernels = &cuda::table,
        .ladders = &cuda::ladders,
        .allocator = {[](size_t bytes, int) { return cuda::allocate(bytes); },
                      [](void* data, size_t bytes, int) { cuda::release(data, bytes); }},
        .pinned = {[](size_t bytes, int) { return cuda::pinned().allocate(bytes); },
                   [](void* data, size_t bytes, int) { cuda::pinned().release(data, bytes); }},
        .copy_in = cuda::copy_in,
        .copy_out = cuda::copy_out,
        .synchronize = cuda::synchronize,
        .cache_statistics = [] { return cuda::cache().statistics(); },
        .empty_cache = [] { cuda::cache().empty(); },
        .name = [] { return static_cast<const char*>(cuda::properties().name); },
        .memory = [] { return static_cast<size_t>(cuda::properties().totalGlobalMem); },
        .set_host_threads = [](int) {},
    };
  }();
  return gpu;
}
