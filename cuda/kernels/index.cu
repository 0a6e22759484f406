// Rows of a table by their number: reading them and adding to them.  (Lessons 04 and 06)
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {
namespace {

constexpr int kThreads = 256;
constexpr int kMoves = 4;

unsigned blocks_for(int64_t threads) { return static_cast<unsigned>(ceil_div(threads, kThreads)); }

/// The axes [begin, end) of x, at index 0 of the others.
View axes(const View& x, int begin, int end) {
  View part{x.data, x.dtype, Shape::filled(end - begin, 0), Shape::filled(end - begin, 0)};
  for (int axis = begin; axis < end; ++axis) {
    part.shape[axis - begin] = x.shape[axis];
    part.strides[axis - begin] = x.strides[axis];
  }
  return part;
}

/// What both slots work on: a table, numbers of its rows, and as many rows outside of it.
struct Lookup {
  Walk<2> places;      // the index and the rows, over the axes of the index
  Walk<2> row;         // the table and the rows, over the axes of one row
  int64_t table_step;  // bytes from a row of the table to the next

  Lookup(const View& table, const View& index, const View& rows)
      : places(walk(Order::row_major, index, axes(rows, 0, index.ndim()))),
        row(walk(Order::row_major, axes(table, 1, table.ndim()),
                 axes(rows, index.ndim(), rows.ndim()))),
        table_step(table.strides[0] * size_of(table.dtype)) {}

  int64_t elements() const { return places.size * row.size; }
};

/// Pieces of 16 bytes, where rows consist of them.
using Piece = Pack<uint32_t, 4>;

/// Looks at the rows as pieces if it can.
bool in_pieces(Lookup& at, int64_t item) {
  constexpr int64_t piece = sizeof(Piece);
  const auto whole = [](int64_t bytes) { return bytes % piece == 0; };
  bool fits = at.row.ndim == 1 && at.row.step(0) == item && at.row.step(1) == item &&
              whole(at.row.size * item) && whole(at.table_step) &&
              whole(reinterpret_cast<intptr_t>(at.row.data[0])) &&
              whole(reinterpret_cast<intptr_t>(at.places.data[1]));
  for (int axis = 0; axis < at.places.ndim; ++axis) fits &= whole(at.places.stride[1][axis]);
  if (!fits) return false;
  at.row.size = at.row.shape[0] = at.row.size * item / piece;
  at.row.stride[0][0] = at.row.stride[1][0] = piece;
  return true;
}

/// A thread moves kMoves Ts, elements or pieces, as far apart as the block has threads; all are asked
/// for before the first is written. Limit: reading and writing the rows once.
template <class T>
__global__ void gather_kernel(const Lookup at, const Divisor row_size) {
  const int64_t first = int64_t{blockIdx.x} * blockDim.x * kMoves + threadIdx.x;
  const int64_t count = at.places.size * at.row.size;
  T moved[kMoves];
  char* to[kMoves];
#pragma unroll
  for (int m = 0; m < kMoves; ++m) {
    const int64_t i = first + m * int64_t{blockDim.x};
    if (i >= count) continue;
    int64_t place, j, outside[2], inside[2];
    if (count >> 31 == 0) {
      place = row_size.quotient(static_cast<uint32_t>(i));
      j = i - place * at.row.size;
    } else {
      divide(i, at.row.size, place, j);
    }
    at.places.locate(place, outside);
    at.row.locate(j, inside);
    const int64_t number = *reinterpret_cast<const int64_t*>(at.places.data[0] + outside[0]);
    moved[m] = *reinterpret_cast<const T*>(at.row.data[0] + number * at.table_step + inside[0]);
    to[m] = at.places.data[1] + outside[1] + inside[1];
  }
#pragma unroll
  for (int m = 0; m < kMoves; ++m) {
    if (first + m * int64_t{blockDim.x} < count) *reinterpret_cast<T*>(to[m]) = moved[m];
  }
}

template <class T>
void launch_gather(const Lookup& at) {
  const Divisor row_size(static_cast<uint32_t>(least(at.row.size, INT32_MAX)));
  NEEDLE_LAUNCH((gather_kernel<T>), blocks_for(ceil_div(at.elements(), kMoves)), kThreads, 0, at,
                row_size);
}

// --- scatter_rows: the row numbers are sorted first, so that each row has one writer, who adds what
// belongs to it in the order of the index. A key is (row number, place in the index). ---

__global__ void make_keys(const Walk<2> places, int64_t count, uint64_t* keys) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= count) return;
  if (i >= places.size) {
    keys[i] = ~uint64_t{0};  // behind all others
    return;
  }
  int64_t at[2];
  places.locate(i, at);
  const auto number = *reinterpret_cast<const int64_t*>(places.data[0] + at[0]);
  keys[i] = static_cast<uint64_t>(number) << 32 | static_cast<uint64_t>(i);
}

/// Puts two keys, `distance` apart, in order: the t-th pair of such. Where bit `span` of their place
/// is set, the larger comes first. Batcher's bitonic sort (AFIPS 1968): log2(n)^2 / 2 such steps.
__device__ inline void order_pair(uint64_t* keys, int64_t t, int64_t place, int64_t distance,
                                  int64_t span) {
  const int64_t i = 2 * distance * (t / distance) + t % distance;
  const uint64_t a = keys[i], b = keys[i + distance];
  const bool ascending = ((place + i) & span) == 0;
  if ((a > b) != ascending) return;
  keys[i] = b;
  keys[i + distance] = a;
}

/// All steps within 2 * blockDim.x neighbours for spans first ... last, in shared memory.
__global__ void sort_near(uint64_t* keys, int64_t first, int64_t last) {
  NEEDLE_DYNAMIC_SHARED(uint64_t, near);
  const int64_t threads = blockDim.x, place = blockIdx.x * 2 * threads;
  near[threadIdx.x] = keys[place + threadIdx.x];
  near[threadIdx.x + threads] = keys[place + threadIdx.x + threads];
  for (int64_t span = first; span <= last; span *= 2) {
    for (int64_t distance = least(span / 2, threads); distance > 0; distance /= 2) {
      __syncthreads();
      order_pair(near, threadIdx.x, place, distance, span);
    }
  }
  __syncthreads();
  keys[place + threadIdx.x] = near[threadIdx.x];
  keys[place + threadIdx.x + threads] = near[threadIdx.x + threads];
}

__global__ void sort_far(uint64_t* keys, int64_t distance, int64_t span) {
  order_pair(keys, int64_t{blockIdx.x} * blockDim.x + threadIdx.x, 0, distance, span);
}

/// Sorts `count` keys, a power of two.
void sort_keys(uint64_t* keys, int64_t count) {
  const int64_t near = least(count, 2048);
  const auto threads = static_cast<unsigned>(near / 2);
  const auto blocks = static_cast<unsigned>(count / near);
  const size_t shared = static_cast<size_t>(near) * sizeof(uint64_t);
  NEEDLE_LAUNCH((sort_near), blocks, threads, shared, keys, int64_t{2}, near);
  for (int64_t span = 2 * near; span <= count; span *= 2) {
    for (int64_t distance = span / 2; distance >= near; distance /= 2) {
      NEEDLE_LAUNCH((sort_far), blocks, threads, 0, keys, distance, span);
    }
    NEEDLE_LAUNCH((sort_near), blocks, threads, shared, keys, span, span);
  }
}

/// A thread for each element of the rows; that of the first row with its number adds them all.
template <class T>
__global__ void scatter_kernel(const Lookup at, const uint64_t* keys) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= at.places.size * at.row.size) return;
  int64_t k, j, outside[2], inside[2];
  divide(i, at.row.size, k, j);
  const uint64_t number = keys[k] >> 32;
  if (k > 0 && keys[k - 1] >> 32 == number) return;
  at.row.locate(j, inside);
  T* to = reinterpret_cast<T*>(at.row.data[0] + static_cast<int64_t>(number) * at.table_step +
                               inside[0]);
  T sum = 0;
  for (; k < at.places.size && keys[k] >> 32 == number; ++k) {
    at.places.locate(static_cast<int64_t>(keys[k] & 0xffffffff), outside);
    sum += *reinterpret_cast<const T*>(at.places.data[1] + outside[1] + inside[1]);
  }
  *to = sum;
}

}  // namespace

void gather(const View& table, const View& index, const View& out) {
  Lookup at(table, index, out);
  if (at.elements() == 0) return;
  if (in_pieces(at, size_of(table.dtype))) return launch_gather<Piece>(at);
  switch (size_of(table.dtype)) {
    case 1: return launch_gather<uint8_t>(at);
    case 2: return launch_gather<uint16_t>(at);
    case 4: return launch_gather<uint32_t>(at);
    default: return launch_gather<uint64_t>(at);
  }
}

void scatter_rows(const View& index, const View& x, const View& table) {
  fill(Scalar{0, 0}, table);  // not all rows are named
  const Lookup at(table, index, x);
  if (at.elements() == 0) return;
  if ((table.shape[0] | at.places.size) >> 32 != 0) {
    throw ValueError(str("scatter_rows: a table of ", table.shape[0], " rows and ", at.places.size,
                         " row numbers; on a GPU each must be less than 2^32"));
  }
  int64_t count = 2;
  while (count < at.places.size) count *= 2;
  const Workspace sorted(static_cast<size_t>(count) * sizeof(uint64_t));
  uint64_t* keys = sorted.as<uint64_t>();
  NEEDLE_LAUNCH((make_keys), blocks_for(count), kThreads, 0, at.places, count, keys);
  sort_keys(keys, count);
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    NEEDLE_LAUNCH((scatter_kernel<T>), blocks_for(at.elements()), kThreads, 0, at, keys);
  });
}

}  // namespace needle::NEEDLE_GPU
