// From addresses to names: lines of the source, and variables.  (Lesson 04)
#pragma once

#include <cstddef>
#include <cstdint>
#include <source_location>
#include <string>
#include <vector>

#include "cuda/sim/finding.h"

namespace needle::sim {

/// The line of the call that returns to pc. Of inlined functions the innermost that is not the
/// simulator's own. Slow at first; results are kept.
Location location_of(uintptr_t pc);

Location location_of(const std::source_location& place);

/// "kernel(float*)::tile" of a name as the linker sees it.
std::string demangled(const std::string& name);
/// "dir/file.cu:12"
std::string text(const Location& location);
/// A path without the ".." that compilers are given.
std::string shown_path(const char* path);

/// A variable of the program with static storage.
struct Variable {
  uintptr_t begin, end;
  std::string name;  // as the linker sees it
  bool is_shared;    // thread_local: see __shared__
};

struct Range {
  uintptr_t begin, end;
  bool is_shared, is_constant;
};
/// The variables of all loaded modules that have a symbol table, sorted by address, with thread-local
/// ones where this thread has them; and the ranges that hold them.
struct Statics {
  std::vector<Variable> variables;
  std::vector<Range> ranges;
};
Statics statics();

/// The thread-local memory of all modules, of this thread; every thread has the same pieces.
std::vector<Range> thread_memory();

}  // namespace needle::sim
