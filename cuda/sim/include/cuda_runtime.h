// What programs for nvcc include; in the simulator.  (Lesson 04)
#pragma once

#include "cuda/launch.h"
#include "cuda/sim/api.h"
