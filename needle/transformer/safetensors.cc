// safetensors: named arrays in one file, the format of published model weights.  (Lesson 06)
#include "needle/transformer/safetensors.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "needle/text/json.h"
#include "needle/text/unicode.h"

namespace needle::transformer {
namespace {

using text::Fields;
using text::Json;
using text::quote;

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

constexpr int64_t kMaxHeader = 100'000'000;  // the limit of the format's reference implementation
constexpr const char* kMetadata = "__metadata__";

// Bytes per element of every dtype that a file may hold; 0 for a name that does not exist.
int64_t element_size(std::string_view dtype) {
  static constexpr std::pair<std::string_view, int64_t> kSizes[] = {
      {"F64", 8}, {"F32", 4},  {"F16", 2},     {"BF16", 2},    {"I64", 8},    {"I32", 4},
      {"I16", 2}, {"I8", 1},   {"U64", 8},     {"U32", 4},     {"U16", 2},    {"U8", 1},
      {"C64", 8}, {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};
  for (const auto& [name, size] : kSizes) {
    if (name == dtype) return size;
  }
  return 0;
}

std::string_view name_in_file(DType dtype) {
  switch (dtype) {
    case DType::bool_: return "BOOL";
    case DType::int32: return "I32";
    case DType::int64: return "I64";
    case DType::float16: return "F16";
    case DType::bfloat16: return "BF16";
    case DType::float32: return "F32";
    default: return "F64";
  }
}

// A size or an offset: a whole number from 0 to 2^63 - 1.
int64_t to_size(const Fields& entry, const Json& value) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX) {
    entry.fail("sizes and offsets must be whole numbers from 0 to 2^63 - 1");
  }
  return value.get<int64_t>();
}

ArrayInfo read_info(const Fields& entry, int64_t data_bytes) {
  ArrayInfo info;
  info.dtype = entry.string("dtype", "");
  const int64_t element = element_size(info.dtype);
  if (element == 0) entry.fail("unknown dtype ", quote(info.dtype));

  const Json& shape = entry.required("shape");
  if (!shape.is_array() || shape.size() > kMaxDims) {
    entry.fail("'shape' must be a list of at most ", kMaxDims, " sizes");
  }
  int64_t bytes = element;  // with sizes of 0 left out: strides are such products and must fit too
  bool is_empty = false;
  for (const Json& value : shape) {
    const int64_t size = to_size(entry, value);
    info.shape.push_back(size);
    is_empty |= size == 0;
    if (__builtin_mul_overflow(bytes, std::max<int64_t>(size, 1), &bytes)) {
      entry.fail("the sizes in 'shape' multiply to more than 2^63 bytes");
    }
  }
  if (is_empty) bytes = 0;

  const Json& offsets = entry.required("data_offsets");
  if (!offsets.is_array() || offsets.size() != 2) entry.fail("'data_offsets' must be two offsets");
  info.begin = to_size(entry, offsets[0]);
  info.end = to_size(entry, offsets[1]);
  if (info.begin > info.end || info.end > data_bytes) {
    entry.fail("data_offsets ", info.begin, " to ", info.end, " lie outside the file's ",
               data_bytes, " bytes of data");
  }
  if (info.end - info.begin != bytes) {
    entry.fail(info.dtype, " ", info.shape, " takes ", bytes, " bytes, data_offsets span ",
               info.end - info.begin);
  }
  return info;
}

// Every byte of the data belongs to exactly one array.
void check_cover(const std::map<std::string, ArrayInfo>& arrays, int64_t data_bytes,
                 const std::string& file) {
  std::vector<const std::pair<const std::string, ArrayInfo>*> order;
  order.reserve(arrays.size());
  for (const auto& entry : arrays) order.push_back(&entry);
  std::sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return std::pair(a->second.begin, a->second.end) < std::pair(b->second.begin, b->second.end);
  });
  int64_t at = 0;
  for (const auto* entry : order) {
    if (entry->second.begin != at) {
      throw ValueError(str(file, ": ", quote(entry->first), " begins at byte ", entry->second.begin,
                           " of the data, expected ", at,
                           entry->second.begin < at ? " (arrays overlap)" : " (a hole)"));
    }
    at = entry->second.end;
  }
  if (at != data_bytes) {
    throw ValueError(str(file, ": ", data_bytes - at, " bytes at the end belong to no array"));
  }
}

}  // namespace

SafetensorsFile::SafetensorsFile(const std::string& path) : name_(text::file_name(path)) {
  file_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) throw RuntimeError(str("cannot open ", path, ": ", std::strerror(errno)));
  try {
    read_header();
  } catch (...) {
    ::close(file_);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() { ::close(file_); }

void SafetensorsFile::read_header() {
  struct stat status;
  if (::fstat(file_, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw RuntimeError(str(name_, " is not a regular file"));
  }
  const int64_t file_bytes = status.st_size;
  uint64_t length = 0;
  if (file_bytes < 8)
    throw ValueError(str(name_, ": ", file_bytes, " bytes are no safetensors file"));
  read_bytes(0, &length, 8);
  if (length > static_cast<uint64_t>(std::min(file_bytes - 8, kMaxHeader))) {
    throw ValueError(str(name_, ": the header is said to have ", length, " bytes, the file has ",
                         file_bytes, "; it is cut off or no safetensors file"));
  }
  std::string header(length, '\0');
  read_bytes(8, header.data(), static_cast<int64_t>(length));
  data_begin_ = 8 + static_cast<int64_t>(length);
  const int64_t data_bytes = file_bytes - data_begin_;

  const auto take = [&](const std::string& key, const Json& value) {
    const Fields entry(value, str(name_, ": ", quote(key)));
    if (key != kMetadata) {
      const bool is_new = arrays_.emplace(key, read_info(entry, data_bytes)).second;
      if (!is_new) entry.fail("this key appears twice");
      return;
    }
    for (const auto& [name, note] : value.items()) {
      if (!note.is_string()) entry.fail(quote(name), " must be a string");
      const bool is_new = metadata_.emplace(name, note.get<std::string>()).second;
      if (!is_new) entry.fail(quote(name), " appears twice");
    }
  };
  const Json root = text::parse_json(header, name_, text::JsonLimits::of_file(file_bytes),
                                     {{{}, Json::value_t::object, take}});
  if (!root.is_object()) throw ValueError(str(name_, ": the header must be an object"));
  check_cover(arrays_, data_bytes, name_);
}

void SafetensorsFile::read_bytes(int64_t offset, void* to, int64_t bytes) const {
  char* out = static_cast<char*>(to);
  while (bytes > 0) {
    const ssize_t n = ::pread(file_, out, static_cast<size_t>(bytes), offset);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw RuntimeError(str("cannot read ", name_, ": ", std::strerror(errno)));
    if (n == 0) throw RuntimeError(str(name_, " became shorter while it was read"));
    out += n;
    offset += n;
    bytes -= n;
  }
}

NDArray SafetensorsFile::read(const std::string& name) const {
  const auto found = arrays_.find(name);
  if (found == arrays_.end()) throw ValueError(str(name_, ": there is no array ", quote(name)));
  const ArrayInfo& info = found->second;
  const int64_t bytes = info.end - info.begin;
  const int64_t offset = data_begin_ + info.begin;

  for (int i = 0; i < kDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (info.dtype != name_in_file(dtype)) continue;
    NDArray out = NDArray::empty(info.shape, dtype);
    auto* data = static_cast<unsigned char*>(out.view().data);
    read_bytes(offset, data, bytes);
    if (dtype == DType::bool_) {  // a C++ bool must be 0 or 1, whatever the file says
      std::transform(data, data + bytes, data, [](unsigned char b) { return b != 0; });
    }
    return out;
  }
  throw TypeError(str(name_, ": ", quote(name), " has dtype ", info.dtype,
                      "; needle reads F64, F32, F16, BF16, I64, I32 and BOOL"));
}

NamedArrays load_safetensors(const std::string& path) {
  const SafetensorsFile file(path);
  NamedArrays arrays;
  for (const auto& [name, info] : file.arrays()) arrays.emplace(name, file.read(name));
  return arrays;
}

namespace {

void check_savable(const std::string& name, const NDArray& array) {
  if (name == kMetadata || !text::is_utf8(name)) {
    throw ValueError(str("save_safetensors: ", quote(name), " cannot be the name of an array"));
  }
  if (!array.defined()) throw ValueError(str("save_safetensors: ", quote(name), " has no memory"));
  if (!array.device().is_host()) {
    throw RuntimeError(str("save_safetensors: ", quote(name), " is on ", array.device(),
                           "; copy it with to(cpu) first"));
  }
  if (!array.is_contiguous()) {
    throw ValueError(str("save_safetensors: ", quote(name), " has shape ", array.shape(),
                         " and strides ", array.strides(), "; make it contiguous first"));
  }
}

// Arrays in file order: wide elements first, so that each lies at a multiple of its element's size.
std::vector<const NamedArrays::value_type*> in_file_order(const NamedArrays& arrays) {
  std::vector<const NamedArrays::value_type*> order;
  order.reserve(arrays.size());
  for (const auto& entry : arrays) order.push_back(&entry);
  std::stable_sort(order.begin(), order.end(), [](const auto* a, const auto* b) {
    return size_of(a->second.dtype()) > size_of(b->second.dtype());
  });
  return order;
}

std::string header_of(const std::vector<const NamedArrays::value_type*>& order,
                      const Metadata& metadata) {
  nlohmann::ordered_json::object_t header;
  if (!metadata.empty()) header.emplace_back(kMetadata, metadata);
  int64_t at = 0;
  for (const auto* entry : order) {
    const NDArray& array = entry->second;
    nlohmann::ordered_json info;
    info["dtype"] = name_in_file(array.dtype());
    info["shape"] = std::vector<int64_t>(array.shape().begin(), array.shape().end());
    info["data_offsets"] = {at, at + array.bytes()};
    header.emplace_back(entry->first, std::move(info));
    at += array.bytes();
  }
  std::string text = nlohmann::ordered_json(std::move(header)).dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the data starts at a multiple of 8
  return text;
}

void write_bytes(int file, const void* from, int64_t bytes, const std::string& path) {
  const char* data = static_cast<const char*>(from);
  while (bytes > 0) {
    const ssize_t n = ::write(file, data, static_cast<size_t>(bytes));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw RuntimeError(str("cannot write ", path, ": ", std::strerror(errno)));
    data += n;
    bytes -= n;
  }
}

}  // namespace

void save_safetensors(const std::string& path, const NamedArrays& arrays, const Metadata& metadata,
                      bool sync) {
  for (const auto& [name, array] : arrays) check_savable(name, array);
  for (const auto& [key, value] : metadata) {
    if (!text::is_utf8(key) || !text::is_utf8(value)) {
      throw ValueError(str("save_safetensors: metadata ", quote(key), " is not UTF-8"));
    }
  }
  const auto order = in_file_order(arrays);
  const std::string header = header_of(order, metadata);
  const uint64_t length = header.size();

  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) throw RuntimeError(str("cannot create ", path, ": ", std::strerror(errno)));
  try {
    write_bytes(file, &length, 8, path);
    write_bytes(file, header.data(), static_cast<int64_t>(length), path);
    for (const auto* entry : order) {
      write_bytes(file, entry->second.view().data, entry->second.bytes(), path);
    }
    if (sync && ::fsync(file) != 0) {
      throw RuntimeError(str("cannot write ", path, ": ", std::strerror(errno)));
    }
  } catch (...) {
    ::close(file);
    throw;
  }
  if (::close(file) != 0)
    throw RuntimeError(str("cannot write ", path, ": ", std::strerror(errno)));
}

}  // namespace needle::transformer
