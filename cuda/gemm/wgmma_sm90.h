// What the rest of the library knows of wgmma_sm90.cu: one function.  (Lesson 04)
#pragma once

#include "cuda/gemm/problem.h"

namespace needle::NEEDLE_GPU {

/// How to cut the work; 0 stands for "choose".
struct WgmmaPlan {
  int columns = 0;  // of a tile: 128 or 256
  int cluster = 0;  // blocks that share B: 1 or 2
  int height = 0;   // tile rows walked through together, see grouped()
  int slices = 0;   // parts of k, each on blocks of its own
};

/// Computes p on the tensor cores of an H100 or H200. False, and nothing done, if the device is
/// another one, the file was compiled for another one, or p does not suit: operands of two bytes of
/// one type whose neighbours lie along an axis, all other strides multiples of 16 bytes.
bool multiply_wgmma(const Problem& p, WgmmaPlan plan = {});

}  // namespace needle::NEEDLE_GPU
