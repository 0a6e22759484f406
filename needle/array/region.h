// What stands in a homework region that is not written yet.  (Lesson 02)
//
// Kernels of the CPU include this, and not error.h: see needle/backend/cpu/isa.h.
#pragma once

namespace needle {

/// Throws NotImplementedError, which says where to write. `region` is the region's name.
[[noreturn]] void not_implemented(const char* region);

}  // namespace needle
