// safetensors files: round trips, conversions, and files that lie.  (Lesson 06)
#include "needle/transformer/safetensors.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "needle/array/error.h"

using namespace needle;
using namespace needle::transformer;

namespace {

// A file that goes away with the test.
class TemporaryFile {
 public:
  TemporaryFile() {
    std::string pattern = (std::filesystem::temp_directory_path() / "needle-XXXXXX").string();
    const int file = ::mkstemp(pattern.data());
    REQUIRE(file >= 0);
    ::close(file);
    path_ = pattern;
  }
  ~TemporaryFile() { std::filesystem::remove(path_); }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  const std::string& path() const { return path_; }
  void write(const std::string& bytes) const { std::ofstream(path_, std::ios::binary) << bytes; }
  std::string read() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }

 private:
  std::string path_;
};

std::string with_length(const std::string& header, const std::string& data = "") {
  const uint64_t n = header.size();
  return std::string(reinterpret_cast<const char*>(&n), 8) + header + data;
}

// Checks that a file with this header and so many bytes of data is refused for that reason.
void refuses(const std::string& header, size_t data, const char* why) {
  const TemporaryFile file;
  file.write(with_length(header, std::string(data, '\0')));
  CAPTURE(header);
  CHECK_THROWS_WITH_AS(SafetensorsFile{file.path()}, doctest::Contains(why), ValueError);
}

}  // namespace

TEST_SUITE_BEGIN("safetensors");
TEST_CASE("every dtype comes back, with its shape and the metadata") {
  const std::vector<float> f32{1.5f, -2.f, 0.f, INFINITY, 1e-40f, 3.f};
  const std::vector<double> f64{1e300};
  const std::vector<int64_t> i64{INT64_MIN, INT64_MAX};
  const std::vector<int32_t> i32{-1, 2, 3};
  const NDArray flags = NDArray::empty({3}, DType::bool_);
  flags.data<bool>()[0] = flags.data<bool>()[2] = true;
  flags.data<bool>()[1] = false;
  const std::vector<float16> f16{float16(1.5), float16(-0.0), float16::from_bits(0x7d01)};
  const std::vector<bfloat16> bf16{bfloat16(1e38), bfloat16::from_bits(0xff81)};
  const NamedArrays arrays{{"weight", NDArray::of<float>(f32, {2, 3})},
                           {"half", NDArray::of<float16>(f16, {3})},
                           {"brain", NDArray::of<bfloat16>(bf16, {2, 1})},
                           {"flags", flags},
                           {"scalar", NDArray::of<double>(f64, {})},
                           {"long", NDArray::of<int64_t>(i64, {2, 1})},
                           {"int \"é\"", NDArray::of<int32_t>(i32, {3})},
                           {"none", NDArray::empty({2, 0, 5}, DType::float32)}};
  const TemporaryFile file;
  save_safetensors(file.path(), arrays, {{"format", "pt"}}, true);

  const SafetensorsFile opened(file.path());
  CHECK(opened.metadata() == Metadata{{"format", "pt"}});
  CHECK(opened.arrays().size() == arrays.size());
  CHECK(opened.arrays().at("weight").dtype == "F32");
  CHECK(opened.arrays().at("half").dtype == "F16");
  CHECK(opened.arrays().at("brain").dtype == "BF16");
  CHECK(opened.arrays().at("none").shape == Shape{2, 0, 5});

  const NamedArrays again = load_safetensors(file.path());
  for (const auto& [name, array] : arrays) {
    const NDArray& read = again.at(name);
    CAPTURE(name);
    CHECK(read.dtype() == array.dtype());
    CHECK(read.shape() == array.shape());
    CHECK(std::memcmp(read.view().data, array.view().data, static_cast<size_t>(array.bytes())) ==
          0);
  }
}

TEST_CASE("arrays lie at multiples of their element's size") {
  const TemporaryFile file;
  save_safetensors(file.path(), {{"a", NDArray::empty({3}, DType::bool_)},
                                 {"b", NDArray::empty({1}, DType::float32)},
                                 {"c", NDArray::empty({1}, DType::float64)}});
  const SafetensorsFile opened(file.path());
  CHECK(opened.arrays().at("c").begin == 0);
  CHECK(opened.arrays().at("b").begin == 8);
  CHECK(opened.arrays().at("a").begin == 12);
  uint64_t header = 0;
  std::memcpy(&header, file.read().data(), 8);
  CHECK(header % 8 == 0);
}

TEST_CASE("a bool is 0 or 1 in memory, whatever the file says") {
  const TemporaryFile file;
  file.write(
      with_length(R"({"x":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})", "\x07\x01\xff"));
  const NDArray x = load_safetensors(file.path()).at("x");
  CHECK(std::memcmp(x.view().data, "\x01\x01\x01", 3) == 0);
}

TEST_CASE("files cut off or too long are refused") {
  const TemporaryFile file;
  const std::vector<float> values{1, 2, 3, 4};
  save_safetensors(file.path(), {{"x", NDArray::of<float>(values, {4})}});
  const std::string whole = file.read();
  for (size_t n = 0; n < whole.size(); ++n) {
    file.write(whole.substr(0, n));
    CHECK_THROWS_AS(SafetensorsFile{file.path()}, ValueError);
  }
  file.write(whole + "x");
  CHECK_THROWS_WITH_AS(SafetensorsFile{file.path()}, doctest::Contains("belong to no array"),
                       ValueError);
  CHECK_THROWS_AS(SafetensorsFile{"/nonexistent/x"}, RuntimeError);
  CHECK_THROWS_AS(SafetensorsFile{"/"}, RuntimeError);
}

TEST_CASE("a file that shrinks while it is open is an error, not a crash") {
  const TemporaryFile file;
  save_safetensors(file.path(), {{"x", NDArray::empty({1000}, DType::float32)}});
  const SafetensorsFile opened(file.path());
  std::filesystem::resize_file(file.path(), 100);
  CHECK_THROWS_WITH_AS(opened.read("x"), doctest::Contains("became shorter"), RuntimeError);
}

TEST_CASE("headers that contradict the file or themselves are refused") {
  refuses("[]", 0, "must be an object");
  refuses("{", 0, "not valid JSON");
  refuses(R"({"x":3})", 0, "expected an object");
  refuses(R"({"x":{"dtype":"F99","shape":[],"data_offsets":[0,4]}})", 4, "unknown dtype 'F99'");
  refuses(R"({"x":{"dtype":"F32","data_offsets":[0,4]}})", 4, "'shape' is missing");
  refuses(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}})", 4, "takes 8 bytes");
  refuses(R"({"x":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", 4, "whole numbers");
  refuses(R"({"x":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", 4, "whole numbers");
  refuses(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", 4, "outside");
  refuses(R"({"x":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})", 4, "outside");
  refuses(R"({"x":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", 4, "two offsets");
  refuses(R"({"x":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4,
          "at most 8");
  refuses(R"({"x":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0,
          "multiply to more than");
  refuses(R"({"x":{"dtype":"F32","shape":[4611686018427387904,4,0],"data_offsets":[0,0]}})", 0,
          "multiply to more than");
  const std::string x = R"("x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  refuses("{" + x + "," + x + "}", 4, "appears twice");
  refuses("{" + x + R"(,"y":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4, "overlap");
  refuses("{" + x + R"(,"y":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})", 12, "a hole");
  refuses(R"({"__metadata__":{"a":1}})", 0, "must be a string");
  const TemporaryFile file;
  file.write(std::string(8, '\xff') + "{}");
  CHECK_THROWS_WITH_AS(SafetensorsFile{file.path()}, doctest::Contains("header"), ValueError);
}

TEST_CASE("dtypes that needle lacks can be listed but not read") {
  const TemporaryFile file;
  file.write(with_length(R"({"x":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})", "ab"));
  const SafetensorsFile opened(file.path());
  CHECK(opened.arrays().at("x").shape == Shape{2});
  CHECK_THROWS_WITH_AS(opened.read("x"), doctest::Contains("dtype U8"), TypeError);
  CHECK_THROWS_WITH_AS(opened.read("y"), doctest::Contains("there is no array 'y'"), ValueError);
}

TEST_CASE("what cannot be saved is refused before anything is written") {
  const TemporaryFile file;
  const NDArray x = NDArray::empty({2, 3}, DType::float32);
  CHECK_THROWS_WITH_AS(save_safetensors(file.path(), {{"x", x.transpose(0, 1)}}),
                       doctest::Contains("make it contiguous"), ValueError);
  CHECK_THROWS_AS(save_safetensors(file.path(), {{"__metadata__", x}}), ValueError);
  CHECK_THROWS_AS(save_safetensors(file.path(), {{"\xff", x}}), ValueError);
  CHECK_THROWS_AS(save_safetensors(file.path(), {{"x", NDArray{}}}), ValueError);
  CHECK(file.read().empty());
  CHECK_THROWS_AS(save_safetensors("/nonexistent/x", {{"x", x}}), RuntimeError);
}
TEST_SUITE_END();
