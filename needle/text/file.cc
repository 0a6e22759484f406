// Whole files, and how messages name them and quote from them.  (Lesson 06)
#include "needle/text/file.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "needle/array/error.h"

namespace needle::text {
namespace {

struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, CloseFile>;

}  // namespace

std::string read_file(const std::string& path, size_t max_bytes) {
  const File file(std::fopen(path.c_str(), "rb"));
  if (!file) throw RuntimeError(str("cannot open ", path, ": ", std::strerror(errno)));
  struct stat status;
  std::string bytes;
  if (::fstat(::fileno(file.get()), &status) == 0 && S_ISREG(status.st_mode)) {
    bytes.reserve(std::min(max_bytes, static_cast<size_t>(status.st_size)));
  }
  char block[1 << 16];
  while (const size_t n = std::fread(block, 1, sizeof block, file.get())) {
    if (bytes.size() + n > max_bytes) {
      throw RuntimeError(str(path, " has more than ", max_bytes, " bytes, the limit for its kind"));
    }
    bytes.append(block, n);
  }
  if (std::ferror(file.get())) {
    throw RuntimeError(str("cannot read ", path, ": ", std::strerror(errno)));
  }
  return bytes;
}

void write_file(const std::string& path, std::string_view bytes) {
  File file(std::fopen(path.c_str(), "wb"));
  if (!file) throw RuntimeError(str("cannot create ", path, ": ", std::strerror(errno)));
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
  if (std::fclose(file.release()) != 0 || !written) {
    throw RuntimeError(str("cannot write ", path, ": ", std::strerror(errno)));
  }
}

std::string file_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

std::string quote(std::string_view text) {
  constexpr size_t kMax = 40;
  std::string out = "'";
  for (const unsigned char c : text.substr(0, kMax)) {
    if (c >= 0x20 && c < 0x7f) {
      out += static_cast<char>(c);
    } else {
      char escape[5];
      std::snprintf(escape, sizeof escape, "\\x%02x", c);
      out += escape;
    }
  }
  return out + (text.size() > kMax ? "...'" : "'");
}

}  // namespace needle::text
