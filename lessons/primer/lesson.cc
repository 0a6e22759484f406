// Primer: the C++ of this course, in small pieces.
//
//   build/release/lessons/primer
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "lessons/lesson.h"
#include "needle/array/ndarray.h"

using lesson::check;
using needle::NDArray;
using needle::Shape;

// --- values and references ---

void grow_copy(Shape shape) { shape.push_back(5); }
void grow(Shape& shape) { shape.push_back(5); }
int64_t count(const Shape& shape) { return shape.size(); }

void values() {
  std::cout << "== values\n";
  const Shape a{2, 3};
  Shape b = a;  // a copy: b is another object
  b[0] = 7;
  std::cout << "a " << a << ", b " << b << "\n";
  grow_copy(b);
  std::cout << "after grow_copy " << b << "\n";
  grow(b);
  std::cout << "after grow " << b << ", size " << count(b) << "\n";
  check(a[0] == 2 && b.ndim() == 3);
}

// --- lifetime ---

/// Says when it is made and when it goes.
struct Guard {
  std::string name;
  explicit Guard(std::string n) : name(std::move(n)) { std::cout << "open " << name << "\n"; }
  ~Guard() { std::cout << "close " << name << "\n"; }
  Guard(const Guard&) = delete;
  Guard& operator=(const Guard&) = delete;
};

void lifetime() {
  std::cout << "== lifetime\n";
  try {
    const Guard outer("outer");
    const Guard inner("inner");
    throw std::runtime_error("something went wrong");
  } catch (const std::runtime_error& error) {
    std::cout << "caught: " << error.what() << "\n";
  }
}

void ownership() {
  std::cout << "== ownership\n";
  auto one = std::make_unique<Guard>("owned by one");
  auto other = std::move(one);
  std::cout << "one is " << (one ? "full" : "empty") << " after the move\n";
  other.reset();

  const NDArray x = NDArray::empty({2, 3}, needle::DType::float32);
  const NDArray view = x.transpose(0, 1);
  std::cout << "owners of the memory: " << x.storage()->use_count() << "\n";
  check(x.data<float>() == view.data<float>());
}

// --- functions as values ---

double twice(const std::function<double(double)>& f, double x) { return f(f(x)); }

void lambdas() {
  std::cout << "== lambdas\n";
  double step = 10;
  const auto by_copy = [step](double x) { return x + step; };
  const auto by_reference = [&step](double x) { return x + step; };
  step = 100;
  std::cout << "by copy " << twice(by_copy, 1) << ", by reference " << twice(by_reference, 1)
            << "\n";
}

// --- templates ---

template <class T>
T largest(const std::vector<T>& values) {
  T best = values.at(0);
  for (const T& value : values) {
    if (best < value) best = value;
  }
  return best;
}

/// What visit_dtype() is for: the dtype is known at run time, the loop wants it when compiling.
int64_t bytes_of_one(needle::DType dtype) {
  return needle::visit_dtype(dtype, [](auto tag) -> int64_t {
    using T = typename decltype(tag)::type;
    return sizeof(T);
  });
}

void templates() {
  std::cout << "== templates\n";
  std::cout << largest<int>({3, 9, 4}) << " " << largest<std::string>({"ab", "b", "aa"}) << "\n";
  std::cout << "bytes of a float64: " << bytes_of_one(needle::DType::float64) << "\n";
}

int main() {
  values();
  lifetime();
  ownership();
  lambdas();
  templates();
}
