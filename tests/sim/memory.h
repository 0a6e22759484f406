// Device memory for tests.
#pragma once

#include <algorithm>
#include <vector>

#include "cuda/sim/runtime.h"

namespace needle::sim {

/// An array in the simulated GPU's memory; the host may read and write it too.
template <class T>
class Array {
 public:
  explicit Array(size_t size, T value = {})
      : data_(static_cast<T*>(allocate(size * sizeof(T)))), size_(size) {
    std::fill_n(data_, size, value);
  }
  ~Array() { release(data_); }
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;

  /// value(i) at each i.
  template <class Value>
  void fill(Value value) {
    for (size_t i = 0; i < size_; ++i) data_[i] = static_cast<T>(value(i));
  }

  T* data() const { return data_; }
  size_t size() const { return size_; }
  T& operator[](size_t i) const { return data_[i]; }
  T* begin() const { return data_; }
  T* end() const { return data_ + size_; }

 private:
  T* data_;
  size_t size_;
};

}  // namespace needle::sim
