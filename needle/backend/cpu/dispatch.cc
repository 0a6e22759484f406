// Which instruction set the cpu backend runs on: decided once, here.  (Lesson 04)
#ifdef __x86_64__
#include <cpuid.h>
#endif

#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "needle/array/error.h"
#include "needle/backend/cpu/cpu.h"
#include "needle/backend/ladder.h"
#include "needle/backend/machine.h"
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
namespace neon {
extern const Kernels table;
extern const Probes probes;
extern const Ladders ladders;
}  // namespace neon

namespace {

struct Isa {
  const char* name;
  const Kernels* table;
  const Probes* probes;
  const Ladders* ladders;
  bool (*supported)();
};

#ifdef __x86_64__
/// Conversions of float16. Asked without the builtin, as not every compiler's knows the name.
[[maybe_unused]] bool has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

// Those that were compiled, best first. Every flag given to the compiler is asked for; the builtin
// also asks the operating system (xgetbv) whether it saves the wide registers.
const Isa kIsas[] = {
#ifdef NEEDLE_HAS_AVX512
    {"avx512", &avx512::table, &avx512::probes, &avx512::ladders,
     [] {
       return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512cd") &&
              __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
              has_f16c();
     }},
#endif
#ifdef NEEDLE_HAS_AVX2
    {"avx2", &avx2::table, &avx2::probes, &avx2::ladders,
     [] { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c(); }},
#endif
#ifdef NEEDLE_HAS_SSE2
    // Part of every x86-64.
    {"sse2", &sse2::table, &sse2::probes, &sse2::ladders, [] { return true; }},
#endif
#ifdef NEEDLE_HAS_NEON
    // Part of every 64-bit ARM.
    {"neon", &neon::table, &neon::probes, &neon::ladders, [] { return true; }},
#endif
};

std::string names(bool only_supported) {
  std::string all;
  for (const Isa& isa : kIsas) {
    if (!only_supported || isa.supported()) all += str(all.empty() ? "" : ", ", isa.name);
  }
  return all;
}

const Isa& choose() {
  const char* variable = std::getenv("NEEDLE_ISA");
  const std::string_view forced = variable ? variable : "";
  for (const Isa& isa : kIsas) {
    if (!forced.empty() && isa.name != forced) continue;
    if (isa.supported()) return isa;
    if (isa.name == forced) {
      throw ValueError(str("NEEDLE_ISA=", forced, ": this CPU has only ", names(true)));
    }
  }
  if (!forced.empty()) throw ValueError(str("NEEDLE_ISA=", forced, ": not one of ", names(false)));
  throw RuntimeError(str("this CPU has none of the instruction sets that the cpu backend was ",
                         "compiled for: ", names(false)));
}

const Isa& chosen() {
  static const Isa& isa = choose();
  return isa;
}

/// Dot products of bfloat16 pairs, in the kernels for AVX-512.
bool has_bf16_pairs() {
#ifdef __x86_64__
  unsigned a = 0, b = 0, c = 0, d = 0;
  return std::string_view(chosen().name) == "avx512" && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
         (a & bit_AVX512BF16);
#else
  return false;
#endif
}

PairProducts choose_pair_products() {
  const char* variable = std::getenv("NEEDLE_BF16_PAIRS");
  const std::string_view forced = variable ? variable : "";
  const bool native = has_bf16_pairs();
  if (forced.empty()) return native ? PairProducts::native : PairProducts::none;
  if (forced == "none") return PairProducts::none;
  if (forced == "emulated") return PairProducts::emulated;
  if (forced != "native") {
    throw ValueError(str("NEEDLE_BF16_PAIRS=", forced, ": not one of none, emulated, native"));
  }
  if (!native) {
    throw ValueError(str("NEEDLE_BF16_PAIRS=native: this CPU, on ", cpu_isa(),
                         ", has no dot products of bfloat16"));
  }
  return PairProducts::native;
}

}  // namespace

PairProducts pair_products() {
  static const PairProducts found = choose_pair_products();
  return found;
}

const Kernels& cpu_kernels() { return *chosen().table; }
const Probes& cpu_probes() { return *chosen().probes; }
const Ladders& ladders() { return *chosen().ladders; }
const char* cpu_isa() { return chosen().name; }

std::vector<const char*> cpu_isas() {
  std::vector<const char*> found;
  for (const Isa& isa : kIsas) {
    if (isa.supported()) found.push_back(isa.name);
  }
  return found;
}

}  // namespace needle
