// The cpu backend: one table per instruction set, chosen once.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/probes.h"
#include "needle/backend/kernels.h"

namespace needle {

/// The table for the instruction set that NEEDLE_ISA names, or else for the best that this CPU and
/// the operating system have. ValueError if NEEDLE_ISA names one that they do not have.
const Kernels& cpu_kernels();
/// To measure the machine with the same instruction set.
const Probes& cpu_probes();

}  // namespace needle
