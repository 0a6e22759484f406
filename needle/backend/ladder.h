// Ladders: versions of a kernel, each with one idea more than the one before.  (Lesson 04)
#pragma once

#include "needle/backend/kernels.h"

namespace needle {

/// One version. F is the type of the kernel's slot in the table, and the last rung of a ladder is
/// the slot itself. The others take compact float32 operands alone, and run on one thread.
template <class F>
struct Rung {
  const char* name;
  const char* idea;
  const char* file;  // from the top of the tree
  F run;
  // One step of the innermost loop: floating-point operations, and the bytes that the core loads
  // and stores for them, from whichever level of the memory they come.
  double flops, bytes;
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

}  // namespace needle
