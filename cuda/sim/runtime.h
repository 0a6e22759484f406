// What programs see of the simulator: its memory, its options, its report.  (Lesson 04)
#pragma once

#include "cuda/sim/finding.h"
#include "cuda/sim/launch.h"
#include "cuda/sim/memory.h"
#include "cuda/sim/options.h"
#include "cuda/sim/report.h"
