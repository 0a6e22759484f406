// Findings in words.  (Lesson 04)
#include <algorithm>

#include "cuda/sim/trace.h"
#include "needle/array/error.h"

namespace needle::sim {
namespace {

const char* verb(Access kind) {
  switch (kind) {
    case Access::read: return "reads";
    case Access::write: return "writes";
    default: return "changes (atomically)";
  }
}

const char* past(Access kind) {
  switch (kind) {
    case Access::read: return "read";
    case Access::write: return "wrote";
    default: return "changed (atomically)";
  }
}

std::string text(uint3 v) { return str("(", v.x, ", ", v.y, ", ", v.z, ")"); }

}  // namespace

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::race: return "data race";
    case Kind::race_between_blocks: return "data race between blocks";
    case Kind::out_of_bounds: return "out of bounds";
    case Kind::misaligned: return "misaligned access";
    case Kind::uninitialised: return "uninitialised shared memory";
    case Kind::freed: return "use of released memory";
    case Kind::barrier_divergence: return "barrier divergence";
    case Kind::early_exit: return "barrier after early exit";
    case Kind::deadlock: return "deadlock";
    case Kind::wrong_mask: return "wrong warp operation";
    case Kind::endless: return "endless kernel";
    case Kind::crash: return "crash";
    case Kind::unchecked_launch: return "unchecked launch";
    default: return "leak";
  }
}

uint3 Trace::block_index(int64_t number) const {
  const auto x = static_cast<unsigned>(number % launch_.grid.x);
  const auto yz = static_cast<unsigned>(number / launch_.grid.x);
  return {x, yz % launch_.grid.y, yz / launch_.grid.y};
}

std::string Trace::thread_text(const Who& who) const {
  return str("thread ", text(thread_index(who.thread, launch_.block)), " of block ",
             text(block_index(who.block)));
}

Finding Trace::finding(Kind kind, const Found& found) const {
  const Site &site = sites_[found.self.site], &other = sites_[found.other.site];
  Finding out{.kind = kind,
              .kernel = launch_.kernel,
              .at = location_of(site.pc),
              .other = {},
              .block = block_index(found.self.block),
              .thread = thread_index(found.self.thread, launch_.block),
              .text = {},
              .count = found.count};
  std::string what = str(name_of(kind), " at ", sim::text(out.at), ": ", thread_text(found.self),
                         " ", verb(site.kind), " ");
  switch (kind) {
    case Kind::race:
    case Kind::race_between_blocks: {
      out.other = location_of(other.pc);
      const std::string there =
          out.other == out.at ? "at the same line" : "at " + sim::text(out.other);
      what +=
          str(found.where, ", which ", thread_text(found.other), " ", past(other.kind), " ", there);
      what += kind == Kind::race
                  ? ", with no barrier between the two. Put __syncthreads() between them, or make "
                    "both atomic"
                  : ". Blocks run in any order and at the same time: let each write its own part, "
                    "use atomics, or launch a second kernel";
      break;
    }
    case Kind::out_of_bounds:
      what += str(found.where,
                  ". Compare the index with the size first (if (i < n) …), and pass "
                  "memory of the device");
      break;
    case Kind::misaligned:
      what += str(found.where,
                  ". A vector such as float4 must begin at a multiple of its size: begin "
                  "there, or access the elements one by one");
      break;
    case Kind::uninitialised:
      what += str(found.where,
                  ", which no thread of the block has written. Shared memory begins with "
                  "arbitrary contents: write all that is read, and then __syncthreads()");
      break;
    default:
      what += str(found.where,
                  ", which was released before the launch. Release memory after the last "
                  "kernel that uses it");
  }
  if (found.count > 1) what += str(" (", found.count, " times)");
  out.text = what + str("\n  in ", launch_.kernel, ", launched at ", shown_path(launch_.site.file),
                        ":", launch_.site.line);
  return out;
}

std::vector<Finding> Trace::findings() const {
  std::vector<Finding> all;
  for (const auto& [key, found] : found_) {
    Finding next = finding(std::get<0>(key), found);
    // One line of the source may be several places in the program.
    const auto same = std::ranges::find_if(all, [&](const Finding& f) {
      return f.kind == next.kind && f.at == next.at && f.other == next.other;
    });
    if (same == all.end()) {
      all.push_back(std::move(next));
    } else {
      same->count += next.count;
    }
  }
  return all;
}

}  // namespace needle::sim
