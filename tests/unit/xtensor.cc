// A trap of xtensor 0.24 under g++ and C++20, kept shut by -fno-new-ttp-matching.  (Lesson 02)
//
// Without the flag the compiler takes xtensor's list of sizes for one of fixed length 4. Nothing
// warns: sums come out with rank 4, reductions crash. Everything that includes xtensor, this file
// too, is compiled with the flag; needle/backend/reference/xview.h refuses to compile without it.
#include <doctest/doctest.h>

#include <xtensor/xarray.hpp>
#include <xtensor/xeval.hpp>
#include <xtensor/xmath.hpp>

TEST_SUITE_BEGIN("xtensor");

TEST_CASE("an evaluated expression keeps its rank") {
  const xt::xarray<float> a = {{1, 2, 3}, {4, 5, 6}};
  const auto sum = xt::eval(a + a);
  REQUIRE(sum.dimension() == 2);
  CHECK(sum.shape(0) == 2);
  CHECK(sum.shape(1) == 3);
  CHECK(sum(1, 2) == 12);

  // These crash without the flag, so they come after the REQUIRE.
  const auto rows = xt::eval(xt::sum(a, {1}));
  REQUIRE(rows.dimension() == 1);
  CHECK(rows(0) == 6);
  CHECK(rows(1) == 15);
  const auto largest = xt::amax(a, {0}, xt::evaluation_strategy::immediate);
  CHECK(largest(2) == 6);
}

TEST_SUITE_END();
