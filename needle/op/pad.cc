// More elements than before: a border, repetition; and the same ones turned round.  (Lesson 03)
#include <algorithm>
#include <cmath>

#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

/// `before` and `after` elements of one value at the ends of an axis; neither is negative.
struct Pad final : Op {
  int axis;
  int64_t before, after;
  double value;

  Pad(int a, int64_t b, int64_t e, double v) : axis(a), before(b), after(e), value(v) {}
  const char* name() const override { return "pad"; }

  Spec spec(Specs in) const override {
    Spec out = in[0];
    if (__builtin_add_overflow(out.shape[axis], before, &out.shape[axis]) ||
        __builtin_add_overflow(out.shape[axis], after, &out.shape[axis])) {
      throw ValueError(str("pad: widths ", before, " and ", after, " are too large"));
    }
    return out;
  }

  Slice inside(const Shape& shape) const { return {before, before + shape[axis]}; }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    fill(out, value);
    slot(k, &Kernels::copy, name())(in[0].view(), out.slice(axis, inside(in[0].shape())).view());
  }

  uint32_t saves() const override { return kNothing; }
  bool takes_half() const override { return true; }
  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return {slice(dy, axis, inside(c.shape(0)))};
  }
};

}  // namespace

Tensor pad(const Tensor& x, const std::vector<int64_t>& widths, double value) {
  if (widths.size() % 2 != 0 || widths.size() / 2 > static_cast<size_t>(x.ndim())) {
    throw ValueError(str("pad: ", widths.size(), " widths for shape ", x.shape(),
                         "; wanted two for each axis, beginning with the last"));
  }
  if (!is_floating(x.dtype()) && value != std::trunc(value)) {
    throw TypeError(str("pad: the value ", value, " does not fit ", x.dtype()));
  }
  Tensor out = x;
  for (size_t i = 0; i < widths.size() / 2; ++i) {
    const int axis = x.ndim() - 1 - static_cast<int>(i);
    const int64_t before = widths[2 * i], after = widths[2 * i + 1], size = x.shape(axis);
    // Of two widths not below -size the sum cannot overflow.
    if (before < -size || after < -size ||
        size + std::min<int64_t>(before, 0) + std::min<int64_t>(after, 0) < 0) {
      throw ValueError(str("pad: widths ", before, " and ", after, " cut more than axis ", axis,
                           " of ", x.shape(), " has"));
    }
    const int64_t first = std::max<int64_t>(0, -before);
    const int64_t stop = size + std::min<int64_t>(after, 0);
    if (before < 0 || after < 0) out = slice(out, axis, {first, stop});
    if (before > 0 || after > 0) {
      out = apply_op<Pad>({out}, axis, std::max<int64_t>(0, before), std::max<int64_t>(0, after),
                          value);
    }
  }
  return out;
}

Tensor roll(const Tensor& x, const Shape& shifts, const Axes& axes) {
  if (!axes) {
    if (shifts.ndim() != 1) throw ValueError(str("roll: shifts ", shifts, " without axes"));
    return reshape(roll(reshape(x, {x.size()}), shifts, Shape{0}), x.shape());
  }
  if (axes->ndim() != shifts.ndim()) {
    throw ValueError(str("roll: shifts ", shifts, " for axes ", *axes, "; wanted one each"));
  }
  Tensor out = x;
  for (int i = 0; i < shifts.ndim(); ++i) {
    const int axis = normalize_axis("roll", (*axes)[i], x.ndim());
    const int64_t n = x.shape(axis);
    if (n == 0) continue;
    const int64_t cut = (n - shifts[i] % n) % n;  // what comes first afterwards
    if (cut == 0) continue;
    out = concat({slice(out, axis, {cut, n}), slice(out, axis, {0, cut})}, axis);
  }
  return out;
}

Tensor tile(const Tensor& x, const Shape& repeats) {
  Shape shape = x.shape();
  while (shape.ndim() < repeats.ndim()) shape.insert(0, 1);
  Shape result = shape;
  int64_t elements = 1;
  for (int i = 0; i < shape.ndim(); ++i) {
    const int given = i - (shape.ndim() - repeats.ndim());
    const int64_t times = given < 0 ? 1 : repeats[given];
    if (times < 0) throw ValueError(str("tile: negative count in ", repeats));
    if (__builtin_mul_overflow(shape[i], times, &result[i]) ||
        __builtin_mul_overflow(elements, std::max<int64_t>(result[i], 1), &elements)) {
      throw ValueError(str("tile: ", repeats, " times ", x.shape(), " is too large"));
    }
  }
  Tensor out = reshape(x, shape);
  for (int i = 0; i < shape.ndim(); ++i) {
    if (result[i] == shape[i]) continue;
    // The axis and all behind it as one block, which is then said several times.
    int64_t outer = 1, block = 1;
    for (int a = 0; a < shape.ndim(); ++a) (a < i ? outer : block) *= shape[a];
    const int64_t times = result[i] / shape[i];
    const Tensor blocks = broadcast_to(reshape(out, {outer, 1, block}), {outer, times, block});
    shape[i] = result[i];
    out = reshape(blocks, shape);
  }
  return out;
}

}  // namespace needle
