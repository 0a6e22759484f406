// The cells of a piece of memory.  (Lesson 04)
#include "cuda/sim/shadow.h"

#include <new>

namespace needle::sim {

void Shadow::refine(size_t granule, size_t size_of_memory) {
  // Zeroed by the system when it is first touched: what kernels never use costs nothing.
  const size_t count = size_of_memory / granule + 4;
  std::unique_ptr<Cell[], void (*)(void*)> finer(
      static_cast<Cell*>(std::calloc(count, sizeof(Cell))), std::free);
  if (!finer) throw std::bad_alloc();
  if (cells_) {
    const size_t pieces = granule_ / granule;
    for (size_t i = 0; i < size_of_memory / granule; ++i) finer[i] = cells_[i / pieces];
  }
  cells_ = std::move(finer);
  granule_ = granule;
}

}  // namespace needle::sim
