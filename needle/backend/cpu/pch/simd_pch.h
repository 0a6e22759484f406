// xsimd, precompiled for one instruction set.
#pragma once

#include <cstring>
#include <xsimd/xsimd.hpp>
