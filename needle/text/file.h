// Whole files, and how messages name them and quote from them.  (Lesson 06)
#pragma once

#include <string>
#include <string_view>

namespace needle::text {

/// The bytes of a file. RuntimeError if it cannot be read or has more than `max_bytes`.
std::string read_file(const std::string& path, size_t max_bytes);

/// Writes (or replaces) a file. RuntimeError naming the path if that fails.
void write_file(const std::string& path, std::string_view bytes);

/// The last part of a path: what messages call a file.
std::string file_name(const std::string& path);

/// A string from a file, fit for a message: in quotes, one line, at most 40 bytes of it.
std::string quote(std::string_view text);

}  // namespace needle::text
