// Ladders: versions of a kernel, each with one idea more than the one before.  (Lesson 04)
#pragma once

#include "needle/backend/kernels.h"

namespace needle {

/// One version. F is the type of the kernel's slot in the table, and the last rung of a ladder is
/// the slot itself. The others take compact float32 operands alone, and on the cpu run on one
/// thread.
template <class F>
struct Rung {
  const char* name;
  const char* idea;
  const char* file;  // from the top of the tree
  F run;             // null if this device cannot
  // One step of the innermost loop: floating-point operations, and the bytes that the core loads
  // and stores for them, from whichever level of the memory they come. 0 on a GPU: the simulator
  // counts them.
  double flops = 0, bytes = 0;
  DType dtype = DType::float32;
};

template <class F>
struct Ladder {
  const Rung<F>* rungs;
  int count;

  const Rung<F>* begin() const { return rungs; }
  const Rung<F>* end() const { return rungs + count; }
};

/// The ladders of one instruction set.
struct Ladders {
  Ladder<decltype(Kernels::matmul)> matmul;    // a (m, k), b (k, n), out (m, n)
  Ladder<decltype(Kernels::softmax)> softmax;  // log false; x, out (..., n)
  Ladder<decltype(Kernels::reduce)> sum;       // Reduce::sum; x (...), out of one element
};

/// Those of the instruction set that the cpu backend runs on.
const Ladders& ladders();

/// The ladders of a GPU, and of its simulator.
struct GpuLadders {
  Ladder<decltype(Kernels::matmul)> matmul;     // a (m, k), b (k, n), out (m, n)
  Ladder<decltype(Kernels::copy)> transpose;    // x (n, m) with strides (1, n), out (n, m)
  Ladder<decltype(Kernels::reduce)> reduction;  // Reduce::sum; x (...), out of one element
  Ladder<decltype(Kernels::softmax)> softmax;   // log false; x, out (..., n)
};

}  // namespace needle
