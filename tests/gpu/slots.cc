// The slots of device cuda for Python's ctypes: what tests/gpu/kernels.py holds against PyTorch, on
// PyTorch's own memory.  (Lesson 04)
#include <exception>
#include <string>
#include <string_view>

#include "needle/array/error.h"
#include "needle/backend/gpu.h"
#include "needle/backend/ladder.h"

extern "C" const needle::Gpu& needle_gpu();

namespace {

using namespace needle;

/// An array as ctypes fills it in. ndim < 0: left out.
struct Array {
  void* data;
  int32_t dtype, ndim;
  int64_t shape[kMaxDims], strides[kMaxDims];
};

View view(const Array& x) {
  if (x.ndim < 0) return {};
  const auto n = static_cast<size_t>(x.ndim);
  return {x.data, static_cast<DType>(x.dtype), Shape(std::span(x.shape, n)),
          Shape(std::span(x.strides, n))};
}

/// Version `number` of a kernel, counted from 1.
template <class F>
F rung(const Ladder<F>& ladder, int number) {
  if (number < 1 || number > ladder.count || !ladder.rungs[number - 1].run) {
    throw ValueError(str("no version ", number));
  }
  return ladder.rungs[number - 1].run;
}

/// Numbers first, arrays then, in the order of kernels.h. "ladder …": version `op` of the kernel.
void call(std::string_view slot, int op, const double* real, const Array* arrays) {
  const Kernels& k = *needle_gpu().kernels;
  const auto x = [&](int i) { return view(arrays[i]); };
  const auto whole = [&](int i) { return static_cast<int64_t>(real[i]); };
  if (slot == "fill") return k.fill({real[0], whole(0)}, x(0));
  if (slot == "copy") return k.copy(x(0), x(1));
  if (slot == "unary") return k.unary(Unary(op), x(0), x(1));
  if (slot == "unary_backward") return k.unary_backward(Unary(op), x(0), x(1), x(2), x(3));
  if (slot == "binary") return k.binary(Binary(op), x(0), x(1), x(2));
  if (slot == "compare") return k.compare(Compare(op), x(0), x(1), x(2));
  if (slot == "where") return k.where(x(0), x(1), x(2), x(3));
  if (slot == "reduce") return k.reduce(Reduce(op), x(0), x(1));
  if (slot == "arg_reduce") return k.arg_reduce(ArgReduce(op), x(0), int(real[0]), x(1));
  if (slot == "matmul") return k.matmul(x(0), x(1), x(2));
  if (slot == "softmax") return k.softmax(op != 0, x(0), x(1));
  if (slot == "softmax_backward") return k.softmax_backward(op != 0, x(0), x(1), x(2));
  if (slot == "norm") return k.norm(Norm(op), real[0], x(0), x(1), x(2), x(3), x(4), x(5));
  if (slot == "norm_backward") {
    return k.norm_backward(Norm(op), x(0), x(1), x(2), x(3), x(4), x(5), x(6), x(7));
  }
  if (slot == "cross_entropy") return k.cross_entropy(x(0), x(1), x(2), x(3));
  if (slot == "cross_entropy_backward") {
    return k.cross_entropy_backward(x(0), x(1), x(2), x(3), x(4));
  }
  if (slot == "gather") return k.gather(x(0), x(1), x(2));
  if (slot == "scatter_rows") return k.scatter_rows(x(0), x(1), x(2));
  if (slot == "rotary") return k.rotary(op != 0, x(0), x(1), x(2), x(3));
  if (slot == "attention") return k.attention(op != 0, real[0], x(0), x(1), x(2), x(3), x(4));
  if (slot == "attention_backward") {
    return k.attention_backward(op != 0, real[0], x(0), x(1), x(2), x(3), x(4), x(5), x(6), x(7),
                                x(8));
  }
  if (slot == "conv2d") {  // 3 x 3, padding 1
    return k.conv2d({{3, 3}, {1, 1}, {1, 1}, {1, 1}}, 1, x(0), x(1), x(2));
  }
  if (slot == "adamw") {
    return k.adamw({real[0], real[1], real[2], real[3], real[4], real[5], real[6]}, x(0), x(1),
                   x(2), x(3));
  }
  if (slot == "random") return k.random(Random(op), 1, 0, x(0));
  if (slot == "dropout") return k.dropout(1, 0, real[0], x(0), x(1));
  const GpuLadders& ladders = *needle_gpu().ladders;
  if (slot == "ladder matmul") return rung(ladders.matmul, op)(x(0), x(1), x(2));
  if (slot == "ladder transpose") return rung(ladders.transpose, op)(x(0), x(1));
  if (slot == "ladder reduction") return rung(ladders.reduction, op)(Reduce::sum, x(0), x(1));
  if (slot == "ladder softmax") return rung(ladders.softmax, op)(false, x(0), x(1));
  throw ValueError(str("no slot ", slot));
}

}  // namespace

/// Null, or what went wrong.
extern "C" [[gnu::visibility("default")]] const char* needle_call(const char* slot, int op,
                                                                  const double* real,
                                                                  const Array* arrays) {
  static std::string message;
  try {
    call(slot, op, real, arrays);
    return nullptr;
  } catch (const std::exception& error) {
    message = error.what();
    return message.c_str();
  }
}
