// cnnfast_tests [group]: runs the tests of a group, or all; exits with 1 if any fails or there is none.
#include <cstdint>
#include <cstdio>

#include "check.hpp"

namespace cnnfast::tests {

std::vector<Test>& all_tests() {
  static std::vector<Test> tests;
  return tests;
}

std::int64_t& check_count() {
  static std::int64_t count = 0;
  return count;
}

}  // namespace cnnfast::tests

int main(int argc, char** argv) {
  using namespace cnnfast::tests;
  int passed = 0, failed = 0;
  for (const Test& test : all_tests()) {
    if (argc > 1 && test.group != argv[1]) continue;
    try {
      test.run();
      ++passed;
    } catch (const std::exception& e) {
      ++failed;
      std::printf("FAILED %s.%s\n  %s\n", test.group.c_str(), test.name.c_str(), e.what());
    }
  }
  std::printf("%d passed, %d failed (%lld checks)\n", passed, failed, static_cast<long long>(check_count()));
  return failed == 0 && passed > 0 ? 0 : 1;
}
