// Device: where an array's memory lives and whose kernels work on it.  (Lesson 02)
#pragma once

#include <iosfwd>
#include <string_view>

namespace needle {

struct Device {
  enum Kind : unsigned char { cpu, reference, cuda, cuda_sim };

  Kind kind = cpu;
  int index = 0;

  /// Memory that the host may read and write through plain pointers.
  bool is_host() const { return kind != cuda; }
  bool operator==(const Device&) const = default;
};

inline constexpr int kDeviceKinds = 4;

/// "cpu", "reference", "cuda_sim", "cuda", "cuda:1" -> Device. ValueError for anything else.
Device device_of(std::string_view name);
std::ostream& operator<<(std::ostream& out, Device device);

}  // namespace needle
