// Another dtype, another device, another layout: the same values.  (Lesson 02)
#include "needle/autograd/node.h"
#include "needle/op/op.h"

namespace needle {
namespace {

struct Cast final : Op {
  DType dtype;

  explicit Cast(DType t) : dtype(t) {}
  const char* name() const override { return "cast"; }
  Spec spec(Specs in) const override { return {in[0].shape, dtype}; }

  void forward(const Kernels& k, Arrays in, const NDArray& out) override {
    slot(k, &Kernels::copy, name())(in[0].view(), out.view());
  }

  uint32_t saves() const override { return kNothing; }
  bool takes_half() const override { return true; }

  Tensors gradient(const Tensor& dy, const Context& c) const override {
    return {cast(dy, c.spec(0).dtype)};
  }
};

struct ToDevice final : Op {
  Device from, to;

  ToDevice(Device source, Device target) : from(source), to(target) {}
  const char* name() const override { return "to_device"; }
  Spec spec(Specs in) const override { return in[0]; }
  NDArray run(Arrays in) override { return to_device(in[0], to); }
  void forward(const Kernels&, Arrays, const NDArray&) override {}
  uint32_t saves() const override { return kNothing; }
  bool takes_half() const override { return true; }
  Tensors gradient(const Tensor& dy, const Context&) const override {
    return {to_device(dy, from)};
  }
};

}  // namespace

Tensor cast(const Tensor& x, DType dtype) {
  return x.dtype() == dtype ? x : apply_op<Cast>({x}, dtype);
}

Tensor to_device(const Tensor& x, Device device) {
  return x.device() == device ? x : apply_op<ToDevice>({x}, x.device(), device);
}

Tensor contiguous(const Tensor& x) {
  return x.value().is_contiguous() ? x : apply_op<Cast>({x}, x.dtype());
}

}  // namespace needle
