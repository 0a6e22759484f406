// Who touched each word of memory last: what data races are found by.  (Lesson 04)
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace needle::sim {

/// One access. Intervals are numbered from 1 over all launches; a new one begins with each block and
/// at each barrier, so one belongs to one block. 0: there was none.
struct Touch {
  uint32_t interval;
  uint32_t site;
  uint32_t clock;  // atomics and fences of the launch before it
  uint32_t sync;   // operations of the warp before it
  uint16_t thread;
};

/// The last accesses to one word.
struct Cell {
  Touch write;
  Touch read;
  Touch other_read;  // of another thread, in the same interval as `read`
  Touch past_read;   // of another block
};

/// The cells of a piece of memory: one for 4 bytes, or for 2 or 1 once a smaller access is seen.
class Shadow {
 public:
  /// The cells of an access, which lies inside. [first, last)
  struct Cells {
    Cell* first;
    Cell* last;
  };
  Cells at(size_t offset, size_t bytes, size_t size_of_memory) {
    while ((offset | bytes) & (granule_ - 1)) refine(granule_ / 2, size_of_memory);
    if (!cells_) refine(granule_, size_of_memory);
    return {&cells_[offset / granule_], &cells_[(offset + bytes) / granule_]};
  }

 private:
  void refine(size_t granule, size_t size_of_memory);

  std::unique_ptr<Cell[], void (*)(void*)> cells_{nullptr, std::free};
  size_t granule_ = 4;
};

}  // namespace needle::sim
