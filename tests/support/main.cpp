// The main of every test executable. Its last lines tell tools/check which statements of tests/conformance.md
// have had a case, and the counts.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>  // once more, where the precompiled header has read it already

#include "tests/support/weir_test.hpp"

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <regex>
#include <set>
#include <string>
#include <weir/config.hpp>
#include <weir/exceptions.hpp>

namespace {

unsigned passed = 0;
unsigned failed = 0;
std::set<std::string> statements;

// Those that the name of a case begins with, or contains.
void note_statements(const std::string& name) {
  static const std::regex id(R"(\b[A-Z]{2,5}-\d{3}\b)");
  for (std::sregex_iterator one(name.begin(), name.end(), id), end; one != end; ++one) {
    statements.insert(one->str());
  }
}

struct Counter : doctest::IReporter {
  explicit Counter(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& stats) override {
    failed = stats.numTestCasesFailed;
    passed = stats.numTestCasesPassingFilters - failed;
  }
  void test_case_start(const doctest::TestCaseData& test) override { note_statements(test.m_name); }
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

// Orders such as CancelledError are no std::exception, whose text doctest would show by itself.
REGISTER_EXCEPTION_TRANSLATOR(const weir::BaseException& order) { return order.what(); }

}  // namespace

namespace weir::testing {
std::optional<int> (*run_instead)() = nullptr;
}

int main(int argc, char** argv) {
  if (weir::testing::run_instead != nullptr) {
    if (const std::optional<int> result = weir::testing::run_instead()) {
      return *result;
    }
  }
  doctest::Context context(argc, argv);
  const int result = context.run();
  const char* suite = std::getenv("WEIR_TEST_SUITE");
  std::printf("weir-statements:");
  for (const std::string& one : statements) {
    std::printf(" %s", one.c_str());
  }
  std::printf("\nweir-tests: %s %s passed=%u failed=%u skipped=%u\n", suite == nullptr ? argv[0] : suite,
              WEIR_BACKEND_NAME, passed, failed, weir::testing::skip_count());
  return result;
}
