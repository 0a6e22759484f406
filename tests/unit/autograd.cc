// The graph in C++: gradients, lifetimes, misuse.
#include <doctest/doctest.h>

#include <pthread.h>
#include <cmath>
#include <thread>

#include "needle/autograd/node.h"
#include "needle/op/op.h"

using namespace needle;

TEST_SUITE_BEGIN("autograd");

static Tensor leaf(std::initializer_list<float> values, const Shape& shape) {
  return Tensor(NDArray::of(std::span<const float>(values.begin(), values.size()), shape), true);
}

static float at(const Tensor& t, int64_t i) { return contiguous(t).value().data<float>()[i]; }

TEST_CASE("a gradient accumulates on leaves until it is cleared") {
  const Tensor x = leaf({1, 2, 3}, {3});
  for (int pass = 1; pass <= 2; ++pass) {
    sum(mul(x, x)).backward();
    for (int64_t i = 0; i < 3; ++i) CHECK(at(x.grad(), i) == doctest::Approx(pass * 2.0 * (i + 1)));
  }
  x.set_grad({});
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("two leaves of one sum do not share the memory of their gradients") {
  const Tensor a = leaf({1, 2}, {2});
  const Tensor b = leaf({3, 4}, {2});
  sum(add(a, b)).backward();
  CHECK(a.grad().value().storage() != b.grad().value().storage());
  fill(a.grad().value(), 7);
  CHECK(at(b.grad(), 0) == 1);
}

TEST_CASE("a value used twice gets both gradients") {
  const Tensor x = leaf({3}, {1});
  const Tensor y = mul(x, x);         // x^2
  sum(add(mul(y, y), y)).backward();  // x^4 + x^2
  CHECK(at(x.grad(), 0) == doctest::Approx(4 * 27 + 6));
}

TEST_CASE("gradients of gradients") {
  const Tensor x = leaf({2}, {1});
  const Tensor y = mul(mul(x, x), x);
  const Tensor dy = grad({sum(y)}, {x}, {}, {.create_graph = true})[0];
  CHECK(at(dy, 0) == doctest::Approx(12));
  const Tensor ddy = grad({sum(dy)}, {x})[0];
  CHECK(at(ddy, 0) == doctest::Approx(12));
  CHECK_FALSE(x.grad().defined());
}

TEST_CASE("the graph is used up by backward, unless it is retained") {
  const Tensor x = leaf({2}, {1});
  const Tensor y = sum(mul(x, x));
  y.backward({}, {.retain_graph = true});
  y.backward();
  CHECK(at(x.grad(), 0) == doctest::Approx(8));
  CHECK_THROWS_WITH_AS(y.backward(), doctest::Contains("retain_graph"), RuntimeError);
}

TEST_CASE("a value that backward needs must not be changed in place") {
  const Tensor x = leaf({2, 3}, {2});
  const Tensor y = exp(x);
  const Tensor z = sum(y);
  fill(y.value(), 0);
  CHECK_THROWS_WITH_AS(z.backward(), doctest::Contains("changed in place"), RuntimeError);
}

TEST_CASE("no_grad records nothing") {
  const Tensor x = leaf({2}, {1});
  Tensor y;
  {
    const NoGrad guard;
    y = mul(x, x);
  }
  CHECK_FALSE(y.requires_grad());
  CHECK_THROWS_AS(y.backward(), RuntimeError);
}

TEST_CASE("misuse is named") {
  const Tensor x = leaf({1, 2}, {2});
  CHECK_THROWS_WITH_AS(x.backward(), doctest::Contains("shape (2,)"), RuntimeError);
  CHECK_THROWS_WITH_AS(Tensor(filled({2}, 1, DType::int64), true), doctest::Contains("int64"),
                       TypeError);
  CHECK_THROWS_WITH_AS(matmul(zeros({3, 4}), zeros({5, 6})),
                       "matmul: (3, 4) x (5, 6): inner sizes 4 and 5 differ", ValueError);
  CHECK_THROWS_AS(mul(x, x).set_requires_grad(false), RuntimeError);
}

TEST_CASE("every node comes before all it depends on") {
  const Tensor x = leaf({1}, {1});
  Tensor y = x;
  for (int i = 0; i < 10; ++i) y = add(mul(y, x), y);
  Node* root = y.node().get();
  const std::vector<Node*> order = topological_order({&root, 1});
  CHECK(order.size() == 21);
  CHECK(order.front() == root);
  for (size_t i = 0; i < order.size(); ++i) {
    for (const Node::Input& input : order[i]->inputs) {
      const auto place = std::find(order.begin(), order.end(), input.node.get());
      CHECK(place - order.begin() > static_cast<std::ptrdiff_t>(i));
    }
  }
}

static void* million_adds(void* ok) {
  const Tensor x = leaf({1}, {1});
  {
    Tensor y = x;
    for (int i = 0; i < 1'000'000; ++i) y = add(y, x);
    y.backward();
    *static_cast<bool*>(ok) = at(x.grad(), 0) == 1'000'001;
  }
  Tensor z = x;  // and one that dies without a backward pass
  for (int i = 0; i < 1'000'000; ++i) z = add(z, x);
  return nullptr;
}

TEST_CASE("a chain of a million adds needs no deep stack") {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 * 1024) == 0);
  bool ok = false;
  pthread_t thread;
  REQUIRE(pthread_create(&thread, &attributes, million_adds, &ok) == 0);
  pthread_join(thread, nullptr);
  CHECK(ok);
}

TEST_SUITE_END();
