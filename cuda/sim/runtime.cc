// Launches, options, and the functions of the device headers.  (Lesson 04)
#include "cuda/sim/runtime.h"

#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <string_view>

#include "cuda/sim/hooks.h"
#include "cuda/sim/machine.h"
#include "needle/array/error.h"
#include "needle/backend/cpu/parallel.h"

namespace needle::sim {
namespace {

Options from_environment() {
  Options options;
  const char* text = std::getenv("NEEDLE_SIM");
  for (std::string_view rest = text ? text : ""; !rest.empty();) {
    const std::string_view word = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), word.size() + 1));
    if (word == "check")
      options.check = true;
    else if (word == "count")
      options.count = true;
    else if (word == "reversed")
      options.order = Order::reversed;
    else if (word == "shuffled")
      options.order = Order::shuffled;
    else
      throw ValueError(str("NEEDLE_SIM: '", word, "' is none of check, count, reversed, shuffled"));
  }
  return options;
}

std::mutex options_mutex;
Options& current_options() {
  static Options options = from_environment();
  return options;
}

/// Traced launches run alone.
std::shared_mutex launches;

std::string text(dim3 v) { return str("(", v.x, ", ", v.y, ", ", v.z, ")"); }

/// "" or what is wrong with the shape of the launch. The limits are those of compute capability 9.0.
std::string refuse(dim3 grid, dim3 block, size_t shared) {
  constexpr size_t kShared = 227 << 10;
  if (uint64_t{block.x} * block.y * block.z == 0)
    return str("block ", text(block), " has no threads");
  if (uint64_t{grid.x} * grid.y * grid.z == 0) return str("grid ", text(grid), " has no blocks");
  if (uint64_t{block.x} * block.y * block.z > 1024 || block.z > 64) {
    return str("block ", text(block), " has ", uint64_t{block.x} * block.y * block.z,
               " threads; at most 1024 are allowed, and 64 along z");
  }
  if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) {
    return str("grid ", text(grid), " is too large; at most (2147483647, 65535, 65535)");
  }
  if (shared > kShared) {
    return str(shared, " bytes of dynamic shared memory; a block has at most ", kShared);
  }
  return "";
}

std::string name_of(const LaunchSite& site) {
  std::string_view name = site.kernel;
  if (name.starts_with('(') && name.ends_with(')')) name = name.substr(1, name.size() - 2);
  return std::string(name);
}

}  // namespace

Options options() {
  const std::lock_guard lock(options_mutex);
  return current_options();
}

void set_options(const Options& options) {
  const std::lock_guard lock(options_mutex);
  current_options() = options;
}

void run(const LaunchSite& site, dim3 grid, dim3 block, size_t dynamic_shared, const Body& body) {
  const std::string name = name_of(site);
  if (const std::string reason = refuse(grid, block, dynamic_shared); !reason.empty()) {
    throw RuntimeError(str(name, ": invalid configuration: ", reason, " (launched at ", site.file,
                           ":", site.line, ")"));
  }
  if (Machine* machine = Machine::running()) machine->fail("a kernel cannot launch a kernel here");
  Launch launch(site, name, grid, block, dynamic_shared, body, options());
  const std::shared_lock together(launches);
  const int64_t blocks = int64_t{grid.x} * grid.y * grid.z;
  parallel_for(blocks, 1, [&](int64_t begin, int64_t end) {
    Machine& machine = Machine::mine();
    for (int64_t i = begin; i < end && !launch.stopped; ++i) {
      const auto x = static_cast<unsigned>(i % grid.x), yz = static_cast<unsigned>(i / grid.x);
      machine.run_block(launch, {x, yz % grid.y, yz / grid.y});
    }
  });
  if (launch.stopped) throw RuntimeError(str(name, ": ", launch.error));
}

int barrier(BarrierVote vote, bool mine, Place place) {
  return Machine::running()->barrier(vote, mine, place);
}

uint64_t warp_exchange(WarpOp op, unsigned mask, uint64_t value, int lane, int width, Place place) {
  return Machine::running()->warp_exchange({op, mask, value, lane, width}, place);
}

uint32_t live_lanes() { return Machine::running()->live_lanes(); }
void* dynamic_shared() { return Machine::running()->dynamic_shared(); }

long long clock() { return static_cast<long long>(Machine::running()->steps()); }

void trap(Place place) {
  Machine::running()->fail(str("__trap() at ", place.file_name(), ":", place.line()));
}

}  // namespace needle::sim
