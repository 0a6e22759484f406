// Keeps what launches left: counts and findings.  (Lesson 04)
#include "cuda/sim/report.h"

#include <algorithm>
#include <map>
#include <mutex>

#include "cuda/sim/machine.h"
#include "cuda/sim/symbols.h"
#include "cuda/sim/trace.h"

namespace needle::sim {
namespace {

constexpr size_t kMostFindings = 1000;

struct Store {
  std::mutex mutex;
  std::vector<Finding> findings;
  std::vector<KernelCounts> kernels;
};

Store& store() {
  static auto* store = new Store;
  return *store;
}

AccessCount& part(LineCounts& line, const AccessPlace& place) {
  switch (place.kind) {
    case Access::read: return place.is_shared ? line.shared_reads : line.global_reads;
    case Access::write: return place.is_shared ? line.shared_writes : line.global_writes;
    default: return place.is_shared ? line.shared_atomics : line.global_atomics;
  }
}

using Lines = std::map<std::pair<std::string, int>, LineCounts>;

LineCounts& line_of(Lines& lines, const Location& at) {
  LineCounts& line = lines[{at.file, at.line}];
  line.at = at;
  return line;
}

}  // namespace

LineCounts& LineCounts::operator+=(const LineCounts& other) {
  global_reads += other.global_reads;
  global_writes += other.global_writes;
  global_atomics += other.global_atomics;
  shared_reads += other.shared_reads;
  shared_writes += other.shared_writes;
  shared_atomics += other.shared_atomics;
  blocks += other.blocks;
  barriers += other.barriers;
  warp_operations += other.warp_operations;
  return *this;
}

std::vector<Finding> findings() {
  const std::lock_guard lock(store().mutex);
  return store().findings;
}

void clear_findings() {
  const std::lock_guard lock(store().mutex);
  store().findings.clear();
}

void add_finding(const Finding& finding) {
  const std::lock_guard lock(store().mutex);
  auto& all = store().findings;
  const auto same = std::ranges::find_if(all, [&](const Finding& f) {
    return f.kind == finding.kind && f.kernel == finding.kernel && f.at == finding.at &&
           f.other == finding.other && f.at.line != 0;
  });
  if (same != all.end()) {
    same->count += finding.count;
  } else if (all.size() < kMostFindings) {
    all.push_back(finding);
  }
}

std::vector<KernelCounts> counts() {
  const std::lock_guard lock(store().mutex);
  return store().kernels;
}

void clear_counts() {
  const std::lock_guard lock(store().mutex);
  store().kernels.clear();
}

void add_counts(const Launch& launch, const Trace& trace) {
  const std::lock_guard lock(store().mutex);
  auto& kernels = store().kernels;
  auto kernel = std::ranges::find(kernels, launch.kernel, &KernelCounts::kernel);
  if (kernel == kernels.end()) {
    kernels.push_back({.kernel = launch.kernel, .total = {}, .lines = {}, .basic_blocks = {}});
    kernel = kernels.end() - 1;
  }
  Lines lines;
  for (LineCounts& line : kernel->lines) line_of(lines, line.at) = std::move(line);
  for (const auto& [place, count] : trace.counters().accesses()) {
    part(line_of(lines, location_of(place.pc)), place) += count;
    part(kernel->total, place) += count;
  }
  std::map<uintptr_t, int64_t> blocks(kernel->basic_blocks.begin(), kernel->basic_blocks.end());
  for (const auto& [pc, count] : trace.counters().blocks()) {
    line_of(lines, location_of(pc)).blocks += count;
    kernel->total.blocks += count;
    blocks[pc] += count.lanes;
  }
  for (const auto& [at, count] : trace.barriers()) {
    line_of(lines, {at.first, at.second}).barriers += count;
    kernel->total.barriers += count;
  }
  for (const auto& [at, count] : trace.warp_operations()) {
    line_of(lines, {at.first, at.second}).warp_operations += count;
    kernel->total.warp_operations += count;
  }
  ++kernel->launches;
  kernel->blocks += launch.blocks();
  kernel->threads += launch.blocks() * launch.threads;
  kernel->lines.clear();
  for (auto& [at, line] : lines) kernel->lines.push_back(std::move(line));
  kernel->basic_blocks.assign(blocks.begin(), blocks.end());
}

}  // namespace needle::sim
