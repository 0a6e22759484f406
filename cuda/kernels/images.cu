// Convolution as a product of matrices that are never stored, and pooling.  (Lesson 05)
//
// The matrix of all windows, (taps, places), would take kh * kw times the memory of the images; the
// tiles pick its elements from the images instead. Its three products are the convolution and its
// two gradients:
//   y (out, places) = weight (out, taps) x windows (taps, places)
//   dweight (out, taps) = dy (out, places) x windows^T (places, taps)
//   dx (in, pixels) = weight^T (in, out * kh * kw) x dy of the windows that have the pixel there
#include "cuda/kernels/map.cuh"
#include "cuda/kernels/slots.h"
#include "cuda/kernels/tile.cuh"
#include "cuda/memory.h"

namespace needle::NEEDLE_GPU {
namespace {

/// Four axes of an array: (n, channels, height, width) of images, (out, in, kh, kw) of weights.
template <class T>
struct Four {
  T* data;
  int64_t stride[4];

  explicit Four(const View& x) : data(x.as<T>()) {
    for (int axis = 0; axis < 4; ++axis) stride[axis] = x.strides[axis];
  }
  __device__ T& at(int64_t i, int64_t j, int64_t y, int64_t x) const {
    return data[i * stride[0] + j * stride[1] + y * stride[2] + x * stride[3]];
  }
};

/// All sizes of a convolution. Height and width are index 0 and 1.
struct Sizes {
  int64_t n, groups, in, out;               // in and out: channels of one group
  int64_t image[2], windows[2], kernel[2];  // of x, of y, of weight
  int64_t stride[2], padding[2], dilation[2];

  Sizes(const Windows& w, int64_t groups, const View& x, const View& weight, const View& y)
      : n(x.shape[0]),
        groups(groups),
        in(weight.shape[1]),
        out(groups ? weight.shape[0] / groups : 0) {
    for (int i = 0; i < 2; ++i) {
      image[i] = x.shape[2 + i];
      windows[i] = y.shape[2 + i];
      kernel[i] = weight.shape[2 + i];
      stride[i] = w.stride[i];
      padding[i] = w.padding[i];
      dilation[i] = w.dilation[i];
    }
  }
  int64_t taps() const { return in * kernel[0] * kernel[1]; }
  int64_t places() const { return n * windows[0] * windows[1]; }
  int64_t pixels() const { return n * image[0] * image[1]; }
};

/// A number counted in row-major order over (…, rows, columns), taken apart.
struct Place {
  int64_t outer, row, column;

  __device__ Place(int64_t index, const int64_t (&size)[2]) {
    int64_t rest;
    divide(index, size[1], rest, column);
    divide(rest, size[0], outer, row);
  }
};

/// x under tap `tap` (channel, i, j) of the window at `place`; 0 in the padding.
template <class T>
__device__ T under_tap(const Sizes& s, const Four<T>& x, int64_t group, int64_t tap,
                       int64_t place) {
  const Place t(tap, s.kernel), p(place, s.windows);
  const int64_t row = p.row * s.stride[0] + t.row * s.dilation[0] - s.padding[0];
  const int64_t column = p.column * s.stride[1] + t.column * s.dilation[1] - s.padding[1];
  if (row < 0 || row >= s.image[0] || column < 0 || column >= s.image[1]) return 0;
  return x.at(p.outer, group * s.in + t.outer, row, column);
}

/// Which window, along one axis, has the pixel under its tap; -1 if none.
__device__ inline int64_t window_of(const Sizes& s, int axis, int64_t pixel, int64_t tap) {
  const int64_t from = pixel + s.padding[axis] - tap * s.dilation[axis];
  if (from < 0) return -1;
  int64_t window, rest;
  divide(from, s.stride[axis], window, rest);
  return rest == 0 && window < s.windows[axis] ? window : -1;
}

/// dy (channel, i, j of `tap`: an output channel) of the window that has `pixel` under that tap.
template <class T>
__device__ T of_window(const Sizes& s, const Four<T>& dy, int64_t group, int64_t tap,
                       int64_t pixel) {
  const Place t(tap, s.kernel), p(pixel, s.image);
  const int64_t row = window_of(s, 0, p.row, t.row);
  const int64_t column = window_of(s, 1, p.column, t.column);
  if (row < 0 || column < 0) return 0;
  return dy.at(p.outer, group * s.out + t.outer, row, column);
}

// The three kernels: a block's tile is (blockIdx.y, blockIdx.x), its group blockIdx.z.

template <class T>
__global__ void conv_kernel(const Product p, const Sizes s, const Four<T> x, const Four<T> weight,
                            const Four<T> y) {
  const int64_t row = int64_t{blockIdx.y} * kSide, column = int64_t{blockIdx.x} * kSide;
  const int64_t group = blockIdx.z, first = group * s.out;
  T sum[4][4];
  multiply_tile(
      p, row, column, true, false,
      [&](int64_t o, int64_t tap) {
        const Place t(tap, s.kernel);
        return weight.at(first + o, t.outer, t.row, t.column);
      },
      [&](int64_t tap, int64_t place) { return under_tap(s, x, group, tap, place); }, sum);
  store_tile(p, row, column, sum, [&](int64_t o, int64_t place, T value) {
    const Place at(place, s.windows);
    y.at(at.outer, first + o, at.row, at.column) = value;
  });
}

template <class T>
__global__ void conv_input_kernel(const Product p, const Sizes s, const Four<T> dy,
                                  const Four<T> weight, const Four<T> dx) {
  const int64_t row = int64_t{blockIdx.y} * kSide, column = int64_t{blockIdx.x} * kSide;
  const int64_t group = blockIdx.z;
  T sum[4][4];
  multiply_tile(
      p, row, column, true, false,
      [&](int64_t c, int64_t tap) {
        const Place t(tap, s.kernel);
        return weight.at(group * s.out + t.outer, c, t.row, t.column);
      },
      [&](int64_t tap, int64_t pixel) { return of_window(s, dy, group, tap, pixel); }, sum);
  store_tile(p, row, column, sum, [&](int64_t c, int64_t pixel, T value) {
    const Place at(pixel, s.image);
    dx.at(at.outer, group * s.in + c, at.row, at.column) = value;
  });
}

/// The places are cut into parts, because there are many and few results: partial (parts, groups,
/// out, taps). blockIdx.z counts parts and groups.
template <class T>
__global__ void conv_weight_kernel(Product p, const Sizes s, int64_t length, const Four<T> dy,
                                   const Four<T> x, T* partial) {
  const int64_t row = int64_t{blockIdx.y} * kSide, column = int64_t{blockIdx.x} * kSide;
  const int64_t group = blockIdx.z % s.groups;
  p.k_begin = blockIdx.z / s.groups * length;
  p.k_end = least(p.k, p.k_begin + length);
  T sum[4][4];
  multiply_tile(
      p, row, column, true, true,
      [&](int64_t o, int64_t place) {
        const Place at(place, s.windows);
        return dy.at(at.outer, group * s.out + o, at.row, at.column);
      },
      [&](int64_t place, int64_t tap) { return under_tap(s, x, group, tap, place); }, sum);
  store_tile(p, row, column, sum, [&](int64_t o, int64_t tap, T value) {
    partial[(int64_t{blockIdx.z} * p.m + o) * p.n + tap] = value;
  });
}

dim3 grid_of(const Product& p, int64_t layers) {
  return dim3(static_cast<unsigned>(ceil_div(p.n, kSide)),
              static_cast<unsigned>(ceil_div(p.m, kSide)), static_cast<unsigned>(layers));
}

/// One thread a window.
template <class T>
__global__ void pool_kernel(const Sizes s, int64_t channels, const Four<T> x,
                            const Four<int64_t> index) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= s.n * channels * s.windows[0] * s.windows[1]) return;
  const Place p(i, s.windows);
  int64_t n, c, best = -1;
  divide(p.outer, channels, n, c);
  T record = 0;
  for (int64_t a = 0; a < s.kernel[0]; ++a) {
    const int64_t row = p.row * s.stride[0] + a * s.dilation[0] - s.padding[0];
    if (row < 0 || row >= s.image[0]) continue;
    for (int64_t b = 0; b < s.kernel[1]; ++b) {
      const int64_t column = p.column * s.stride[1] + b * s.dilation[1] - s.padding[1];
      if (column < 0 || column >= s.image[1]) continue;
      const T value = x.at(n, c, row, column);
      if (best >= 0 && !(value > record || (value != value && record == record))) continue;
      best = (p.outer * s.image[0] + row) * s.image[1] + column;
      record = value;
    }
  }
  index.at(n, c, p.row, p.column) = best;
}

}  // namespace

void conv2d(const Windows& w, int64_t groups, const View& x, const View& weight, const View& y) {
  if (y.size() == 0) return;
  const Sizes s(w, groups, x, weight, y);
  const Product p{s.out, s.places(), s.taps(), 0, s.taps()};
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    NEEDLE_LAUNCH((conv_kernel<T>), grid_of(p, groups), kTileThreads, 0, p, s, Four<T>(x),
                  Four<T>(weight), Four<T>(y));
  });
}

void conv2d_input(const Windows& w, int64_t groups, const View& dy, const View& weight,
                  const View& dx) {
  if (dx.size() == 0) return;
  const Sizes s(w, groups, dx, weight, dy);
  const int64_t taps = s.out * s.kernel[0] * s.kernel[1];
  const Product p{s.in, s.pixels(), taps, 0, taps};
  visit_floating(dx.dtype, [&]<class T>(Tag<T>) {
    NEEDLE_LAUNCH((conv_input_kernel<T>), grid_of(p, groups), kTileThreads, 0, p, s, Four<T>(dy),
                  Four<T>(weight), Four<T>(dx));
  });
}

void conv2d_weight(const Windows& w, int64_t groups, const View& dy, const View& x,
                   const View& dweight) {
  if (dweight.size() == 0) return;
  const Sizes s(w, groups, x, dweight, dy);
  const Product p{s.out, s.taps(), s.places(), 0, 0};
  const int64_t tiles = ceil_div(p.m, kSide) * ceil_div(p.n, kSide) * groups;
  const int64_t wanted = ceil_div(512, tiles), most = ceil_div(p.k, 256);
  const int64_t length = ceil_div(p.k, least(wanted, most > 0 ? most : 1));
  const int64_t parts = length > 0 ? ceil_div(p.k, length) : 1;
  const int64_t results = groups * p.m * p.n;
  const Workspace partial(static_cast<size_t>(parts * results * size_of(x.dtype)));
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    NEEDLE_LAUNCH((conv_weight_kernel<T>), grid_of(p, groups * parts), kTileThreads, 0, p, s,
                  length, Four<T>(dy), Four<T>(x), partial.as<T>());
  });
  const Shape& d = dweight.shape;
  const View table{partial.as<void>(),
                   x.dtype,
                   {parts, d[0], d[1], d[2], d[3]},
                   {results, d[1] * d[2] * d[3], d[2] * d[3], d[3], 1}};
  const Shape& t = dweight.strides;
  reduce(Reduce::sum, table,
         View{dweight.data, x.dtype, {1, d[0], d[1], d[2], d[3]}, {0, t[0], t[1], t[2], t[3]}});
}

void pool_argmax(const Windows& w, const View& x, const View& index) {
  if (index.size() == 0) return;
  View kernel = x;  // what Sizes asks of a weight
  kernel.shape = {1, 1, w.kernel[0], w.kernel[1]};
  const Sizes s(w, 1, x, kernel, index);
  const auto blocks = static_cast<unsigned>(ceil_div(index.size(), 256));
  visit_floating(x.dtype, [&]<class T>(Tag<T>) {
    NEEDLE_LAUNCH((pool_kernel<T>), blocks, 256, 0, s, x.shape[1], Four<T>(x),
                  Four<int64_t>(index));
  });
}

}  // namespace needle::NEEDLE_GPU
