// Lesson 4, the GPU: what warps and memory cost, counted by the simulator on kernels of a line or
// two.
//
// build/release/lessons/04-hardware-gpu
#include <cstdio>
#include <string>

#include "cuda/launch.h"
#include "cuda/sim/runtime.h"
#include "lessons/lesson.h"

using lesson::check;
using namespace needle;

namespace {

/// What the kernels that `run` launches are counted to do.
template <class Run>
sim::LineCounts counted(Run run) {
  sim::clear_counts();
  run();
  return sim::counts().at(0).total;
}

double each(const sim::AccessCount& count) {
  return static_cast<double>(count.units) / static_cast<double>(count.requests);
}

// --- warps ---

/// Half of the threads do one thing, half the other: by turns, or 64 of one and 64 of the other.
__global__ void choose(float* out, int side_by_side) {
  const int i = threadIdx.x;
  if (i / side_by_side % 2 == 0) {
    out[i] = 1;
  } else {
    out[i] = 2;
  }
}

void warps(float* out) {
  std::printf("== warps\n");
  for (const int side_by_side : {1, 16, 32, 64}) {
    const auto total = counted([&] { NEEDLE_LAUNCH((choose), 1, 128, 0, out, side_by_side); });
    std::printf("%2d threads alike: %lld of 4 warps part, %lld requests to store\n", side_by_side,
                static_cast<long long>(total.blocks.divergent),
                static_cast<long long>(total.global_writes.requests));
    check(total.blocks.divergent == (side_by_side < 32 ? 4 : 0));
  }
}

// --- coalescing ---

__global__ void load(const float* x, float* out, int stride, int shift) {
  out[threadIdx.x] = x[threadIdx.x * stride + shift];
}

__global__ void load_vectors(const float4* x, float4* out) { out[threadIdx.x] = x[threadIdx.x]; }

void coalescing(float* x, float* out) {
  std::printf("== coalescing\n");
  const auto say = [](const char* what, const sim::AccessCount& reads) {
    std::printf("%-26s %2.0f sectors, at best %2.0f\n", what, each(reads),
                static_cast<double>(reads.ideal) / static_cast<double>(reads.requests));
    return each(reads);
  };
  const auto sectors = [&](const char* what, int stride, int shift) {
    const auto total = counted([&] { NEEDLE_LAUNCH((load), 1, 32, 0, x, out, stride, shift); });
    return say(what, total.global_reads);
  };
  check(sectors("x[i]", 1, 0) == 4);
  check(sectors("x[i + 1]", 1, 1) == 5);
  check(sectors("x[2 * i]", 2, 0) == 8);
  check(sectors("x[8 * i]", 8, 0) == 32);
  check(sectors("x[1024 * i], a column", 1024, 0) == 32);
  check(sectors("x[0], for all", 0, 0) == 1);
  const auto vectors = counted([&] {
    NEEDLE_LAUNCH((load_vectors), 1, 32, 0, reinterpret_cast<const float4*>(x),
                  reinterpret_cast<float4*>(out));
  });
  check(say("four at a time, as float4", vectors.global_reads) == 16);
}

// --- banks ---

__global__ void read_shared(float* out, int stride) {
  __shared__ float s[33 * 32];
  for (int i = threadIdx.x; i < 33 * 32; i += 32) s[i] = 0;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x * stride];
}

void banks(float* out) {
  std::printf("== banks\n");
  for (const int stride : {0, 1, 2, 3, 8, 32, 33}) {
    const auto total = counted([&] { NEEDLE_LAUNCH((read_shared), 1, 32, 0, out, stride); });
    std::printf("s[%2d * lane]: %2.0f wavefronts\n", stride, each(total.shared_reads));
  }
}

// --- a race ---

/// Each thread takes the number of the next one; somebody forgot to wait.
__global__ void rotate(const float* x, float* out) {
  __shared__ float s[64];
  s[threadIdx.x] = x[threadIdx.x];
  out[threadIdx.x] = s[(threadIdx.x + 1) % 64];
}

/// Breaks lines before the 100th character.
void print_in_lines(std::string text) {
  while (text.size() > 100) {
    const size_t end = text.rfind(' ', 99);
    std::printf("%s\n", text.substr(0, end).c_str());
    text = text.substr(end + 1);
  }
  std::printf("%s\n", text.c_str());
}

void a_race(const float* x, float* out) {
  std::printf("== a race\n");
  sim::set_options({.check = true, .collect = true});
  NEEDLE_LAUNCH((rotate), 1, 64, 0, x, out);
  check(!sim::findings().empty());
  const std::string text = sim::findings()[0].text;
  print_in_lines(text.substr(0, text.find('\n')));
}

}  // namespace

int main() {
  sim::set_options({.check = true, .count = true});
  auto* x = static_cast<float*>(sim::allocate(32 * 1024 * sizeof(float)));
  auto* out = static_cast<float*>(sim::allocate(128 * sizeof(float)));
  for (int i = 0; i < 32 * 1024; ++i) x[i] = 1;
  warps(out);
  coalescing(x, out);
  banks(out);
  a_race(x, out);
  sim::release(x);
  sim::release(out);
}
