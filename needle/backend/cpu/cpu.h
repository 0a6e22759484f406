// The cpu backend: one table per instruction set, chosen once.  (Lesson 04)
#pragma once

#include "needle/backend/cpu/probes.h"
#include "needle/backend/kernels.h"

namespace needle {

/// The table for the best instruction set that this CPU, the operating system and NEEDLE_ISA allow.
/// ValueError if NEEDLE_ISA names none of them.
const Kernels& cpu_kernels();
/// To measure the machine with the same instruction set.
const Probes& cpu_probes();

}  // namespace needle
