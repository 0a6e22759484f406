// The main program of the C++ tests: doctest, and three things it does not do by itself.
//
// NEEDLE_DEVICE names the device that the conformance tests hold against the reference; without it
// they take all that this build has. The instruction set of the cpu backend is named first. A run
// in which no test ran (a misspelt suite) is a failure.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "needle/backend/registry.h"

namespace {

unsigned tests_run = 0;

/// Counts the test cases that ran.
struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void test_case_start(const doctest::TestCaseData&) override { ++tests_run; }

  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};

REGISTER_LISTENER("counter", 1, Counter);

}  // namespace

int main(int argc, char** argv) {
  std::string about;
  try {
    // Refused here, with a sentence, if there is no such instruction set or device.
    std::cout << "[needle] instruction set: " << needle::cpu_isa() << std::endl;
    about = "NEEDLE_DEVICE: ";
    if (const char* name = std::getenv("NEEDLE_DEVICE")) needle::kernels(needle::device_of(name));
  } catch (const std::exception& error) {
    std::cerr << about << error.what() << '\n';
    return 1;
  }
  doctest::Context context(argc, argv);
  const int result = context.run();
  if (context.shouldExit()) return result;  // a question such as --list-test-suites
  if (tests_run == 0) {
    std::cerr
        << "no test ran: no name matches; --list-test-suites and --list-test-cases show all\n";
    return 1;
  }
  return result;
}
