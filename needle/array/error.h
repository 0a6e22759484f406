// Errors: the exceptions every layer throws, and str() to build their sentences.  (Lesson 02)
//
// Each arrives in Python as the exception of the same name. A message names the function, the
// values that were wrong and what would be right, e.g.
//   matmul: (3, 4) x (5, 6): inner sizes 4 and 5 differ
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

#include "needle/array/region.h"

namespace needle {

using ValueError = std::invalid_argument;
using IndexError = std::out_of_range;
using RuntimeError = std::runtime_error;

class TypeError : public std::logic_error {
  using std::logic_error::logic_error;
};

class NotImplementedError : public std::logic_error {
  using std::logic_error::logic_error;
};

/// Joins the arguments, each printed with operator<<, into one string.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace needle
