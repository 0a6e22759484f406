// The simulator's options and report as C functions, for python/needle/sim.py.  (Lesson 04)
//
// The simulator may be part of a library that is loaded late; these are then found by their names.
// Texts stay valid until the next call of the same function on the same thread.
#include <string>

#include "cuda/sim/report.h"
#include "cuda/sim/runtime.h"
#include "needle/array/error.h"

using namespace needle::sim;

extern "C" {

struct NeedleSimOptions {
  int check, count, collect, order;
  uint64_t seed, step_limit;
};

[[gnu::visibility("default")]] void needle_sim_get_options(NeedleSimOptions* out) {
  const Options now = options();
  *out = {now.check, now.count, now.collect, static_cast<int>(now.order), now.seed, now.step_limit};
}

[[gnu::visibility("default")]] void needle_sim_set_options(const NeedleSimOptions* in) {
  set_options({.check = in->check != 0,
               .count = in->count != 0,
               .collect = in->collect != 0,
               .order = static_cast<Order>(in->order),
               .seed = in->seed,
               .step_limit = in->step_limit});
}

[[gnu::visibility("default")]] const char* needle_sim_report() {
  static thread_local std::string* text = nullptr;  // small: see Machine::mine
  delete text;
  text = new std::string(report_json());
  return text->c_str();
}

[[gnu::visibility("default")]] void needle_sim_clear() {
  clear_findings();
  clear_counts();
}

}  // extern "C"
