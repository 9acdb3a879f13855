#include "cnnfast/program.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace cnnfast {

std::int64_t dtype_size(Dtype dtype) { return dtype == Dtype::uint8 ? 1 : dtype == Dtype::bfloat16 ? 2 : 4; }

std::int64_t TensorSpec::count() const {
  constexpr std::int64_t kMost = std::int64_t{1} << 48;
  std::int64_t n = 1;
  for (const std::int64_t d : shape) {
    if (d < 0 || (d > 0 && n > kMost / d))
      throw std::invalid_argument("tensor: a shape must have from 0 to 2^48 elements, got a size of " +
                                  std::to_string(d) + " after " + std::to_string(n) + " elements");
    n *= d;
  }
  return n;
}

const Attributes::Value& Attributes::find(const std::string& name) const {
  const auto it = values_.find(name);
  if (it == values_.end()) throw std::invalid_argument("op: attribute '" + name + "' is missing");
  return it->second;
}
std::int64_t Attributes::integer(const std::string& name) const {
  const Value& v = find(name);
  if (const auto* i = std::get_if<std::int64_t>(&v)) return *i;
  throw std::invalid_argument("op: attribute '" + name + "' is not an integer");
}
std::int64_t Attributes::integer(const std::string& name, std::int64_t missing) const {
  return has(name) ? integer(name) : missing;
}
float Attributes::real(const std::string& name) const {
  const Value& v = find(name);
  if (const auto* d = std::get_if<double>(&v)) return static_cast<float>(*d);
  return static_cast<float>(integer(name));
}
const std::string& Attributes::text(const std::string& name) const {
  if (const auto* s = std::get_if<std::string>(&find(name))) return *s;
  throw std::invalid_argument("op: attribute '" + name + "' is not a text");
}
const std::vector<std::int64_t>& Attributes::list(const std::string& name) const {
  if (const auto* l = std::get_if<std::vector<std::int64_t>>(&find(name))) return *l;
  throw std::invalid_argument("op: attribute '" + name + "' is not a list of integers");
}

Program::Program(std::vector<Buffer> buffers, std::vector<ProgramStep> steps, std::int64_t arena_bytes)
    : buffers_(std::move(buffers)), steps_(std::move(steps)), step_seconds_(steps_.size()), arena_bytes_(arena_bytes) {
  for (const Buffer& b : buffers_)
    if (b.offset >= 0 && b.offset + b.spec.bytes() > arena_bytes)
      throw std::invalid_argument("Program: a buffer ends past the arena");
  const int count = static_cast<int>(buffers_.size());
  for (const ProgramStep& s : steps_) {
    for (const int i : s.in)
      if (i < -1 || i >= count) throw std::invalid_argument("Program: no buffer " + std::to_string(i));
    for (const int i : s.out)
      if (i < 0 || i >= count) throw std::invalid_argument("Program: no buffer " + std::to_string(i));
    if (s.workspace_offset < 0 || s.workspace_offset + s.step.workspace_bytes > arena_bytes)
      throw std::invalid_argument("Program: a workspace ends past the arena");
  }
}

bool Program::reads_feeds(std::int64_t begin, std::int64_t end) const {
  const auto is_fed = [&](int b) { return b >= 0 && buffer(b).offset < 0 && !buffer(b).fixed; };
  return std::any_of(steps_.begin() + begin, steps_.begin() + end,
                     [&](const ProgramStep& s) { return std::any_of(s.in.begin(), s.in.end(), is_fed); });
}

Program::Pointers::Pointers(const ProgramStep& step, const std::vector<void*>& addresses) : inputs_(step.in.size()) {
  pointers_.reserve(step.in.size() + step.out.size());
  for (const int b : step.in) pointers_.push_back(b < 0 ? nullptr : addresses[static_cast<std::size_t>(b)]);
  for (const int b : step.out) pointers_.push_back(addresses[static_cast<std::size_t>(b)]);
}

std::vector<void*> Program::addresses_in(unsigned char* arena) const {
  std::vector<void*> addresses;
  addresses.reserve(buffers_.size());
  for (const Buffer& b : buffers_) addresses.push_back(b.offset >= 0 ? arena + b.offset : b.fixed);
  return addresses;
}

}  // namespace cnnfast
