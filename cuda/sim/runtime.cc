// Launches, options, and the functions of the device headers.  (Lesson 04)
#include "cuda/sim/runtime.h"

#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <shared_mutex>
#include <string_view>

#include "cuda/sim/cluster.h"
#include "cuda/sim/crash.h"
#include "cuda/sim/hooks.h"
#include "cuda/sim/machine.h"
#include "cuda/sim/trace.h"
#include "needle/array/error.h"
#include "needle/backend/cpu/threads.h"

namespace needle::sim {
namespace {

constexpr std::string_view kLimit = "step_limit=";

/// Whether the text is a number from 1 on, and nothing else.
bool parse(std::string_view text, uint64_t& out) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out);
  return error == std::errc() && end == text.data() + text.size() && out > 0;
}

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
    else if (word == "collect")
      options.collect = true;
    else if (word == "reversed")
      options.order = Order::reversed;
    else if (word == "shuffled")
      options.order = Order::shuffled;
    else if (!word.starts_with(kLimit) || !parse(word.substr(kLimit.size()), options.step_limit))
      throw ValueError(str("NEEDLE_SIM: '", word, "' is none of check, count, collect, reversed, ",
                           "shuffled, ", kLimit, "N"));
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

std::string shape(dim3 v) { return str("(", v.x, ", ", v.y, ", ", v.z, ")"); }

/// Keeps the findings, and throws what a reader should see first.
void report(const Launch& launch, const std::vector<Finding>& found) {
  for (const Finding& finding : found) add_finding(finding);
  if (found.empty() || launch.options.collect) return;
  std::string text = str(launch.kernel, ": ", found[0].text);
  for (size_t i = 1; i < found.size() && i < 3; ++i) text += "\nAlso: " + found[i].text;
  if (found.size() > 3) text += str("\nAnd ", found.size() - 3, " more.");
  throw RuntimeError(text);
}

std::string name_of(const LaunchSite& site) {
  std::string_view name = site.kernel;
  if (name.starts_with('(') && name.ends_with(')')) name = name.substr(1, name.size() - 2);
  return std::string(name);
}

void run_together(Launch& launch) {
  const int64_t blocks = launch.blocks();
  std::atomic<int64_t> next = 0;
  run_pieces(std::min(max_pieces(), blocks), [&](int64_t) {
    catch_crashes();
    Machine& machine = Machine::mine();
    for (int64_t i; (i = next++) < blocks && !launch.stopped;) machine.run_block(launch, i);
  });
  if (launch.fault) report(launch, {*launch.fault});
}

/// One block after another, all on this thread.
void run_traced(Launch& launch) {
  Trace trace(launch);
  launch.trace = hooks::trace = &trace;
  catch_crashes();
  const int64_t blocks = launch.blocks();
  for (int64_t i = 0; i < blocks && !launch.stopped; ++i) Machine::mine().run_block(launch, i);
  hooks::trace = nullptr;
  if (launch.options.count && !launch.stopped) add_counts(launch, trace);
  std::vector<Finding> found = trace.findings();
  // What stopped it may be among them already.
  const auto is_fault = [&](const Finding& f) {
    return f.kind == launch.fault->kind && f.at == launch.fault->at;
  };
  if (launch.fault && std::ranges::none_of(found, is_fault)) {
    found.insert(found.begin(), *launch.fault);
  }
  report(launch, found);
}

}  // namespace

std::string refusal(dim3 grid, dim3 block, size_t shared) {
  constexpr size_t kShared = 227 << 10;
  if (uint64_t{block.x} * block.y * block.z == 0)
    return str("block ", shape(block), " has no threads");
  if (uint64_t{grid.x} * grid.y * grid.z == 0) return str("grid ", shape(grid), " has no blocks");
  if (uint64_t{block.x} * block.y * block.z > 1024 || block.z > 64) {
    return str("block ", shape(block), " has ", uint64_t{block.x} * block.y * block.z,
               " threads; at most 1024 are allowed, and 64 along z");
  }
  if (grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535) {
    return str("grid ", shape(grid), " is too large; at most (2147483647, 65535, 65535)");
  }
  if (shared > kShared) {
    return str(shared, " bytes of dynamic shared memory; a block has at most ", kShared);
  }
  return "";
}

Options options() {
  const std::lock_guard lock(options_mutex);
  return current_options();
}

void set_options(const Options& options) {
  const std::lock_guard lock(options_mutex);
  current_options() = options;
}

bool run(const LaunchSite& site, dim3 grid, dim3 block, size_t dynamic_shared, const Body& body,
         bool clusters) {
  const std::string name = name_of(site);
  std::string reason = refusal(grid, block, dynamic_shared);
  if (reason.empty() && clusters && (grid.y > kMostBlocks || grid.z > 1)) {
    reason = str("grid ", shape(grid), ": its blocks along y are a cluster, of at most ",
                 kMostBlocks, ", and there are none along z");
  }
  if (!reason.empty()) {
    throw RuntimeError(str(name, ": invalid configuration: ", reason, " (launched at ", site.file,
                           ":", site.line, ")"));
  }
  if (Machine::running()) throw std::logic_error("a kernel cannot launch a kernel here");
  Launch launch(site, name, grid, block, dynamic_shared, body, options());
  if (clusters) {
    const std::shared_lock together(launches);
    run_clusters(launch);
    if (launch.fault) report(launch, {*launch.fault});
  } else if (launch.options.check || launch.options.count) {
    const std::unique_lock alone(launches);
    run_traced(launch);
  } else {
    const std::shared_lock together(launches);
    run_together(launch);
  }
  return !launch.stopped;
}

int barrier(BarrierVote vote, bool mine, Place place) {
  return Machine::running()->barrier(vote, mine, place);
}

uint64_t warp_exchange(WarpOp op, unsigned mask, uint64_t value, int lane, int width, Place place) {
  return Machine::running()->warp_exchange({op, mask, value, lane, width}, place);
}

uint32_t live_lanes() { return Machine::running()->live_lanes(); }
void fence() { Machine::running()->fence(); }
void* of_block(void* shared, unsigned rank, Place place) {
  return Machine::running()->of_block(shared, rank, place);
}
void* dynamic_shared() { return Machine::running()->dynamic_shared(); }

long long clock() { return static_cast<long long>(Machine::running()->steps()); }

void trap(Place place) {
  Machine::running()->fail(Kind::crash, place, str("__trap() at ", text(location_of(place))));
}

void unwritten(const char* region, Place place) {
  Machine::running()->fail(Kind::crash, place, str(region, " is not written yet"));
}

}  // namespace needle::sim
