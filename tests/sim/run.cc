// Kernels compute in the simulator what they should, in every order of their threads.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <string>

#include "kernels.h"
#include "memory.h"
#include "needle/backend/registry.h"

namespace needle::sim {
namespace {

constexpr Order kOrders[] = {Order::normal, Order::reversed, Order::shuffled};

/// Calls f once for each order of threads.
template <class F>
void in_every_order(F f) {
  const Options before = options();
  for (const Order order : kOrders) {
    CAPTURE(static_cast<int>(order));
    Options options = before;
    options.order = order;
    set_options(options);
    f();
  }
  set_options(before);
}

}  // namespace

TEST_SUITE_BEGIN("sim");

TEST_CASE("vector addition, with a last block that is not full") {
  in_every_order([] {
    const int n = 1000;
    Array<float> a(n), b(n), c(n, -1);
    a.fill([](size_t i) { return i; });
    b.fill([](size_t i) { return 2 * i; });
    for (const int block : {1, 31, 32, 33, 256, 1024}) {
      CAPTURE(block);
      std::fill(c.begin(), c.end(), -1.0f);
      kernels::vector_add(a.data(), b.data(), c.data(), n, block);
      for (int i = 0; i < n; ++i) REQUIRE(c[i] == 3.0f * i);
    }
  });
}

TEST_CASE("transpose by tiles") {
  in_every_order([] {
    for (const int n : {1, 32, 50, 256}) {
      CAPTURE(n);
      Array<float> in(n * n), out(n * n, -1);
      in.fill([](size_t i) { return i; });
      kernels::transpose(in.data(), out.data(), n);
      for (int i = 0; i < n; ++i) {
        for (int j = 0; j < n; ++j) REQUIRE(out[j * n + i] == in[i * n + j]);
      }
    }
  });
}

TEST_CASE("matrix product by tiles") {
  in_every_order([] {
    const int n = 64;
    Array<float> a(n * n), b(n * n), c(n * n);
    a.fill([](size_t i) { return std::sin(0.1 * i); });
    b.fill([](size_t i) { return std::cos(0.3 * i); });
    for (const int tile : {8, 16, 32}) {
      CAPTURE(tile);
      std::fill(c.begin(), c.end(), NAN);
      kernels::matmul(tile, a.data(), b.data(), c.data(), n);
      for (int i = 0; i < n; ++i) {
        for (int j = 0; j < n; ++j) {
          double exact = 0;
          for (int k = 0; k < n; ++k) exact += double(a[i * n + k]) * b[k * n + j];
          REQUIRE(std::abs(c[i * n + j] - exact) < 1e-4);
        }
      }
    }
  });
}

TEST_CASE("sums of blocks by shuffles") {
  in_every_order([] {
    const int n = 5000, blocks = 7;
    Array<float> x(n), out(blocks);
    x.fill([](size_t i) { return i % 100; });
    for (const int threads : {32, 128, 1024}) {
      CAPTURE(threads);
      kernels::block_sums(x.data(), out.data(), n, blocks, threads);
      CHECK(std::accumulate(out.begin(), out.end(), 0.0) == 4950.0 * n / 100);
    }
  });
}

TEST_CASE("histogram by atomics, in static and in dynamic shared memory") {
  in_every_order([] {
    const int n = 10000;
    Array<uint8_t> x(n);
    x.fill([](size_t i) { return i * i % 251; });
    std::vector<int> expected(256);
    for (const uint8_t value : x) ++expected[value];
    for (const bool dynamic : {false, true}) {
      CAPTURE(dynamic);
      Array<int> bins(256);
      kernels::histogram(x.data(), bins.data(), n, dynamic);
      CHECK(std::equal(bins.begin(), bins.end(), expected.begin()));
    }
  });
}

TEST_CASE("reversal in dynamic shared memory") {
  in_every_order([] {
    Array<float> x(640), out(640);
    x.fill([](size_t i) { return i; });
    kernels::reverse(x.data(), out.data(), 640);
    for (int i = 0; i < 640; ++i) REQUIRE(out[i] == i / 64 * 64 + 63 - i % 64);
  });
}

TEST_CASE("operations of a warp") {
  in_every_order([] {
    Array<int> out(256, -1);
    kernels::warp_operations(out.data());
    unsigned thirds = 0;
    for (int i = 0; i < 32; i += 3) thirds |= 1u << i;
    for (int i = 0; i < 32; ++i) {
      CAPTURE(i);
      CHECK(out[i] == 50);
      CHECK(out[32 + i] == (i >= 3 ? i - 3 : i));
      CHECK(out[64 + i] == (i % 8 + 3 < 8 ? i + 3 : i));
      CHECK(out[96 + i] == (i ^ 1));
      CHECK(out[128 + i] == static_cast<int>(thirds));
      CHECK(out[160 + i] == 496 * 10 + 3);
      CHECK(out[192 + i] == -31);
      CHECK(out[224 + i] == (i < 16 ? 15 : i ^ 15));
    }
  });
}

TEST_CASE("atomics of blocks that run at the same time lose nothing") {
  in_every_order([] {
    const int n = 20000;
    Array<int> i(1);
    Array<unsigned> u(1);
    Array<unsigned long long> l(1);
    Array<float> f(1);
    Array<double> d(1);
    kernels::atomic_sums(i.data(), u.data(), l.data(), f.data(), d.data(), n);
    CHECK(i[0] == n);
    CHECK(u[0] == static_cast<unsigned>(n));
    CHECK(l[0] == static_cast<unsigned long long>(n));
    CHECK(f[0] == n);
    CHECK(d[0] == n);
  });
}

TEST_CASE("votes of barriers, and indices in three dimensions") {
  in_every_order([] {
    Array<int> out(4, -1), index(24 * 24, -1);
    kernels::barrier_votes(out.data());
    CHECK(out[0] == 40);
    CHECK(out[1] == 1);
    CHECK(out[2] == 1);
    CHECK(out[3] == 0);
    kernels::indices(index.data());
    for (int i = 0; i < 24 * 24; ++i) REQUIRE(index[i] == i / 24 * 1000 + i % 24);
  });
}

TEST_CASE("threads that wait for each other in a loop") {
  in_every_order([] {
    Array<int> lock(1), counter(1), flag(1), out(2);
    kernels::spin_lock(lock.data(), counter.data(), 64);
    CHECK(counter[0] == 64);
    kernels::wait_for_flag(flag.data(), out.data());
    CHECK(out[1] == 2);
  });
}

TEST_CASE("the block that comes last adds up; a warp waits for itself") {
  in_every_order([] {
    Array<float> x(1000, 1), partial(32), out(1), reversed(32);
    Array<unsigned> ticket(1);
    kernels::last_block_sum(x.data(), partial.data(), ticket.data(), out.data(), 1000);
    CHECK(out[0] == 1000);
    x.fill([](size_t i) { return i; });
    kernels::warp_reverse(x.data(), reversed.data());
    for (int i = 0; i < 32; ++i) CHECK(reversed[i] == 31 - i);
  });
}

TEST_CASE("clusters: blocks that run at the same time, and reach each other's shared memory") {
  in_every_order([] {
    constexpr int kClusters = 3;
    for (const int blocks : {1, 2, 5, 8}) {
      for (const bool ends : {false, true}) {
        CAPTURE(blocks);
        CAPTURE(ends);
        Array<int> x(blocks * kClusters * 64), out(blocks * kClusters);
        x.fill([](size_t i) { return i % 1000; });
        kernels::cluster_sums(x.data(), out.data(), kClusters, blocks, ends);
        for (int c = 0; c < kClusters; ++c) {
          int sum = 0;
          for (int i = 64 * ends * kClusters; i < 64 * blocks * kClusters; ++i) {
            if (i / 64 % kClusters == c) sum += x[i];
          }
          for (int b = 0; b < blocks; ++b) {
            CHECK(out[c + b * kClusters] == (b < ends ? -1 : sum));
          }
        }
      }
    }
  });
}

TEST_CASE("a cluster of too many blocks is refused") {
  Array<int> x(9 * 64), out(9);
  std::string said;
  try {
    kernels::cluster_sums(x.data(), out.data(), 1, 9, false);
  } catch (const std::runtime_error& error) {
    said = error.what();
  }
  CHECK(said.find("its blocks along y are a cluster, of at most 8") != said.npos);
}

TEST_CASE("the number of host threads changes nothing") {
  const int before = num_threads(), n = 96;
  Array<float> a(n * n), b(n * n), one(n * n), three(n * n);
  a.fill([](size_t i) { return std::sin(0.1 * i); });
  b.fill([](size_t i) { return std::cos(0.3 * i); });
  set_num_threads(1);
  kernels::matmul(32, a.data(), b.data(), one.data(), n);
  set_num_threads(3);
  kernels::matmul(32, a.data(), b.data(), three.data(), n);
  set_num_threads(before);
  CHECK(std::memcmp(one.data(), three.data(), n * n * sizeof(float)) == 0);
}

TEST_SUITE_END();

}  // namespace needle::sim
