// The graph in C++: gradients, lifetimes, misuse.
#include <doctest/doctest.h>

#include <pthread.h>
#include <cmath>
#include <thread>

#include "needle/autograd/anomaly.h"
#include "needle/autograd/functional.h"
#include "needle/autograd/node.h"
#include "needle/autograd/node_map.h"
#include "needle/op/checkpoint.h"
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

TEST_CASE("a table of nodes finds what was put in, also after it has grown") {
  std::vector<Ref<Node>> nodes;
  for (int i = 0; i < 5000; ++i) nodes.push_back(make_ref<Node>(Spec{{}, DType::float32}));
  NodeSet set;
  Gradients gradients;
  for (size_t i = 0; i < nodes.size(); i += 2) {
    CHECK(set.insert(nodes[i].get()).second);
    gradients[nodes[i].get()] = Tensor::scalar(static_cast<double>(i));
  }
  for (size_t i = 0; i < nodes.size(); ++i) {
    CHECK(set.insert(nodes[i].get()).second == (i % 2 == 1));
    const auto found = gradients.find(nodes[i].get());
    CHECK((found != gradients.end()) == (i % 2 == 0));
    if (i % 2 == 0) CHECK(found->second.item() == static_cast<double>(i));
  }
  for (size_t i = 0; i < nodes.size(); i += 4) gradients.erase(gradients.find(nodes[i].get()));
  for (size_t i = 0; i < nodes.size(); ++i) {
    const auto found = gradients.find(nodes[i].get());
    CHECK((found != gradients.end()) == (i % 4 == 2));
    if (i % 4 == 2) CHECK(found->second.item() == static_cast<double>(i));
  }
}

TEST_CASE("memory of the pool may be given back by another thread") {
  std::vector<Tensor> made;
  for (int i = 0; i < 1000; ++i) made.push_back(mul(leaf({1, 2}, {2}), 2));
  std::thread([&] {
    made.clear();
    for (int i = 0; i < 1000; ++i) made.push_back(mul(leaf({1, 2}, {2}), 3));
  }).join();
  for (const Tensor& t : made) CHECK(at(t, 1) == 6);
}

TEST_CASE("products with the Jacobian of a function of two inputs") {
  const auto f = [](const Tensors& x) { return mul(mul(x[0], x[0]), x[1]); };  // x^2 y
  const Tensors at_point = {leaf({3, 1}, {2}), leaf({5, 2}, {2})};
  const Tensor v = leaf({1, 10}, {2});
  const Derivative reverse = vjp(f, at_point, v);
  CHECK(at(reverse.output, 0) == 45);
  CHECK(at(reverse.products[0], 0) == 30);  // 2 x y
  CHECK(at(reverse.products[1], 1) == 10);  // x^2
  const Derivative forward = jvp(f, at_point, {v, v});
  CHECK(at(forward.products[0], 1) == 50);  // (2 x y + x^2) v
  const Tensors matrices = jacobian(f, at_point);
  CHECK(matrices[0].shape() == Shape{2, 2});
  CHECK(at(matrices[0], 1) == 0);
  CHECK(at(matrices[0], 3) == 4);
  const Derivative second =
      hvp([&](const Tensors& x) { return sum(f(x)); }, at_point, {v, leaf({0, 0}, {2})});
  CHECK(at(second.products[0], 0) == 10);  // 2 y v
  CHECK(at(second.products[1], 1) == 20);  // 2 x v
  CHECK_THROWS_AS(vjp(f, at_point, leaf({1}, {1})), ValueError);
}

TEST_CASE("a checkpoint gives the same gradients and keeps one node") {
  const Tensor w = leaf({2, 3}, {2});
  const auto f = [&](const Tensors& x) { return mul(exp(mul(x[0], w)), w); };
  const Tensor x = leaf({0.5, -1}, {2});
  sum(f({x})).backward();
  const Tensor dx = x.grad(), dw = w.grad();
  x.set_grad({});
  w.set_grad({});
  const Tensor y = checkpoint(f, {x});
  CHECK(y.node()->inputs.size() == 2);  // x, and w from outside
  sum(y).backward();
  for (int64_t i = 0; i < 2; ++i) {
    CHECK(at(x.grad(), i) == at(dx, i));
    CHECK(at(w.grad(), i) == at(dw, i));
  }
  CHECK_THROWS_WITH_AS(grad({sum(checkpoint(f, {x}))}, {x}, {}, {.create_graph = true}),
                       doctest::Contains("gradients of gradients"), RuntimeError);
}

TEST_CASE("hooks replace gradients until they are removed") {
  const Tensor x = leaf({1}, {1});
  const int id = x.register_hook([](const Tensor& g) { return mul(g, 10); });
  sum(x).backward();
  CHECK(at(x.grad(), 0) == 10);
  x.remove_hook(id);
  sum(x).backward();
  CHECK(at(x.grad(), 0) == 11);
}

TEST_CASE("an anomaly is found where it is born") {
  const Tensor x = leaf({0}, {1});
  const Tensor unwatched = log(x);
  CHECK(std::isinf(unwatched.item()));
  const Anomaly::Watch guard;
  CHECK_THROWS_WITH_AS(log(x), doctest::Contains("log under the watch at "), RuntimeError);
  const Tensor y = sum(sqrt(x));
  CHECK_THROWS_WITH_AS(y.backward(), doctest::Contains("the gradient of sqrt under the watch"),
                       RuntimeError);
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
