// Kernels and gradients in several threads at once. ThreadSanitizer runs these too.  (Lesson 04)
#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "needle/backend/registry.h"
#include "needle/op/op.h"

using namespace needle;

namespace {

/// Loss and gradients of something that goes through most kernels, each large enough to be shared
/// out. Its numbers depend on `seed` alone.
std::vector<Tensor> work(uint64_t seed) {
  Generator generator(seed);
  const auto leaf = [&](const Shape& shape) { return randn(shape, generator).detach(); };
  const Tensor x = leaf({257, 300}), w = leaf({300, 311}), scale = leaf({311}), shift = leaf({311});
  const Tensor image = leaf({4, 3, 33, 35}), filter = leaf({8, 3, 3, 3});
  const Tensor q = leaf({2, 4, 65, 16});
  const Tensor label = randint(0, 257, {257}, generator);
  const std::vector<Tensor> leaves{x, w, scale, shift, image, filter, q};
  for (const Tensor& t : leaves) t.set_requires_grad(true);

  const Tensor y = gelu(layer_norm(matmul(x, w), scale, shift));
  const Tensor table = embedding(y, label);
  const Tensor seen = scaled_dot_product_attention(q, q, q, true);
  const Tensor loss =
      cross_entropy(contiguous(transpose(transpose(y, 0, 1) * scalar_like(y, 2), 0, 1)), label) +
      mean(softmax(table, -1) * y) + mean(max(table, Shape{0})) +
      mean(relu(conv2d(image, filter))) + mean(seen * seen);
  loss.backward();
  std::vector<Tensor> results{loss.detach()};
  for (const Tensor& t : leaves) results.push_back(t.grad());
  return results;
}

bool equal_bits(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i) {
    if (!all(equal(a[i], b[i])).item()) return false;
  }
  return a.size() == b.size();
}

/// A number of threads for its lifetime.
struct Threads {
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};

}  // namespace

TEST_SUITE_BEGIN("threads");

TEST_CASE("threads: four callers get the bits that each gets alone") {
  const Threads three(3);
  constexpr uint64_t kCallers = 4;
  std::vector<std::vector<Tensor>> alone;
  for (uint64_t seed = 0; seed < kCallers; ++seed) alone.push_back(work(seed));
  std::atomic<int> differ = 0;
  std::vector<std::thread> callers;
  for (uint64_t seed = 0; seed < kCallers; ++seed) {
    callers.emplace_back([&, seed] {
      for (int round = 0; round < 3; ++round) differ += !equal_bits(work(seed), alone[seed]);
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(differ == 0);
}

TEST_CASE("threads: their number may be changed while others compute") {
  const Threads two(2);
  std::atomic<bool> done = false;
  std::thread changer([&] {
    for (int n = 0; !done; ++n) {
      set_num_threads(1 + n % 4);
      std::this_thread::yield();
    }
  });
  for (int round = 0; round < 3; ++round) CHECK(work(round)[0].item() == work(round)[0].item());
  done = true;
  changer.join();
}

TEST_CASE("threads: inputs and their graph may be shared") {
  const Threads two(2);
  const Tensor x = ones({300, 301});
  x.set_requires_grad(true);
  const Tensor y = x * x;
  std::vector<std::thread> callers;
  std::atomic<int> wrong = 0;
  for (int caller = 0; caller < 3; ++caller) {
    callers.emplace_back([&, caller] {
      const Tensor own = sum(mul(y, caller));
      wrong += own.item() != 300 * 301 * caller;
    });
  }
  for (std::thread& caller : callers) caller.join();
  CHECK(wrong == 0);
}

TEST_SUITE_END();
