// Which instruction set the cpu backend runs on: decided once, here.  (Lesson 04)
#include <cstdlib>
#include <string>
#include <string_view>

#include "needle/array/error.h"
#include "needle/backend/cpu/cpu.h"
#include "needle/backend/ladder.h"
#include "needle/backend/registry.h"

namespace needle {

// The same sources, compiled once per row (see meson.build); each exports one table.
namespace sse2 {
extern const Kernels table;
extern const Probes probes;
extern const Ladders ladders;
}  // namespace sse2
namespace avx2 {
extern const Kernels table;
extern const Probes probes;
extern const Ladders ladders;
}  // namespace avx2
namespace avx512 {
extern const Kernels table;
extern const Probes probes;
extern const Ladders ladders;
}  // namespace avx512

namespace {

struct Isa {
  const char* name;
  const Kernels* table;
  const Probes* probes;
  const Ladders* ladders;
  bool (*supported)();
};

// Those that were compiled, best first. Every flag given to the compiler is asked for; the builtin
// also asks the operating system (xgetbv) whether it saves the wide registers.
const Isa kIsas[] = {
#ifdef NEEDLE_HAS_AVX512
    {"avx512", &avx512::table, &avx512::probes, &avx512::ladders,
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw");
     }},
#endif
#ifdef NEEDLE_HAS_AVX2
    {"avx2", &avx2::table, &avx2::probes, &avx2::ladders,
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }},
#endif
#ifdef NEEDLE_HAS_SSE2
    {"sse2", &sse2::table, &sse2::probes, &sse2::ladders, [] { return true; }},
#endif
};

const Isa& choose() {
  const char* forced = std::getenv("NEEDLE_ISA");
  bool found = !forced || !*forced;
  std::string names;
  for (const Isa& isa : kIsas) {
    found |= forced && isa.name == std::string_view(forced);
    if (found && isa.supported()) return isa;
    names += str(names.empty() ? "" : ", ", isa.name);
  }
  if (found) throw RuntimeError(str("the cpu backend was compiled for ", names, " only"));
  throw ValueError(str("NEEDLE_ISA=", forced, ": not one of ", names));
}

const Isa& chosen() {
  static const Isa& isa = choose();
  return isa;
}

}  // namespace

const Kernels& cpu_kernels() { return *chosen().table; }
const Probes& cpu_probes() { return *chosen().probes; }
const Ladders& ladders() { return *chosen().ladders; }
const char* cpu_isa() { return chosen().name; }

}  // namespace needle
