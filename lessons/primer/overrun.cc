// Writes one element too far, on purpose: a sanitizer finds the line.
#include <cstdio>
#include <vector>

void fill(float* data, int n) {
  for (int i = 0; i <= n; ++i) data[i] = 1;
}

int main() {
  std::vector<float> values(8);
  fill(values.data(), 8);
  std::printf("values[7] = %g\n", values[7]);
}
