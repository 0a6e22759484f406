// fill, and copy with its conversions and transposes.  (Lessons 02 and 04)
#include <limits>

#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

template <class T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

/// x as a To. C++ leaves floating -> int undefined where the value does not fit (and for NaN); here
/// the result is then the smallest int.
template <class To, class From>
struct Convert {
  __device__ To operator()(From x) const {
    if constexpr (std::is_same_v<To, From>) {
      return x;
    } else if constexpr (is_half_v<From>) {
      return Convert<To, float>{}(static_cast<float>(x));
    } else if constexpr (std::is_same_v<To, bool>) {
      return x != 0;
    } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
      constexpr To kSmallest = std::numeric_limits<To>::min();
      const From whole = std::trunc(x);
      // -kSmallest is 2^31 or 2^63: exact as a float, unlike the largest int.
      const bool fits = whole >= From(kSmallest) && whole < -From(kSmallest);
      return fits ? static_cast<To>(whole) : kSmallest;
    } else {
      return static_cast<To>(x);
    }
  }
};

/// Elements of `Bytes` bytes that are only moved.
template <int Bytes>
using Raw = std::conditional_t<
    Bytes == 1, uint8_t,
    std::conditional_t<Bytes == 2, uint16_t, std::conditional_t<Bytes == 4, uint32_t, uint64_t>>>;

// A tile is read along one axis and written along another. Between the two it lies in shared memory,
// where threads may read a column as fast as a row if no two of its elements share a bank: a row is
// one word longer than a multiple of 32.
template <class T>
inline constexpr int kTile = sizeof(T) == 8 ? 32 : 64;
constexpr int kTileRows = 8;  // of 32 threads; each moves several rows and columns

/// out (…, rows, columns) = x, where x has its elements side by side along the rows' axis `in_axis` of
/// the walk, and out along its last. Reads and writes each element once: copy bandwidth is the limit.
template <class T>
__global__ void transpose_kernel(const Walk<2> w, int in_axis, unsigned row_tiles,
                                 unsigned column_tiles) {
  constexpr int side = kTile<T>;
  __shared__ T tile[side][side + 4 / sizeof(T) + (sizeof(T) == 8)];
  const int last = w.ndim - 1;
  const int64_t rows = w.shape[in_axis], columns = w.shape[last];
  unsigned block = blockIdx.x;
  const int64_t row = int64_t{block % row_tiles} * side;
  block /= row_tiles;
  const int64_t column = int64_t{block % column_tiles} * side;
  int64_t rest = block / column_tiles;
  const char* from = w.data[1];
  char* to = w.data[0];
  for (int axis = last - 1; axis >= 0; --axis) {  // which of the other axes' matrices
    if (axis == in_axis) continue;
    int64_t next, index;
    divide(rest, w.shape[axis], next, index);
    to += index * w.stride[0][axis];
    from += index * w.stride[1][axis];
    rest = next;
  }
  for (int j = threadIdx.y; j < side; j += kTileRows) {
    const char* line = from + (column + j) * w.stride[1][last];
    for (int i = threadIdx.x; i < side; i += 32) {
      if (column + j < columns && row + i < rows) {
        tile[j][i] = reinterpret_cast<const T*>(line)[row + i];
      }
    }
  }
  __syncthreads();
  for (int i = threadIdx.y; i < side; i += kTileRows) {
    char* line = to + (row + i) * w.stride[0][in_axis];
    for (int j = threadIdx.x; j < side; j += 32) {
      if (column + j < columns && row + i < rows) {
        reinterpret_cast<T*>(line)[column + j] = tile[j][i];
      }
    }
  }
}

/// The axis along which x's elements lie side by side while out's do along the last one; -1 if
/// there is none, or too little to fill tiles.
int transposed_axis(const Walk<2>& w, int item) {
  const int last = w.ndim - 1;
  if (w.ndim < 2 || w.step(0) != item || w.step(1) == item || w.shape[last] < 8) return -1;
  for (int axis = 0; axis < last; ++axis) {
    if (w.stride[1][axis] == item && w.shape[axis] >= 8) return axis;
  }
  return -1;
}

template <int Bytes>
void move(const Walk<2>& w) {
  using T = Raw<Bytes>;
  const int axis = transposed_axis(w, Bytes);
  if (axis < 0 || w.size == 0) return map<T, T>(w, Convert<T, T>{});
  const auto tiles = [](int64_t n) { return static_cast<unsigned>(ceil_div(n, kTile<T>)); };
  const int64_t rows = w.shape[axis], columns = w.shape[w.ndim - 1];
  const auto matrices = static_cast<unsigned>(w.size / (rows * columns));
  const unsigned blocks = tiles(rows) * tiles(columns) * matrices;
  NEEDLE_LAUNCH((transpose_kernel<T>), blocks, dim3(32, kTileRows), 0, w, axis, tiles(rows),
                tiles(columns));
}

}  // namespace

void fill(Scalar value, const View& out) {
  const auto w = walk(Order::memory, out);
  visit_dtype(out.dtype, [&]<class T>(Tag<T>) {
    if constexpr (is_half_v<T> || std::is_floating_point_v<T>) {
      map<T>(w, Constant<T>{static_cast<T>(value.real)});
    } else {
      map<T>(w, Constant<T>{static_cast<T>(value.integer)});
    }
  });
}

void copy(const View& x, const View& out) {
  const auto w = walk(Order::memory, out, x);
  if (x.dtype == out.dtype) {
    switch (size_of(x.dtype)) {
      case 1: return move<1>(w);
      case 2: return move<2>(w);
      case 4: return move<4>(w);
      default: return move<8>(w);
    }
  }
  visit_dtype(x.dtype, [&]<class From>(Tag<From>) {
    visit_dtype(out.dtype, [&]<class To>(Tag<To>) {
      if constexpr (!std::is_same_v<To, From>) map<To, From>(w, Convert<To, From>{});
    });
  });
}

}  // namespace needle::NEEDLE_GPU
