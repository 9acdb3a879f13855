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
inline void check_moments(const OpSpec& spec, std::int64_t blocks) {
  if (spec.out.size() > 1 && spec.out[1].count() != blocks * kMomentRows * spec.out[0].shape.back())
    throw std::invalid_argument(spec.op + ": the moments of its result are those of " + std::to_string(blocks) +
                                " blocks");
}

}  // namespace cnnfast
