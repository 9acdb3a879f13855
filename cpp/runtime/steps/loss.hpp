#pragma once
#include "cnnfast/program.hpp"

namespace cnnfast {

// The settings of all losses; each reads those it has.
struct LossSettings {
  float smoothing, delta, alpha, gamma;
};

inline LossSettings loss_settings(const Attributes& a) {
  const auto option = [&](const char* name, float missing) { return a.has(name) ? a.real(name) : missing; };
  return {option("label_smoothing", 0.0f), option("delta", 0.0f), option("alpha", -1.0f), option("gamma", 0.0f)};
}

}  // namespace cnnfast
