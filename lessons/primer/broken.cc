// Does not compile, on purpose: the compiler's message is read in the primer.
#include "needle/array/shape.h"

using needle::Shape;

void grow(Shape& shape) { shape.push_back(5); }

int main() {
  const Shape fixed{2, 3};
  grow(fixed);
}
