// A test is TEST(group, what_it_promises) { ... CHECK(condition, message parts...); }; main.cpp runs them.
#pragma once
#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace cnnfast::tests {

struct Test {
  std::string group, name;
  void (*run)();
};

std::vector<Test>& all_tests();
std::int64_t& check_count();

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

template <class... Parts>
void check(bool ok, const char* file, int line, const char* condition, const Parts&... parts) {
  ++check_count();
  if (ok) return;
  std::ostringstream text;
  text << file << ':' << line << ": " << condition << " does not hold ";
  static_cast<void>((text << ... << parts));
  throw Failure(text.str());
}

// Whether f() throws an E whose message contains `part`.
template <class E, class F>
bool throws(const std::string& part, const F& f) {
  try {
    f();
  } catch (const E& e) {
    return std::string(e.what()).find(part) != std::string::npos;
  }
  return false;
}

struct Registration {
  Registration(const char* group, const char* name, void (*run)()) { all_tests().push_back({group, name, run}); }
};

}  // namespace cnnfast::tests

#define CHECK(condition, ...) ::cnnfast::tests::check((condition), __FILE__, __LINE__, #condition, ##__VA_ARGS__)
#define TEST(group, name)                                                      \
  static void group##_##name();                                                \
  static const ::cnnfast::tests::Registration group##_##name##_registration(   \
      #group, #name, group##_##name);                                          \
  static void group##_##name()
