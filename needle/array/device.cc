// Names of devices.  (Lesson 02)
#include "needle/array/device.h"

#include <charconv>
#include <ostream>

#include "needle/array/error.h"

namespace needle {

static constexpr std::string_view kDeviceNames[kDeviceKinds] = {"cpu", "reference", "cuda",
                                                                "cuda_sim"};

Device device_of(std::string_view name) {
  const auto colon = name.find(':');
  const std::string_view kind = name.substr(0, colon);
  int index = 0;
  bool valid = true;
  if (colon != name.npos) {
    const char* end = name.data() + name.size();
    const auto [rest, error] = std::from_chars(name.data() + colon + 1, end, index);
    valid = kind == "cuda" && error == std::errc() && rest == end && index >= 0;
  }
  for (int i = 0; valid && i < kDeviceKinds; ++i) {
    if (kDeviceNames[i] == kind) return {static_cast<Device::Kind>(i), index};
  }
  throw ValueError(str("device: '", name, "' is none of cpu, reference, cuda, cuda:N, cuda_sim"));
}

std::ostream& operator<<(std::ostream& out, Device device) {
  out << kDeviceNames[device.kind];
  if (device.index != 0) out << ':' << device.index;
  return out;
}

}  // namespace needle
