// Puts the accesses of a warp's lanes together, and counts.  (Lesson 04)
#include "cuda/sim/counters.h"

#include <algorithm>

namespace needle::sim {

AccessCount& AccessCount::operator+=(const AccessCount& other) {
  requests += other.requests;
  lanes += other.lanes;
  bytes += other.bytes;
  units += other.units;
  ideal += other.ideal;
  return *this;
}

BlockCount& BlockCount::operator+=(const BlockCount& other) {
  warps += other.warps;
  lanes += other.lanes;
  branches += other.branches;
  divergent += other.divergent;
  return *this;
}

template <class Entry>
Entry& Counters::Stream<Entry>::next(unsigned lane) {
  counts[lane] = std::max(counts[lane], base + done);
  const uint32_t index = counts[lane]++ - base;
  if (index >= open.size()) open.emplace_back();
  return open[index];
}

template <class Entry>
Entry* Counters::Stream<Entry>::find(uint32_t count) {
  return count > base + done ? &open[count - 1 - base] : nullptr;
}

template <class Entry>
template <class Complete, class Count>
void Counters::Stream<Entry>::close(Complete is_complete, Count count) {
  while (done < open.size() && (is_complete(open[done]) || open.size() - done > kMostOpen)) {
    count(open[done++]);
  }
  if (done < open.size() && done < kMostOpen) return;
  open.erase(open.begin(), open.begin() + done);
  base += done;
  done = 0;
}

void Counters::begin_block(unsigned threads) {
  warps_.resize((threads + 31) / 32);
  for (size_t i = 0; i < warps_.size(); ++i) {
    Warp& warp = warps_[i];
    const unsigned lanes = std::min<unsigned>(32, threads - 32 * i);
    warp.live = lanes == 32 ? ~0u : (1u << lanes) - 1;
    warp.ended = 0;
    for (auto& current : warp.current) current = {};
  }
}

uint32_t Counters::place_number(const AccessPlace& place) {
  const uintptr_t key = place.pc * 2 + place.is_shared;
  Recent& recent = recent_places_[key / 4 % recent_places_.size()];
  if (recent.key == key) return recent.number;
  const auto [found, is_new] =
      place_numbers_.try_emplace(key, static_cast<uint32_t>(places_.size()));
  if (is_new) places_.push_back({place, {}});
  recent = {key, found->second};
  return found->second;
}

uint32_t Counters::block_number(uintptr_t pc) {
  Recent& recent = recent_blocks_[pc / 2 % recent_blocks_.size()];
  if (recent.key == pc) return recent.number;
  const auto [found, is_new] =
      block_numbers_.try_emplace(pc, static_cast<uint32_t>(blocks_.size()));
  if (is_new) blocks_.push_back({.pc = pc, .count = {}});
  recent = {pc, found->second};
  return found->second;
}

void Counters::access(unsigned thread, const AccessPlace& place, uintptr_t at, size_t bytes) {
  const uint32_t number = place_number(place);
  Warp& warp = warps_[thread / 32];
  if (number >= warp.requests.size()) warp.requests.resize(number + 1);
  Stream<Request>& stream = warp.requests[number];
  Request& request = stream.next(thread % 32);
  request.lanes |= 1u << thread % 32;
  request.bytes = static_cast<uint8_t>(bytes);
  request.at[thread % 32] = at;
  if (!warp.is_complete(request.lanes) && stream.open.size() <= kMostOpen) return;
  stream.close([&](const Request& front) { return warp.is_complete(front.lanes); },
               [&](const Request& front) { add(number, front); });
}

void Counters::step(unsigned thread, uintptr_t pc) {
  const uint32_t number = block_number(pc);
  const unsigned lane = thread % 32;
  Warp& warp = warps_[thread / 32];
  if (number >= warp.runs.size()) warp.runs.resize(number + 1);
  // Where this lane was before: that it came here is where it went.
  auto& current = warp.current[lane];
  if (current.block != ~0u) {
    Stream<Run>& stream = warp.runs[current.block];
    if (Run* run = stream.find(current.count)) {
      if (run->left && run->next != pc) run->parted = true;
      run->next = pc;
      run->left |= 1u << lane;
      if (warp.is_complete(run->left) || stream.open.size() > kMostOpen) {
        stream.close([&](const Run& front) { return warp.is_complete(front.left); },
                     [&](const Run& front) { add(current.block, front); });
      }
    }
  }
  Stream<Run>& stream = warp.runs[number];
  stream.next(lane).lanes |= 1u << lane;
  current = {number, stream.counts[lane]};
}

void Counters::end_thread(unsigned thread) { warps_[thread / 32].ended |= 1u << thread % 32; }

void Counters::end_interval() {
  for (Warp& warp : warps_) {
    for (uint32_t i = 0; i < warp.requests.size(); ++i) {
      Stream<Request>& stream = warp.requests[i];
      for (size_t k = stream.done; k < stream.open.size(); ++k) add(i, stream.open[k]);
      stream.open.clear();
      stream.done = 0;
      stream.base = 0;
      stream.counts.fill(0);
    }
    warp.live &= ~warp.ended;
  }
}

void Counters::end_block() {
  end_interval();
  for (Warp& warp : warps_) {
    for (uint32_t i = 0; i < warp.runs.size(); ++i) {
      Stream<Run>& stream = warp.runs[i];
      for (size_t k = stream.done; k < stream.open.size(); ++k) add(i, stream.open[k]);
      stream = {};
    }
  }
}

void Counters::add(uint32_t place, const Request& request) {
  AccessCount& count = places_[place].second;
  const int lanes = __builtin_popcount(request.lanes);
  ++count.requests;
  count.lanes += lanes;
  count.bytes += lanes * request.bytes;
  if (places_[place].first.is_shared) {
    count.units += wavefronts(request.at, request.lanes, request.bytes);
    count.ideal += ideal_wavefronts(request.lanes, request.bytes);
  } else {
    count.units += sectors(request.at, request.lanes, request.bytes);
    count.ideal += ideal_sectors(request.at, request.lanes, request.bytes);
  }
}

void Counters::add(uint32_t block, const Run& run) {
  BasicBlock& self = blocks_[block];
  ++self.count.warps;
  self.count.lanes += __builtin_popcount(run.lanes);
  if (run.left == 0) return;  // the last of the kernel
  // A lane that ended here went another way than those that did not.
  const bool parted = run.parted || run.left != run.lanes;
  if (self.next == 0) self.next = run.next;
  if (parted || self.next != run.next) self.is_branch = true;
  self.count.divergent += parted;
}

std::map<AccessPlace, AccessCount> Counters::accesses() const {
  return {places_.begin(), places_.end()};
}

std::map<uintptr_t, BlockCount> Counters::blocks() const {
  std::map<uintptr_t, BlockCount> all;
  for (const BasicBlock& block : blocks_) {
    all[block.pc] = block.count;
    if (block.is_branch) all[block.pc].branches = block.count.warps;
  }
  return all;
}

}  // namespace needle::sim
