// The counters give the figures of the textbooks, in every order of the threads.
#include <doctest/doctest.h>

#include <cmath>

#include "kernels.h"
#include "memory.h"
#include "textbook.h"

namespace needle::sim {
namespace {

/// The counts of what `run` launches, which is one kernel; its results are the same in each order.
template <class Run>
void counted(Run run, void (*check)(const LineCounts&)) {
  const Options before = options();
  for (const Order order : {Order::normal, Order::reversed, Order::shuffled}) {
    CAPTURE(static_cast<int>(order));
    set_options({.check = true, .count = true, .order = order});
    clear_counts();
    run();
    REQUIRE(counts().size() == 1);
    check(counts()[0].total);
  }
  set_options(before);
}

double per_request(const AccessCount& count) { return double(count.units) / count.requests; }
double ideal(const AccessCount& count) { return double(count.ideal) / count.requests; }

}  // namespace

TEST_SUITE_BEGIN("sim");

TEST_CASE("vector addition: 4 sectors a request, 5 if the input is shifted by one") {
  Array<float> a(1024 + 1), b(1024 + 1), c(1024);
  counted([&] { textbook::add_shifted(a.data(), b.data(), c.data(), 1024, 0); },
          [](const LineCounts& total) {
            CHECK(total.global_reads.requests == 2 * 32);
            CHECK(total.global_reads.lanes == 2 * 1024);
            CHECK(total.global_reads.bytes == 2 * 4096);
            CHECK(per_request(total.global_reads) == 4);
            CHECK(per_request(total.global_writes) == 4);
            CHECK(ideal(total.global_writes) == 4);
          });
  counted([&] { textbook::add_shifted(a.data(), b.data(), c.data(), 1024, 1); },
          [](const LineCounts& total) {
            CHECK(per_request(total.global_reads) == 5);
            CHECK(ideal(total.global_reads) == 4);
          });
}

TEST_CASE("loads with a stride, of vectors, of one word, of a field") {
  Array<float> x(1024), out(1024);
  counted([&] { textbook::load_with_stride(x.data(), out.data(), 2); },
          [](const LineCounts& total) { CHECK(total.global_reads.units == 8); });
  counted([&] { textbook::load_with_stride(x.data(), out.data(), 31); },
          [](const LineCounts& total) {
            CHECK(total.global_reads.units == 32);
            CHECK(total.global_reads.ideal == 4);
          });
  counted([&] { textbook::copy_vectors(x.data(), out.data(), 1024); },
          [](const LineCounts& total) {
            CHECK(total.global_reads.requests == 8);
            CHECK(per_request(total.global_reads) == 16);
            CHECK(ideal(total.global_writes) == 16);
          });
  counted([&] { textbook::broadcast(x.data(), out.data()); },
          [](const LineCounts& total) {
            CHECK(total.global_reads.units == 1);
            CHECK(total.global_reads.ideal == 1);
          });
  counted([&] { textbook::field_of_struct(x.data(), out.data()); },
          [](const LineCounts& total) {
            CHECK(total.global_reads.units == 12);
            CHECK(total.global_reads.ideal == 4);
          });
}

TEST_CASE("loops longer than what is kept of them") {
  Array<float> x(1024, 1), out(64);
  counted([&] { textbook::long_loops(x.data(), out.data(), 102400); },
          [](const LineCounts& total) {
            // Shifted by 1 … 7 of 8 floats, a warp takes a fifth sector.
            CHECK(total.global_reads.requests == 3 * 102400);
            CHECK(total.global_reads.lanes == 65 * 102400);
            CHECK(total.global_reads.units == 102400 * (1 + 2 * (4 + 7 / 8.0)));
            CHECK(total.blocks.divergent == 1);
          });
  CHECK(out[0] == 2 * 102400);
  CHECK(out[1] == 102400);
}

TEST_CASE("transpose: without a tile, with one, padded, swizzled") {
  const int n = 256;
  Array<float> in(n * n), out(n * n);
  counted([&] { textbook::transpose(in.data(), out.data(), n, -1); },
          [](const LineCounts& total) {
            CHECK(total.global_reads.requests == 2048);
            CHECK(total.global_writes.requests == 2048);
            CHECK(per_request(total.global_reads) == 4);
            CHECK(per_request(total.global_writes) == 32);
            CHECK(ideal(total.global_writes) == 4);
          });
  counted([&] { textbook::transpose(in.data(), out.data(), n, 0); },
          [](const LineCounts& total) {
            CHECK(per_request(total.global_reads) == 4);
            CHECK(per_request(total.global_writes) == 4);
            CHECK(per_request(total.shared_writes) == 1);
            CHECK(per_request(total.shared_reads) == 32);
            CHECK(total.barriers == 64);
          });
  for (const int padding : {1, -2}) {
    CAPTURE(padding);
    const auto run = [&] { textbook::transpose(in.data(), out.data(), n, padding); };
    counted(run, [](const LineCounts& total) {
      CHECK(per_request(total.global_reads) == 4);
      CHECK(per_request(total.global_writes) == 4);
      CHECK(per_request(total.shared_writes) == 1);
      CHECK(per_request(total.shared_reads) == 1);
    });
  }
}

TEST_CASE("banks: strides, broadcast, vectors") {
  Array<float> out(256);
  const auto strided = [&](int stride, void (*check)(const LineCounts&)) {
    counted([&] { textbook::shared_stride(out.data(), stride); }, check);
  };
  strided(2, [](const LineCounts& total) { CHECK(total.shared_reads.units == 2); });
  strided(3, [](const LineCounts& total) { CHECK(total.shared_reads.units == 1); });
  strided(8, [](const LineCounts& total) { CHECK(total.shared_reads.units == 8); });
  strided(0, [](const LineCounts& total) { CHECK(total.shared_reads.units == 1); });
  counted([&] { textbook::shared_vectors(out.data(), 2); },
          [](const LineCounts& total) {
            CHECK(total.shared_reads.requests == 1);
            CHECK(total.shared_reads.units == 2);
            CHECK(total.shared_reads.ideal == 2);
          });
  counted([&] { textbook::shared_vectors(out.data(), 4); },
          [](const LineCounts& total) {
            CHECK(total.shared_reads.units == 4);
            CHECK(total.shared_reads.ideal == 4);
          });
}

TEST_CASE("sum of a block: interleaved against sequential addresses") {
  Array<float> x(256), out(1);
  x.fill([](size_t i) { return i; });
  // Step by step 2, 4, 8, 8, 8, 4, 2, 1 wavefronts for each access of 4, 2, 1, 1, 1, 1, 1, 1 warps:
  // 47 for 12 requests of each of s[i], s[i + d] and the store.
  counted([&] { textbook::sum_interleaved(x.data(), out.data()); },
          [](const LineCounts& total) {
            CHECK(total.shared_reads.requests == 2 * 12 + 1);
            CHECK(total.shared_reads.units == 2 * 47 + 1);
            CHECK(total.shared_writes.requests == 8 + 12);
            CHECK(total.shared_writes.units == 8 + 47);
            CHECK(total.barriers == 9);
          });
  CHECK(out[0] == 32640);
  counted([&] { textbook::sum_sequential(x.data(), out.data()); },
          [](const LineCounts& total) {
            CHECK(per_request(total.shared_reads) == 1);
            CHECK(per_request(total.shared_writes) == 1);
          });
  CHECK(out[0] == 32640);
}

TEST_CASE("matrix product: naive in blocks of 32 and 16, and by tiles") {
  const int n = 64;
  Array<float> a(n * n), b(n * n), c(n * n);
  counted([&] { textbook::matmul_naive(a.data(), b.data(), c.data(), n, 32); },
          [](const LineCounts& total) {
            CHECK(total.global_reads.requests == 2 * n * n * n / 32);
            CHECK(per_request(total.global_reads) == (1 + 4) / 2.0);
          });
  counted([&] { textbook::matmul_naive(a.data(), b.data(), c.data(), n, 16); },
          [](const LineCounts& total) {
            CHECK(per_request(total.global_reads) == (2 + 2) / 2.0);
            CHECK(ideal(total.global_reads) == (1 + 2) / 2.0);
          });
  for (const int tile : {16, 32}) {
    CAPTURE(tile);
    const auto run = [&] { kernels::matmul(tile, a.data(), b.data(), c.data(), n); };
    counted(run, [](const LineCounts& total) {
      CHECK(per_request(total.shared_reads) == 1);
      CHECK(per_request(total.shared_writes) == 1);
      CHECK(per_request(total.global_reads) == 4);
      CHECK(per_request(total.global_writes) == 4);
    });
  }
}

TEST_CASE("branches: half of each warp, and whole warps") {
  Array<float> out(256);
  counted([&] { textbook::half_of_warp_branches(out.data()); },
          [](const LineCounts& total) {
            // The first parts each of 4 warps, the second none.
            CHECK(total.blocks.divergent == 4);
            CHECK(total.blocks.branches >= 8);
          });
}

TEST_SUITE_END();

}  // namespace needle::sim
