// Kernels with one defect each, and what the simulator has to say of them.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cuda/sim/finding.h"

namespace needle::sim {

struct Defect {
  std::string name;  // its line in the source ends in "// HERE: name"
  Kind kind;
  std::function<void()> run;
  bool is_hidden = false;  // a test of the results passes, in every order of the threads
};

/// All of them. Their source is tests/sim/races.cc, memory_defects.cc and sync_defects.cc.
std::vector<Defect> races();
std::vector<Defect> memory_defects();
std::vector<Defect> sync_defects();

}  // namespace needle::sim
