// A piece of memory that kernels may use.  (Lesson 04)
#pragma once

#include <cstdint>
#include <string>

#include "cuda/sim/shadow.h"

namespace needle::sim {

struct Region {
  enum Space : uint8_t { global, shared, constant };

  uintptr_t begin, end;
  Space space;
  std::string name;  // of a variable; "" for memory from the allocator
  bool is_freed = false;
  uint64_t number = 0;  // which allocation of the program
  Shadow shadow = {};

  bool has(uintptr_t at, size_t bytes) const { return at >= begin && at + bytes <= end; }
};

}  // namespace needle::sim
