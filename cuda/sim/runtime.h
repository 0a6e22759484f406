// The simulator, as programs see it: memory, options, launches, findings, report.  (Lesson 04)
//
// Kernels are CUDA source, compiled by g++ with hooks before every access (hooks.cc). A block's threads
// are fibers that run in turns (fiber.h, machine.h); without checks, blocks run on all cores at the same
// time. With them, one after another, and every access goes by trace.h: to the checks (trace.cc,
// race.cc) and to the counters (counters.h).
//
// What it does not see
//  - Time: caches, latency, occupancy, registers. Its costs are counts, not seconds.
//  - An access beyond a shared array that falls into another one behind it, or beyond a row of an array
//    of two dimensions into the next row. Beyond the end of arrays in global memory all is seen, up to
//    kRedZone bytes away.
//  - A missing __threadfence() in front of a barrier; what the order of memory operations does on a GPU.
//    What a thread wrote before a fence and an atomic operation counts as handed over to everybody who
//    performs an atomic operation afterwards, on whatever address.
//  - Reads of global memory that nobody wrote: the host writes there without hooks.
//  - Variables of the host passed to a kernel by address, if they are static: they might be __device__.
//  - What functions do that are compiled elsewhere, such as memcpy of many bytes.
//  - What the blocks of a cluster access: they run without checks and counters. (The library uses no
//    clusters while it is watched.)
//  - Tensor cores, asynchronous copies, grids that wait for themselves.
#pragma once

#include "cuda/sim/finding.h"
#include "cuda/sim/launch.h"
#include "cuda/sim/memory.h"
#include "cuda/sim/options.h"
#include "cuda/sim/report.h"
