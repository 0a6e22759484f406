// In the simulator the groups and their reduction are one file.
#pragma once

#include "../cooperative_groups.h"
