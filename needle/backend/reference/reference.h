// The reference backend: the specification of every kernel, in plain xtensor.  (Lesson 02)
#pragma once

#include "needle/backend/kernels.h"

namespace needle {

extern const Kernels reference_kernels;

}  // namespace needle
