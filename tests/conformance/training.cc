// adamw, random and dropout against the reference.  (Lesson 05)
#include <cmath>

#include "tests/conformance/cases.h"

using namespace needle;
using namespace needle::conformance;

TEST_SUITE_BEGIN("training");

TEST_CASE("adamw") {
  for_each_device(&Kernels::adamw, "adamw", [](Device device) {
    std::vector<Shape> all = shapes();
    all.insert(all.end(), {{131, 1027}, {40, 1000}});
    for (DType dtype : kFloating) {
      for (const Shape& shape : all) {
        for (int t : {1, 10, 1000}) {
          for (double weight_decay : {0.0, 0.1}) {
            CAPTURE(dtype);
            CAPTURE(shape);
            CAPTURE(t);
            CAPTURE(weight_decay);
            Comparison c(device);
            const Pair p = c.inout(shape, dtype);
            const Pair g = c.input(shape, dtype);
            const Pair m = c.inout(shape, dtype);
            const Pair v = c.inout(shape, dtype, Layout::compact, Fill::positive);
            if (t == 1) {  // moments begin at 0; an element without gradient must not move
              for (int64_t i = 0; i < p[want].size(); ++i) {
                set(m, i, 0);
                set(v, i, 0);
                if (i % 3 == 0) set(g, i, 0);
              }
            }
            const AdamWStep step{.lr = 0.01,
                                 .beta1 = 0.9,
                                 .beta2 = 0.95,
                                 .eps = 1e-8,
                                 .weight_decay = weight_decay,
                                 .correction1 = 1 - std::pow(0.9, t),
                                 .correction2 = 1 - std::pow(0.95, t)};
            // Elements whose gradient is 0 were set above, on both sides alike.
            c.run([&](const Kernels& k, Side s) { k.adamw(step, p[s], g[s], m[s], v[s]); });
            CHECK(c.difference(p, {.scale = 0.1}) == "");
            CHECK(c.difference(m, {.scale = 1}) == "");
            CHECK(c.difference(v, {}) == "");
          }
        }
      }
    }
  });
}

TEST_CASE("random") {
  for_each_device(&Kernels::random, "random", [](Device device) {
    std::vector<Shape> all = shapes();
    all.push_back({131, 1027});
    for (Random kind : {Random::uniform, Random::normal}) {
      for (DType dtype : kFloating) {
        for (const Shape& shape : all) {
          for (uint64_t seed : {uint64_t{0}, ~uint64_t{0}, uint64_t{0x123456789abcdef}}) {
            for (uint64_t offset : {uint64_t{0}, uint64_t{1}, uint64_t{2}, uint64_t{3}, uint64_t{5},
                                    (uint64_t{1} << 34) - 3}) {
              if (shape.size() > 1000 && offset > 1) continue;
              const auto layouts = output_layouts(shape.ndim());
              CAPTURE(kind == Random::normal);
              CAPTURE(dtype);
              CAPTURE(shape);
              CAPTURE(seed);
              CAPTURE(offset);
              const Layout layout = layouts[(seed + offset) % layouts.size()];
              CAPTURE(layout);
              Comparison c(device);
              const Pair out = c.output(shape, dtype, layout);
              c.run([&](const Kernels& k, Side s) { k.random(kind, seed, offset, out[s]); });
              CHECK(c.difference(out, {.scale = 1, .exact = kind == Random::uniform}) == "");
            }
          }
        }
      }
    }
  });
}

TEST_CASE("dropout") {
  for_each_device(&Kernels::dropout, "dropout", [](Device device) {
    std::vector<Shape> all = shapes();
    all.push_back({131, 1027});
    for (DType dtype : kFloating) {
      for (const Shape& shape : all) {
        for (double p : {0.0, 0.1, 0.9}) {
          for (Layout layout : input_layouts(shape.ndim())) {
            const auto layouts = output_layouts(shape.ndim());
            // In a large compact one that begins with a block of Philox, many elements move as one.
            const bool large = shape.size() > 1000;
            const Layout to = large ? Layout::compact : layouts[shape.size() % layouts.size()];
            const uint64_t offset = large ? 8 : static_cast<uint64_t>(shape.ndim()) * 5;
            CAPTURE(dtype);
            CAPTURE(shape);
            CAPTURE(p);
            CAPTURE(layout);
            CAPTURE(to);
            Comparison c(device);
            const Pair x = c.input(shape, dtype, layout);
            const Pair out = c.output(shape, dtype, to);
            c.run([&](const Kernels& k, Side s) { k.dropout(2024, offset, p, x[s], out[s]); });
            CHECK(c.difference(out, {}) == "");
          }
        }
      }
    }
  });
}

TEST_SUITE_END();
