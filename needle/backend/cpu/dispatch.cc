// Which instruction set the cpu backend runs on: decided once, here.  (Lesson 04)
#ifdef __x86_64__
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
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

struct Bf16 {
  const char* name;
  Bf16Products products;
  bool supported;
};

#ifdef __x86_64__
/// Bit `bit` of register `which` (a, b, c, d) of CPUID leaf 7.
bool cpuid7(unsigned subleaf, int which, int bit) {
  unsigned word[4] = {};
  return __get_cpuid_count(7, subleaf, &word[0], &word[1], &word[2], &word[3]) &&
         (word[which] >> bit & 1);
}

/// Tiles are 8 KiB more to save for each thread: Linux wants to be asked before they are used.
bool may_use_tiles() {
  constexpr long kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
}
#endif

Bf16Products choose_bf16() {
  bool pairs = false, tiles = false, slow_pairs = false;
#ifdef __x86_64__
  if (std::string_view(cpu_isa()) == "avx512") {
    pairs = cpuid7(1, 0, 5);                            // AVX512_BF16
    slow_pairs = cpuid7(0, 3, 22) && cpuid7(0, 3, 24);  // AMX_BF16, AMX_TILE
    tiles = slow_pairs && may_use_tiles();
  }
#endif
  const char* variable = std::getenv("NEEDLE_BF16");
  const std::string_view forced = variable ? variable : "";
  if (forced.empty()) {
    // Processors with tiles have pairs too, but as slow ones: 0.55 of the speed of widening.
    if (tiles) return Bf16Products::tiles;
    return pairs && !slow_pairs ? Bf16Products::pairs : Bf16Products::widened;
  }
  const Bf16 all[] = {{"widened", Bf16Products::widened, true},
                      {"pairs", Bf16Products::pairs, pairs},
                      {"tiles", Bf16Products::tiles, tiles},
                      {"emulated-pairs", Bf16Products::emulated_pairs, true},
                      {"emulated-tiles", Bf16Products::emulated_tiles, true}};
  for (const Bf16& one : all) {
    if (one.name != forced) continue;
    if (one.supported) return one.products;
    throw ValueError(str("NEEDLE_BF16=", forced, ": this CPU, on ", cpu_isa(), ", has none"));
  }
  throw ValueError(str("NEEDLE_BF16=", forced,
                       ": not one of widened, pairs, tiles, emulated-pairs, emulated-tiles"));
}

}  // namespace

Bf16Products bf16_products() {
  static const Bf16Products found = choose_bf16();
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
