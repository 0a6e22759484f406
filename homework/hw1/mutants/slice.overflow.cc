// The count is rounded up with a sum that overflows for a large step.
const int64_t size = view_.shape[i];
const int64_t step = slice.step;
if (step == 0) throw ValueError("slice: the step must not be 0");
const int64_t low = step > 0 ? 0 : -1;
const int64_t high = step > 0 ? size : size - 1;
const auto clamp = [&](int64_t index) {
  return std::clamp(index < 0 ? index + size : index, low, high);
};
const int64_t start = slice.start ? clamp(*slice.start) : (step > 0 ? low : high);
const int64_t stop = slice.stop ? clamp(*slice.stop) : (step > 0 ? high : low);
const int64_t distance = step > 0 ? stop - start : start - stop;
const int64_t magnitude = step > 0 ? step : static_cast<int64_t>(0 - static_cast<uint64_t>(step));
const int64_t count = distance <= 0 ? 0 : (distance + magnitude - 1) / magnitude;

Shape shape = view_.shape;
Shape strides = view_.strides;
shape[i] = count;
strides[i] *= step;
return with(shape, strides, count == 0 ? 0 : start * view_.strides[i]);
