#pragma once
#include <stdexcept>

#include "cnnfast/kernels/epilogue.hpp"
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

}  // namespace cnnfast
