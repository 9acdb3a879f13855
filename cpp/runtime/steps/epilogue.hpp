#pragma once
#include <stdexcept>
#include <string>

#include "cnnfast/kernels/epilogue.hpp"
#include "cnnfast/kernels/norm.hpp"
#include "cnnfast/program.hpp"

namespace cnnfast {

// The attribute "epilogue" of an op, written by the fusion pass.
inline Epilogue epilogue_of(const Attributes& attributes, const char* attribute = "epilogue") {
  if (!attributes.has(attribute)) return Epilogue::none;
  const std::string& name = attributes.text(attribute);
  if (name == "relu") return Epilogue::relu;
  if (name == "relu6") return Epilogue::relu6;
  throw std::invalid_argument("op: no epilogue is named '" + name + "'");
}

// A second output, if there is one, must hold the moments of this many blocks of the first.
// Sums of a block are made in float32, one result after another: more results than these would lose too much precision
// where the first of them, from which differences are taken, is far from the others.
constexpr std::int64_t kMomentPixels = 1024;

// Blocks of a convolution's result whose moments it can give, or 0: they are too large.
inline std::int64_t usable_moment_blocks(const OpSpec& spec, std::int64_t blocks) {
  const TensorSpec& y = spec.out.at(0);
  return y.count() <= blocks * kMomentPixels * y.shape.back() ? blocks : 0;
}
inline void check_moments(const OpSpec& spec, std::int64_t blocks) {
  if (spec.out.size() < 2) return;
  if (blocks == 0 || spec.out[1].count() != blocks * kMomentRows * spec.out[0].shape.back())
    throw std::invalid_argument(spec.op + ": the moments of its result are those of " + std::to_string(blocks) +
                                " blocks");
}

}  // namespace cnnfast
