// fill, and copy with its transposes; conversions are in convert.cu.  (Lessons 02 and 04)
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"

namespace needle::NEEDLE_GPU {
namespace {

template <class T>
struct Constant {
  T value;
  __device__ T operator()() const { return value; }
};

template <class T>
struct Same {
  __device__ T operator()(T x) const { return x; }
};

/// Elements of `Bytes` bytes that are only moved.
template <int Bytes>
using Raw = std::conditional_t<
    Bytes == 1, uint8_t,
    std::conditional_t<Bytes == 2, uint16_t, std::conditional_t<Bytes == 4, uint32_t, uint64_t>>>;

constexpr int kCopyThreads = 256;
constexpr int kCopies = 2;  // elements of a thread

/// out = x, for operands whose elements do not lie so that several could move as one. A block copies
/// blockDim.x * kCopies elements that follow each other in out. Operand 0 of the walk is out.
template <class T>
__global__ void copy_kernel(const Walk<2> w) {
  // BEGIN SOLUTION hw2.copy_kernel
  const int64_t first = int64_t{blockIdx.x} * blockDim.x * kCopies + threadIdx.x;
  int64_t at[kCopies][2];
  T held[kCopies];
#pragma unroll
  for (int j = 0; j < kCopies; ++j) {  // all are asked for before the first is stored
    const int64_t i = first + j * int64_t{blockDim.x};
    if (i >= w.size) continue;
    w.locate(i, at[j]);
    held[j] = *reinterpret_cast<const T*>(w.data[1] + at[j][1]);
  }
#pragma unroll
  for (int j = 0; j < kCopies; ++j) {
    if (first + j * int64_t{blockDim.x} >= w.size) continue;
    *reinterpret_cast<T*>(w.data[0] + at[j][0]) = held[j];
  }
  // END SOLUTION
}

// A tile is read along one axis and written along another. Between the two it lies in shared memory,
// where threads may read a column as fast as a row if no two of its elements share a bank: a row is
// one word longer than a multiple of 32.

/// Tiles of T, of which kPack side by side move as one.
template <class T, int kPack>
struct TransposeTile {
  // Lines of a tile are 256 bytes long, and of single bytes 128: of longer ones it would not fit.
  static constexpr int kSide = sizeof(T) == 1 ? 128 : 256 / static_cast<int>(sizeof(T));
  static constexpr int kRowThreads = 32, kRows = 8;  // of a block
  static constexpr int kAcross = kSide / (kRowThreads * kPack);
  static constexpr int kDown = kSide / kRows;
  static constexpr int kStride = kSide + (sizeof(T) == 8 ? 1 : 4 / static_cast<int>(sizeof(T)));

  /// Where element i of row j lies. A thread gathers elements of kPack rows in turn, its neighbour those of
  /// the kPack rows behind: rows are laid out so that each time all threads' rows follow each other.
  /// place(j + dj, i + di) is place(j, i) + place(dj, di) if kPack divides j or dj.
  __device__ static constexpr int place(int j, int i) {
    return (j % kPack * (kSide / kPack) + j / kPack) * kStride + i;
  }
};

/// out (…, rows, columns) = x, where x has its elements side by side along the rows' axis `in_axis` of
/// the walk, and out along its last. Reads and writes each element once: copy bandwidth is the limit.
template <class T, int kPack>
__global__ void transpose_kernel(const Walk<2> w, int in_axis, unsigned row_tiles,
                                 unsigned column_tiles) {
  using Tile = TransposeTile<T, kPack>;
  using Packed = Pack<T, kPack>;
  __shared__ __align__(16) T tile[Tile::kSide * Tile::kStride];
  const int last = w.ndim - 1;
  const int64_t rows = w.shape[in_axis], columns = w.shape[last];
  unsigned block = blockIdx.x;
  const int64_t row = int64_t{block % row_tiles} * Tile::kSide;
  block /= row_tiles;
  const int64_t column = int64_t{block % column_tiles} * Tile::kSide;
  int64_t rest = block / column_tiles;
  const char* from = w.data[1] + row * static_cast<int64_t>(sizeof(T)) + column * w.stride[1][last];
  char* to = w.data[0] + row * w.stride[0][in_axis] + column * static_cast<int64_t>(sizeof(T));
  for (int axis = last - 1; axis >= 0; --axis) {  // which of the other axes' matrices
    if (axis == in_axis) continue;
    int64_t next, index;
    divide(rest, w.shape[axis], next, index);
    to += index * w.stride[0][axis];
    from += index * w.stride[1][axis];
    rest = next;
  }
  const int rows_here = static_cast<int>(least(rows - row, Tile::kSide));
  const int columns_here = static_cast<int>(least(columns - column, Tile::kSide));
  // BEGIN SOLUTION hw2.transpose_kernel
  const int x = static_cast<int>(threadIdx.x) * kPack, y = static_cast<int>(threadIdx.y);
  constexpr int kWidth = Tile::kRowThreads * kPack;
  Packed held[Tile::kDown][Tile::kAcross];
#pragma unroll
  for (int a = 0; a < Tile::kDown; ++a) {
    const int j = y + a * Tile::kRows;
    const T* line = reinterpret_cast<const T*>(from + j * w.stride[1][last]);
#pragma unroll
    for (int b = 0; b < Tile::kAcross; ++b) {
      const int i = x + b * kWidth;
      if (j < columns_here && i < rows_here) {
        held[a][b] = *reinterpret_cast<const Packed*>(line + i);
      }
    }
  }
  T* const put = tile + Tile::place(y, x);  // what is added to it below, the compiler knows
#pragma unroll
  for (int a = 0; a < Tile::kDown; ++a) {
#pragma unroll
    for (int b = 0; b < Tile::kAcross; ++b) {
      const int j = y + a * Tile::kRows, i = x + b * kWidth;
      if (j < columns_here && i < rows_here) {
        *reinterpret_cast<Packed*>(put + Tile::place(a * Tile::kRows, b * kWidth)) = held[a][b];
      }
    }
  }
  __syncthreads();
  const T* const get = tile + Tile::place(x, y);
#pragma unroll
  for (int a = 0; a < Tile::kDown; ++a) {
    const int i = y + a * Tile::kRows;
    T* line = reinterpret_cast<T*>(to + i * w.stride[0][in_axis]);
#pragma unroll
    for (int b = 0; b < Tile::kAcross; ++b) {
      const int j = x + b * kWidth;
      if (i >= rows_here || j >= columns_here) continue;
      Packed out;
      for (int p = 0; p < kPack; ++p) out.at[p] = get[Tile::place(b * kWidth + p, a * Tile::kRows)];
      *reinterpret_cast<Packed*>(line + j) = out;
    }
  }
  // END SOLUTION
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

template <class T, int kPack>
void transpose(const Walk<2>& w, int axis) {
  using Tile = TransposeTile<T, kPack>;
  const auto tiles = [](int64_t n) { return static_cast<unsigned>(ceil_div(n, Tile::kSide)); };
  const int64_t rows = w.shape[axis], columns = w.shape[w.ndim - 1];
  const auto matrices = static_cast<unsigned>(w.size / (rows * columns));
  const unsigned blocks = tiles(rows) * tiles(columns) * matrices;
  NEEDLE_LAUNCH((transpose_kernel<T, kPack>), blocks, dim3(Tile::kRowThreads, Tile::kRows), 0, w,
                axis, tiles(rows), tiles(columns));
}

/// Whether words of 4 bytes along `axis` of x and along the last axis of out are whole ones.
bool in_words(const Walk<2>& w, int axis, int item) {
  const int last = w.ndim - 1;
  bool fits = w.shape[axis] * item % 4 == 0 && w.shape[last] * item % 4 == 0;
  for (int k = 0; k < 2; ++k) {
    fits &= reinterpret_cast<uintptr_t>(w.data[k]) % 4 == 0;
    for (int a = 0; a <= last; ++a) fits &= a == (k ? axis : last) || w.stride[k][a] % 4 == 0;
  }
  return fits;
}

template <int Bytes>
void move(const Walk<2>& w) {
  using T = Raw<Bytes>;
  const int axis = w.size == 0 ? -1 : transposed_axis(w, Bytes);
  if (axis < 0) {
    if (map_packed<T, T>(w, Same<T>{})) return;
    const auto blocks = static_cast<unsigned>(ceil_div(w.size, int64_t{kCopyThreads} * kCopies));
    NEEDLE_LAUNCH((copy_kernel<T>), blocks, kCopyThreads, 0, w);
    return;
  }
  constexpr int kPack = Bytes < 4 ? 4 / Bytes : 1;
  if (in_words(w, axis, Bytes)) return transpose<T, kPack>(w, axis);
  transpose<T, 1>(w, axis);
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
  if (x.dtype != out.dtype) return convert(x, out);
  const auto w = walk(Order::memory, out, x);
  switch (size_of(x.dtype)) {
    case 1: return move<1>(w);
    case 2: return move<2>(w);
    case 4: return move<4>(w);
    default: return move<8>(w);
  }
}

}  // namespace needle::NEEDLE_GPU
