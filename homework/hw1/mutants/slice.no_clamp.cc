// A start beyond the end is not brought back.
const int64_t size = view_.shape[i];
// A step beyond the size finds one element, like one just beyond it, which cannot overflow.
const int64_t step = std::clamp(slice.step, -size - 1, size + 1);
if (step == 0) throw ValueError("slice: the step must not be 0");
// Python's rule: a positive step walks inside [0, size], a negative one inside [-1, size - 1].
const int64_t low = step > 0 ? 0 : -1;
const int64_t high = step > 0 ? size : size - 1;
const auto clamp = [&](int64_t index) {
  return std::max(index < 0 ? index + size : index, low);
};
const int64_t start = slice.start ? clamp(*slice.start) : (step > 0 ? low : high);
const int64_t stop = slice.stop ? clamp(*slice.stop) : (step > 0 ? high : low);
const int64_t distance = step > 0 ? stop - start : start - stop;
const int64_t count = distance <= 0 ? 0 : (distance - 1) / std::abs(step) + 1;

Shape shape = view_.shape;
Shape strides = view_.strides;
shape[i] = count;
strides[i] *= step;
return with(shape, strides, count == 0 ? 0 : start * view_.strides[i]);
