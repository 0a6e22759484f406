// Convolution by unfolding and a matrix product, and the largest pixel of a window.  (Lesson 05)
//
// Unfolded, images are a matrix with a row for each tap and a column for each window; the filters,
// (out, taps), times it are the convolution: Chellapilla, Puri & Simard, "High performance
// convolutional neural networks for document processing", 2006. A few images at a time: so many that
// the product is worth packing, so few that their columns stay in the cache. They are first laid
// side by side, pixel by pixel: the unfolding then moves long rows even where images are small.
#include <limits>

#include "needle/backend/cpu/gemm.h"
#include "needle/backend/cpu/rows.h"

namespace needle::NEEDLE_ISA {
namespace {

[[gnu::always_inline]] inline int64_t clamp(int64_t x, int64_t low, int64_t high) {
  return x < low ? low : x > high ? high : x;
}

/// The windows [first, last) of `count` whose tap lies on one of `size` pixels: those with
/// 0 <= place * stride + shift < size.
struct Inside {
  int64_t first, last;

  [[gnu::always_inline]] Inside(int64_t count, int64_t stride, int64_t shift, int64_t size) {
    first = shift >= 0 ? 0 : clamp(up(-shift, stride), 0, count);
    last = size <= shift ? first : clamp(up(size - shift, stride), first, count);
  }
  /// a / b rounded up. Most strides are 1, and a division takes as long as all the rest.
  [[gnu::always_inline]] static int64_t up(int64_t a, int64_t b) {
    return b == 1 ? a : (a + b - 1) / b;
  }
};

/// Windows on one channel of an image.
struct Grid {
  int64_t height, width;  // of the image
  int64_t oh, ow;         // how many windows there are
  int64_t window;         // taps of one

  [[gnu::always_inline]] int64_t places() const { return oh * ow; }
};

/// The sizes of a convolution, from the shapes of x, weight and y. Channels: of one group.
struct Convolution : Grid {
  int64_t images, groups, in, out;

  Convolution(int64_t g, const View& x, const View& weight, const View& y)
      : Grid{x.shape[2], x.shape[3], y.shape[2], y.shape[3], weight.shape[2] * weight.shape[3]},
        images(x.shape[0]),
        groups(g),
        in(weight.shape[1]),
        out(weight.shape[0] / g) {}

  [[gnu::always_inline]] int64_t taps() const { return in * window; }
  /// Of one image and group.
  [[gnu::always_inline]] int64_t flops() const { return 2 * out * taps() * places(); }
  /// How many images are unfolded together: a cache line of floats side by side, and columns of at
  /// most 64 Ki elements, half of an L2 cache.
  [[gnu::always_inline]] int64_t block() const {
    return clamp(65536 / (taps() * places()), 1, least(images, 16));
  }
};

/// Moves n elements: from pixels, `step` elements apart, to cells; or adds cells to pixels.
template <bool fold, class T>
[[gnu::always_inline]] inline void move(T* cells, T* pixels, int64_t n, int64_t step) {
  int64_t i = 0;
  for (; step == 1 && i + kWidth<T> <= n; i += kWidth<T>) {
    const Vec<T> pixel = Vec<T>::load_unaligned(pixels + i);
    if (fold) {
      (pixel + Vec<T>::load_unaligned(cells + i)).store_unaligned(pixels + i);
    } else {
      pixel.store_unaligned(cells + i);
    }
  }
  for (; i < n; ++i) {
    if (fold) {
      pixels[i * step] += cells[i];
    } else {
      cells[i] = pixels[i * step];
    }
  }
}

/// columns = the windows of pixels (channels, height, width, images), all compact, with `border` in
/// the padding; or, with Work::fold, pixels += the windows, added up where they overlap. columns:
/// (channels, taps, oh, ow, images), or (taps, channels, ...) with Work::by_tap.
enum class Work : uint8_t { unfold, fold, by_tap };

template <Work work, class T>
void unfold(const Windows& w, const Grid& g, int64_t images, int64_t channels, T* pixels,
            T* columns, T border) {
  constexpr bool fold = work == Work::fold;
  const int64_t tap_step = (work == Work::by_tap ? channels : 1) * g.places() * images;
  const int64_t channel_step = (work == Work::by_tap ? 1 : g.window) * g.places() * images;
  const int64_t step = w.stride[1] * images;
  const int64_t size = g.height * g.width * images;  // of one channel
  const auto pad = [border](T* cells, int64_t n) {
    for (int64_t i = 0; !fold && i < n; ++i) cells[i] = border;
  };
  for (int64_t tap = 0; tap < g.window; ++tap) {
    const int64_t down = tap / w.kernel[1] * w.dilation[0] - w.padding[0];
    const int64_t right = tap % w.kernel[1] * w.dilation[1] - w.padding[1];
    const Inside rows(g.oh, w.stride[0], down, g.height);
    const Inside places(g.ow, w.stride[1], right, g.width);
    const int64_t before = places.first * images;
    const int64_t n = (places.last - places.first) * images;
    for (int64_t c = 0; c < channels; ++c) {
      T* cells = columns + tap * tap_step + c * channel_step;
      for (int64_t y = 0; y < g.oh; ++y, cells += g.ow * images) {
        if (y < rows.first || y >= rows.last) {
          pad(cells, g.ow * images);
          continue;
        }
        T* from = pixels + c * size + ((y * w.stride[0] + down) * g.width + right) * images +
                  places.first * step;
        pad(cells, before);
        if (step == images) {
          move<fold, T>(cells + before, from, n, 1);
        } else if (images == 1) {
          move<fold, T>(cells + before, from, n, step);
        } else {
          for (int64_t i = 0; i < n; i += images, from += step) {
            move<fold, T>(cells + before + i, from, images, 1);
          }
        }
        pad(cells + before + n, (g.ow - places.last) * images);
      }
    }
  }
}

/// Channels [channel, channel + channels) of images [image, image + images) of x.
View part_of(const View& x, int64_t image, int64_t images, int64_t channel, int64_t channels) {
  View part = x;
  part.shape[0] = images, part.shape[1] = channels;
  part.data = x.as<char>() + (image * x.strides[0] + channel * x.strides[1]) * size_of(x.dtype);
  return part;
}

/// Memory with the images side by side, (channels, height, width, images), seen in the order of
/// `part`: copy() goes from one to the other.
View side_by_side(const View& part, void* data) {
  const int64_t images = part.shape[0], height = part.shape[2], width = part.shape[3];
  return {data, part.dtype, part.shape, {1, height * width * images, width * images, images}};
}

/// Scratch memory for a block of images of one group, side by side.
template <class T>
struct Block {
  T *columns, *pixels, *results;  // taps, pixels of x and places of y, times channels and images

  explicit Block(const Convolution& s) {
    const auto memory = [&](int which, int64_t n) {
      return static_cast<T*>(scratch(which, static_cast<size_t>(n * s.block()) * sizeof(T)));
    };
    columns = memory(2, s.taps() * s.places());
    pixels = memory(3, s.in * s.height * s.width);
    results = memory(4, s.out * s.places());
  }
};

/// body(block, group, image, images) for all blocks of images of one group, shared by the threads.
template <class T, class Body>
[[gnu::always_inline]] inline void each_block(const Convolution& s, Body&& body) {
  parallel_for(s.groups * s.images, 1 + 500000 / (s.flops() + 1), [&](int64_t begin, int64_t end) {
    const Block<T> block(s);
    while (begin < end) {
      const int64_t image = begin % s.images;
      const int64_t left = least(end - begin, s.images - image);
      const int64_t images = least(left, s.block());
      body(block, begin / s.images, image, images);
      begin += images;
    }
  });
}

template <class T>
void conv2d_as(const Windows& w, const Convolution& s, const View& x, const T* weight,
               const View& y) {
  each_block<T>(s, [&](const Block<T>& b, int64_t group, int64_t image, int64_t images) {
    const int64_t n = images * s.places();
    const View from = part_of(x, image, images, group * s.in, s.in);
    const View to = part_of(y, image, images, group * s.out, s.out);
    copy(from, side_by_side(from, b.pixels));
    unfold<Work::unfold, T>(w, s, images, s.in, b.pixels, b.columns, T(0));
    gemm<T>(s.out, n, s.taps(), {weight + group * s.out * s.taps(), s.taps(), 1}, {b.columns, n, 1},
            {b.results, n, 1}, false);
    copy(side_by_side(to, b.results), to);
  });
}

template <class T>
void conv2d_input_as(const Windows& w, const Convolution& s, const View& dy, const T* weight,
                     const View& dx) {
  each_block<T>(s, [&](const Block<T>& b, int64_t group, int64_t image, int64_t images) {
    const int64_t n = images * s.places();
    const View from = part_of(dy, image, images, group * s.out, s.out);
    const View to = part_of(dx, image, images, group * s.in, s.in);
    copy(from, side_by_side(from, b.results));
    gemm<T>(s.taps(), n, s.out, {weight + group * s.out * s.taps(), 1, s.taps()}, {b.results, n, 1},
            {b.columns, n, 1}, false);
    std::memset(b.pixels, 0, static_cast<size_t>(to.size()) * sizeof(T));
    unfold<Work::fold, T>(w, s, images, s.in, b.pixels, b.columns, T(0));
    copy(side_by_side(to, b.pixels), to);
  });
}

/// Threads share the channels of x, not the images: each has its own part of dweight, and the order
/// of the sums does not depend on how many there are.
template <class T>
void conv2d_weight_as(const Windows& w, const Convolution& s, const View& dy, const View& x,
                      T* dweight) {
  const int64_t work = s.images * s.flops() / s.in;
  parallel_for(s.groups * s.in, 1 + 500000 / (work + 1), [&](int64_t begin, int64_t end) {
    const Block<T> b(s);
    while (begin < end) {
      const int64_t group = begin / s.in, first = begin % s.in;
      const int64_t channels = least(s.in - first, end - begin);
      T* to = dweight + group * s.out * s.taps() + first * s.window;
      for (int64_t image = 0; image < s.images; image += s.block()) {
        const int64_t images = least(s.images - image, s.block());
        const int64_t n = images * s.places();
        const View from = part_of(x, image, images, begin, channels);
        const View slope = part_of(dy, image, images, group * s.out, s.out);
        copy(from, side_by_side(from, b.pixels));
        copy(slope, side_by_side(slope, b.results));
        unfold<Work::unfold, T>(w, s, images, channels, b.pixels, b.columns, T(0));
        gemm<T>(s.out, channels * s.window, n, {b.results, n, 1}, {b.columns, 1, n},
                {to, s.taps(), 1}, image > 0);
      }
      begin += channels;
    }
  });
}

/// best[i] = which of the rows of columns (taps, n) is the first with the largest element i. The
/// number is kept as a T, so that it stands in a vector beside the element.
template <class T>
void argmax_of_rows(const T* columns, int64_t taps, int64_t n, T* best) {
  vectors<T>(n, [&](auto load, auto store) {
    Vec<T> record = load(columns, T(0));
    Vec<T> winner(T(0));
    for (int64_t tap = 1; tap < taps; ++tap) {
      const Vec<T> value = load(columns + tap * n, T(0));
      const auto better = (value > record) || (!(value == value) && (record == record));
      record = xsimd::select(better, value, record);
      winner = xsimd::select(better, Vec<T>(static_cast<T>(tap)), winner);
    }
    store(best, winner);
  });
}

/// The position in x behind each winner: taps of the windows of one channel, whose first pixel has
/// the position `first`.
template <class T>
[[gnu::always_inline]] inline void write_positions(const Windows& w, const Grid& g, const T* best,
                                                   int64_t first, int64_t* out, int64_t row_step,
                                                   int64_t step) {
  for (int64_t y = 0; y < g.oh; ++y) {
    for (int64_t at = 0; at < g.ow; ++at, ++best) {
      // Taps are few: a loop is faster than a division.
      int64_t tap = static_cast<int64_t>(*best), i = 0;
      for (; tap >= w.kernel[1]; ++i) tap -= w.kernel[1];
      int64_t row = y * w.stride[0] - w.padding[0] + i * w.dilation[0];
      int64_t column = at * w.stride[1] - w.padding[1] + tap * w.dilation[1];
      // In the padding only if all pixels are -infinity: then the first of them.
      while (row < 0) row += w.dilation[0];
      while (column < 0) column += w.dilation[1];
      out[y * row_step + at * step] = first + row * g.width + column;
    }
  }
}

template <class T>
void pool_argmax_as(const Windows& w, const View& x, const View& index) {
  const Grid g{x.shape[2], x.shape[3], index.shape[2], index.shape[3], w.kernel[0] * w.kernel[1]};
  const int64_t channels = x.shape[1];
  const int64_t grain = row_grain(g.places() * g.window);
  parallel_for(x.shape[0] * channels, grain, [&](int64_t begin, int64_t end) {
    const int64_t most = clamp(16384 / (g.window * g.places()), 1, end - begin);
    const auto memory = [&](int which, int64_t n) {
      return static_cast<T*>(scratch(which, static_cast<size_t>(n * most) * sizeof(T)));
    };
    T* columns = memory(3, g.window * g.places());
    T* best = memory(4, g.places());
    for (int64_t first = begin; first < end; first += most) {
      const int64_t planes = least(most, end - first);
      unfold<Work::by_tap, T>(w, g, 1, planes, x.as<T>() + first * g.height * g.width, columns,
                              -std::numeric_limits<T>::infinity());
      argmax_of_rows<T>(columns, g.window, planes * g.places(), best);
      for (int64_t i = 0; i < planes; ++i) {
        const int64_t image = (first + i) / channels, channel = (first + i) % channels;
        write_positions<T>(
            w, g, best + i * g.places(), (first + i) * g.height * g.width,
            index.as<int64_t>() + image * index.strides[0] + channel * index.strides[1],
            index.strides[2], index.strides[3]);
      }
    }
  });
}

}  // namespace

void conv2d(const Windows& w, int64_t groups, const View& x, const View& weight, const View& y) {
  if (y.size() == 0) return;
  if (x.size() == 0) return fill({0, 0}, y);
  visit_floating(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    conv2d_as<T>(w, Convolution(groups, x, weight, y), x, compact(weight, 5).as<T>(), y);
  });
}

void conv2d_input(const Windows& w, int64_t groups, const View& dy, const View& weight,
                  const View& dx) {
  if (dx.size() == 0) return;
  if (dy.size() == 0) return fill({0, 0}, dx);
  visit_floating(dx.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    conv2d_input_as<T>(w, Convolution(groups, dx, weight, dy), dy, compact(weight, 5).as<T>(), dx);
  });
}

void conv2d_weight(const Windows& w, int64_t groups, const View& dy, const View& x,
                   const View& dweight) {
  if (dweight.size() == 0) return;
  if (dy.size() == 0) return fill({0, 0}, dweight);
  visit_floating(x.dtype, [&](auto tag) {
    using T = typename decltype(tag)::type;
    const View out = stand_in(dweight, 5);
    conv2d_weight_as<T>(w, Convolution(groups, x, dweight, dy), dy, x, out.as<T>());
    if (out.data != dweight.data) copy(out, dweight);
  });
}

void pool_argmax(const Windows& w, const View& x, const View& index) {
  if (index.size() == 0) return;
  visit_floating(x.dtype, [&](auto tag) {
    pool_argmax_as<typename decltype(tag)::type>(w, compact(x, 2), index);
  });
}

}  // namespace needle::NEEDLE_ISA
