// Convolution, pooling and batch normalisation.  (Lesson 05)
#include "binder.h"

namespace needle::python {
namespace {

Tensor or_undefined(const std::optional<In>& x) { return x ? x->tensor : Tensor(); }

py::arg_v pair_arg(const char* name, int64_t value) { return py::arg(name) = value; }

void bind_convolutions(py::module_& m) {
  m.def(
      "conv2d",
      [](const In& x, const In& weight, const std::optional<In>& bias, const InShape& stride,
         const InShape& padding, const InShape& dilation, int64_t groups) {
        return released(x.tensor.size(), [&] {
          return conv2d(x.tensor, weight.tensor, or_undefined(bias), stride.shape, padding.shape,
                        dilation.shape, groups);
        });
      },
      py::arg("x"), py::arg("weight"), py::arg("bias") = py::none(), pair_arg("stride", 1),
      pair_arg("padding", 0), pair_arg("dilation", 1), py::arg("groups") = 1,
      "Cross-correlation of x (n, channels, height, width) with the filters of weight.\n\n"
      "weight (out, channels / groups, kh, kw), bias (out,) or None; sizes are one number or\n"
      "(height, width). ValueError for shapes that do not fit.");
  m.def(
      "conv_transpose2d",
      [](const In& x, const In& weight, const std::optional<In>& bias, const InShape& stride,
         const InShape& padding, const InShape& output_padding, int64_t groups,
         const InShape& dilation) {
        return released(x.tensor.size(), [&] {
          return conv_transpose2d(x.tensor, weight.tensor, or_undefined(bias), stride.shape,
                                  padding.shape, output_padding.shape, groups, dilation.shape);
        });
      },
      py::arg("x"), py::arg("weight"), py::arg("bias") = py::none(), pair_arg("stride", 1),
      pair_arg("padding", 0), pair_arg("output_padding", 0), py::arg("groups") = 1,
      pair_arg("dilation", 1),
      "The gradient of conv2d with respect to its input, as a layer: it makes images larger.\n\n"
      "x (n, channels, height, width), weight (channels, out / groups, kh, kw), bias (out,).");
}

void bind_pools(Binder& define) {
  const auto pool = [&](const char* name, auto function, const char* doc) {
    define(
        name,
        [function](const In& x, const InShape& kernel, const InAxes& stride,
                   const InShape& padding) {
          return released(x.tensor.size(), [&] {
            return function(x.tensor, kernel.shape, stride.axes, padding.shape);
          });
        },
        doc, py::arg("kernel_size"), py::arg("stride") = py::none(), pair_arg("padding", 0));
  };
  pool("max_pool2d", max_pool2d,
       "The largest element of every window of x (n, channels, height, width).\n\n"
       "The stride is the kernel size by default. The first of equal elements gets the gradient.");
  pool("avg_pool2d", avg_pool2d,
       "The mean of every window of x (n, channels, height, width), zeros of the padding "
       "included.\n\n"
       "The stride is the kernel size by default.");
}

}  // namespace

void bind_image_ops(Binder& define) {
  bind_convolutions(define.m);
  bind_pools(define);
  define.m.def(
      "batch_norm",
      [](const In& x, const std::optional<In>& mean, const std::optional<In>& var,
         const std::optional<In>& weight, const std::optional<In>& bias, bool training,
         double momentum, double eps) {
        return released(x.tensor.size(), [&] {
          return batch_norm(x.tensor, or_undefined(mean), or_undefined(var), or_undefined(weight),
                            or_undefined(bias), training, momentum, eps);
        });
      },
      py::arg("x"), py::arg("running_mean"), py::arg("running_var"), py::arg("weight") = py::none(),
      py::arg("bias") = py::none(), py::arg("training") = false, py::arg("momentum") = 0.1,
      py::arg("eps") = 1e-5,
      "(x - mean) / sqrt(var + eps) * weight + bias per channel of x (n, channels, ...).\n\n"
      "The others are (channels,) or None. training: mean and variance are the batch's, and the\n"
      "running ones move towards them in place. Ioffe & Szegedy (arXiv 1502.03167).");
}

}  // namespace needle::python
