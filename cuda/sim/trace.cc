// Watches one launch: where accesses go.  (Lesson 04)
#include "cuda/sim/trace.h"

#include <algorithm>

#include "needle/array/error.h"

namespace needle::sim {
namespace {

/// Intervals are never used twice, so the cells of earlier launches need not be cleared.
uint32_t next_interval = 1;

/// "tile" of "_ZZN…4tile", which is "kernel(float*)::tile".
std::string short_name(const std::string& mangled) {
  const std::string name = demangled(mangled);
  const auto colons = name.rfind("::");
  return colons == name.npos ? name : name.substr(colons + 2);
}

}  // namespace

std::string place_in(const Region& region, uintptr_t at) {
  const size_t size = region.end - region.begin;
  std::string what = region.name;
  if (what.empty()) what = str("allocation ", region.number, " of the program");
  what += str(" (", size, " bytes)");
  if (at < region.begin) return str(region.begin - at, " bytes before the beginning of ", what);
  if (at >= region.end) return str(at - region.end, " bytes behind the end of ", what);
  return str("byte ", at - region.begin, " of ", what);
}

Trace::Trace(const Launch& launch)
    : launch_(launch),
      checks_(launch.options.check),
      counts_(launch.options.count),
      first_interval_(next_interval) {}

void Trace::begin_block(Machine& machine, int64_t number) {
  if (statics_.ranges.empty()) statics_ = statics();
  block_ = number;
  threads_.assign(launch_.threads, {});
  block_syncs_.resize(number + 1);
  warps_.assign((launch_.threads + 31) / 32, {});
  dynamic_.begin = reinterpret_cast<uintptr_t>(machine.dynamic_shared());
  dynamic_.end = dynamic_.begin + launch_.dynamic_shared;
  dynamic_.space = Region::shared;
  dynamic_.name = "dynamic shared memory";
  block_interval_ = next_interval;
  counters_.begin_block(launch_.threads);
  begin_interval();
}

void Trace::begin_interval() {
  interval_ = next_interval++;
  blocks_.push_back(block_);
}

void Trace::step(unsigned thread, uintptr_t pc) {
  if (counts_) counters_.step(thread, pc);
}

void Trace::barrier(const Place& place) {
  ++barriers_[{shown_path(place.file_name()), static_cast<int>(place.line())}];
  counters_.end_interval();
  judge_early_reads();
  begin_interval();
}

void Trace::end_thread(unsigned thread) { counters_.end_thread(thread); }

void Trace::end_block() {
  counters_.end_block();
  judge_early_reads();
}

uint32_t Trace::site_of(uintptr_t pc, Access kind) {
  auto& recent = recent_[pc / 4 % std::size(recent_)];
  if (recent.pc == pc) return recent.site;
  const auto [found, is_new] = site_numbers_.try_emplace(pc, static_cast<uint32_t>(sites_.size()));
  if (is_new) sites_.push_back({pc, kind});
  recent = {pc, found->second};
  return found->second;
}

void Trace::access(Machine& machine, uintptr_t at, size_t bytes, Access kind, uintptr_t pc) {
  // The arguments lie on the host's stack, the thread's own variables on the fiber's.
  const auto arguments = reinterpret_cast<uintptr_t>(launch_.body.data);
  if (at - arguments < launch_.body.bytes) return;
  const Thread& thread = machine.current();
  if (thread.fiber.has(reinterpret_cast<const void*>(at))) return;
  const uint32_t site = site_of(pc, kind);
  const Who self = {block_, thread.linear, site};
  Region* region = sites_[site].region;
  if (!region || !region->has(at, bytes)) {
    region = region_at(at);
    if (!region) stop_stray(machine, self, at);
    sites_[site].region = region;
  }
  if (at % bytes != 0) stop_misaligned(machine, self, at, bytes, *region);
  if (!region->has(at, bytes)) {
    note(Kind::out_of_bounds, self, self, place_in(*region, at));
    return;
  }
  if (region->space == Region::constant) {
    if (kind != Access::read) stop_stray(machine, self, at);
    return;
  }
  if (region->is_freed) {
    note(Kind::freed, self, self, place_in(*region, at));
    return;
  }
  if (kind == Access::atomic) published(thread.linear);
  if (checks_) check(*region, at, bytes, self, kind);
  if (counts_) {
    counters_.access(thread.linear, {pc, kind, region->space == Region::shared}, at, bytes);
  }
}

Region* Trace::region_at(uintptr_t at) {
  // With its red zones: an access to these does no harm, and the kernel goes on.
  if (at + kRedZone >= dynamic_.begin && at < dynamic_.end + kRedZone && launch_.dynamic_shared) {
    return &dynamic_;
  }
  if (Region* block = find_block(at)) return block;
  return static_region(at);
}

Region* Trace::static_region(uintptr_t at) {
  const auto range = std::ranges::find_if(
      statics_.ranges, [&](const Range& r) { return at >= r.begin && at < r.end; });
  if (range == statics_.ranges.end()) return nullptr;
  auto next = std::ranges::upper_bound(statics_.variables, at, {}, &Variable::begin);
  Variable variable = {range->begin, range->end, "memory of the program", range->is_shared};
  const auto first =
      std::ranges::lower_bound(statics_.variables, range->begin, {}, &Variable::begin);
  const bool is_listed = first != statics_.variables.end() && first->begin < range->end;
  // A module without a symbol table is taken as a whole.
  if (is_listed && !range->is_constant) {
    // Between the variables there is nothing that a kernel may use.
    if (next == statics_.variables.begin()) return nullptr;
    variable = *std::prev(next);
    if (at >= variable.end) return nullptr;
    // Of the program's own thread-local variables none is shared memory: those lie in functions.
    if (range->is_shared && !variable.name.starts_with("_ZZ")) return nullptr;
  }
  auto& region = static_regions_[variable.begin];
  if (!region) {
    region = std::make_unique<Region>();
    region->begin = variable.begin;
    region->end = variable.end;
    region->space = range->is_shared     ? Region::shared
                    : range->is_constant ? Region::constant
                                         : Region::global;
    region->name = short_name(variable.name);
  }
  return region.get();
}

void Trace::stop_stray(Machine& machine, const Who& self, uintptr_t at) {
  constexpr uintptr_t kNear = uintptr_t{1} << 30;
  const Region* last = sites_[self.site].region;
  std::string where = "memory that is not the device's: a pointer of the host, or a wild index";
  if (at < 4096) {
    where = str("address ", at, ": a null pointer");
  } else if (last && at - last->begin + kNear < 2 * kNear) {
    where = place_in(*last, at);
  }
  note(Kind::out_of_bounds, self, self, where);
  machine.fail(
      finding(Kind::out_of_bounds, found_.at({Kind::out_of_bounds, self.site, self.site})));
}

void Trace::stop_misaligned(Machine& machine, const Who& self, uintptr_t at, size_t bytes,
                            const Region& region) {
  note(Kind::misaligned, self, self,
       str(bytes, " bytes at once from ", place_in(region, at), ", which is no multiple of ",
           bytes));
  machine.fail(finding(Kind::misaligned, found_.at({Kind::misaligned, self.site, self.site})));
}

void Trace::note(Kind kind, const Who& self, const Who& other, std::string where) {
  Found& entry = found_[{kind, std::min(self.site, other.site), std::max(self.site, other.site)}];
  if (entry.count++ == 0) {
    entry.self = self;
    entry.other = other;
    entry.where = std::move(where);
  }
}

}  // namespace needle::sim
