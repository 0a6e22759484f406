// safetensors: named arrays in one file, the format of published model weights.  (Lesson 06)
//
// 8 bytes: header length N, little-endian. N bytes: JSON {"name": {"dtype": "F32", "shape": [2, 3],
// "data_offsets": [begin, end]}, ..., "__metadata__": {"key": "text"}}. Then the data, row-major
// and little-endian, offsets counted from its first byte; every byte belongs to exactly one array.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "needle/array/ndarray.h"

namespace needle::transformer {

using NamedArrays = std::map<std::string, NDArray>;
using Metadata = std::map<std::string, std::string>;

/// One array of a file, known from the header alone.
struct ArrayInfo {
  std::string dtype;  // as the file spells it: "F32", "BF16", ...
  Shape shape;
  int64_t begin, end;  // bytes [begin, end) of the data
};

/// A file whose header was read and checked. Its arrays are read one by one when asked for, so no
/// more memory is taken than they need, and nothing is believed that the file's size contradicts.
class SafetensorsFile {
 public:
  /// RuntimeError if the file cannot be read. ValueError, with the file's name, for a header that
  /// is cut off, too long, ill-formed, or whose arrays overlap, leave a hole or do not fill the
  /// file.
  explicit SafetensorsFile(const std::string& path);
  ~SafetensorsFile();
  SafetensorsFile(const SafetensorsFile&) = delete;
  SafetensorsFile& operator=(const SafetensorsFile&) = delete;

  const std::map<std::string, ArrayInfo>& arrays() const { return arrays_; }
  const Metadata& metadata() const { return metadata_; }

  /// The array as a new one on the host, in its own dtype: F64, F32, F16, BF16, I64, I32 or BOOL.
  /// ValueError for an unknown name; TypeError for another dtype; RuntimeError if the file has
  /// shrunk since it was opened.
  NDArray read(const std::string& name) const;

 private:
  void read_header();
  void read_bytes(int64_t offset, void* to, int64_t bytes) const;

  std::string name_;  // the file's, for messages
  int file_ = -1;
  int64_t data_begin_ = 0;
  std::map<std::string, ArrayInfo> arrays_;
  Metadata metadata_;
};

/// All arrays of a file. Errors as SafetensorsFile.
NamedArrays load_safetensors(const std::string& path);

/// Writes the arrays, and flushes them to the disk if `sync`; not atomic: write to another name and
/// rename. ValueError for an array that is not contiguous, or a name that is "__metadata__" or not
/// UTF-8; RuntimeError for an array outside the host's memory or a failure to write.
void save_safetensors(const std::string& path, const NamedArrays& arrays,
                      const Metadata& metadata = {}, bool sync = false);

}  // namespace needle::transformer
