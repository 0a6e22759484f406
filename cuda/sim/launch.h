// How a kernel is started in the simulator.  (Lesson 04)
#pragma once

#include <cstddef>
#include <string>

#include "cuda/sim/vector_types.h"

namespace needle::sim {

/// Where a launch is written.
struct LaunchSite {
  const char* kernel;
  const char* file;
  int line;
};

/// What each thread runs, and the memory of the arguments, which is nobody's global memory.
struct Body {
  void (*run)(const void* data);
  const void* data;
  size_t bytes;
};

/// "" or what is wrong with the shape of a launch. The limits are those of compute capability 9.0.
std::string refusal(dim3 grid, dim3 block, size_t dynamic_shared);

/// Runs all blocks; returns when they have ended. RuntimeError with a text that teaches if the
/// launch is refused, or if a check finds something. With Options::collect what is found is kept
/// instead: then false if the launch was stopped. `clusters`: the blocks of one x are a cluster.
bool run(const LaunchSite& site, dim3 grid, dim3 block, size_t dynamic_shared, const Body& body,
         bool clusters = false);
/// Of a cluster, on every GPU that has clusters.
inline constexpr unsigned kMostBlocks = 8;

template <bool clusters = false, class Kernel, class... Arguments>
void launch(const LaunchSite& site, dim3 grid, dim3 block, size_t dynamic_shared, Kernel kernel,
            Arguments... arguments) {
  const auto call = [kernel, ... copies = arguments] { kernel(copies...); };
  using Call = decltype(call);
  run(site, grid, block, dynamic_shared,
      {[](const void* data) { (*static_cast<Call*>(data))(); }, &call, sizeof call}, clusters);
}

}  // namespace needle::sim
