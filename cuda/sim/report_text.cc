// The report, for people and for programs.  (Lesson 04)
#include <cstdio>
#include <string_view>

#include "cuda/sim/report.h"
#include "cuda/sim/symbols.h"
#include "needle/array/error.h"

namespace needle::sim {
namespace {

struct Part {
  const char* name;
  AccessCount LineCounts::*count;
  const char* unit;
};
constexpr Part kParts[] = {
    {"global_reads", &LineCounts::global_reads, "sectors"},
    {"global_writes", &LineCounts::global_writes, "sectors"},
    {"global_atomics", &LineCounts::global_atomics, "sectors"},
    {"shared_reads", &LineCounts::shared_reads, "wavefronts"},
    {"shared_writes", &LineCounts::shared_writes, "wavefronts"},
    {"shared_atomics", &LineCounts::shared_atomics, "wavefronts"},
};

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out += ' ';
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string json(const AccessCount& count) {
  return str("{\"requests\":", count.requests, ",\"lanes\":", count.lanes,
             ",\"bytes\":", count.bytes, ",\"units\":", count.units, ",\"ideal\":", count.ideal,
             "}");
}

std::string json(const LineCounts& line) {
  std::string out = str("{\"file\":", quoted(line.at.file), ",\"line\":", line.at.line);
  for (const Part& part : kParts) {
    if ((line.*part.count).requests) out += str(",\"", part.name, "\":", json(line.*part.count));
  }
  return out + str(",\"warps\":", line.blocks.warps, ",\"threads\":", line.blocks.lanes,
                   ",\"branches\":", line.blocks.branches, ",\"divergent\":", line.blocks.divergent,
                   ",\"barriers\":", line.barriers, ",\"warp_operations\":", line.warp_operations,
                   "}");
}

std::string json(uint3 v) { return str("[", v.x, ",", v.y, ",", v.z, "]"); }

std::string json(const Finding& finding) {
  return str("{\"kind\":", quoted(name_of(finding.kind)), ",\"kernel\":", quoted(finding.kernel),
             ",\"file\":", quoted(finding.at.file), ",\"line\":", finding.at.line,
             ",\"other_file\":", quoted(finding.other.file), ",\"other_line\":", finding.other.line,
             ",\"block\":", json(finding.block), ",\"thread\":", json(finding.thread),
             ",\"count\":", finding.count, ",\"text\":", quoted(finding.text), "}");
}

template <class T, class Text>
std::string joined(const std::vector<T>& values, Text text) {
  std::string out;
  for (const T& value : values) out += (out.empty() ? "" : ",") + text(value);
  return "[" + out + "]";
}

/// "12 requests, 4.00 sectors each (4.00)".
std::string sentence(const AccessCount& count, const char* unit) {
  char out[160];
  const double requests = static_cast<double>(count.requests);
  std::snprintf(out, sizeof out, "%9lld requests  %6.2f %s a request (ideal %.2f)  %lld bytes",
                static_cast<long long>(count.requests), count.units / requests, unit,
                count.ideal / requests, static_cast<long long>(count.bytes));
  return out;
}

}  // namespace

std::string report() {
  std::string out;
  for (const KernelCounts& kernel : counts()) {
    out += str(kernel.kernel, ": ", kernel.launches, " launches, ", kernel.blocks, " blocks, ",
               kernel.threads, " threads, ", kernel.total.barriers, " barriers, ",
               kernel.total.blocks.divergent, " divergent of ", kernel.total.blocks.branches,
               " branches\n");
    for (const LineCounts& line : kernel.lines) {
      for (const Part& part : kParts) {
        const AccessCount& count = line.*part.count;
        if (count.requests == 0) continue;
        out += str("  ", text(line.at), "  ", part.name, sentence(count, part.unit), "\n");
      }
    }
  }
  for (const Finding& finding : findings()) out += str(finding.text, "\n");
  return out;
}

std::string report_json() {
  const auto kernel_json = [](const KernelCounts& kernel) {
    return str(
        "{\"kernel\":", quoted(kernel.kernel), ",\"launches\":", kernel.launches,
        ",\"blocks\":", kernel.blocks, ",\"threads\":", kernel.threads,
        ",\"total\":", json(kernel.total),
        ",\"lines\":", joined(kernel.lines, [](const LineCounts& line) { return json(line); }),
        ",\"basic_blocks\":",
        joined(kernel.basic_blocks,
               [](const auto& block) { return str("[", block.first, ",", block.second, "]"); }),
        "}");
  };
  return str("{\"kernels\":", joined(counts(), kernel_json), ",\"findings\":",
             joined(findings(), [](const Finding& finding) { return json(finding); }), "}");
}

}  // namespace needle::sim
